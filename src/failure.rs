//! An error that crosses processes, for functions whose own errors do not.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The error of a function whose errors are not serde types: `?` turns any error into it.
///
/// An `io::Error`, an `anyhow::Error`, a `&str` or a `String` cannot be sent to another process, or
/// not as what it is. A `Failure` keeps their words: the error's own message and that of every
/// cause behind it, as text.
///
/// `Display` gives the outermost message, `{:#}` and `Debug` the chain of causes.
///
/// ```
/// use procession::Failure;
///
/// fn line_count(path: String) -> Result<usize, Failure> {
///     if path.is_empty() {
///         return Err("the path is empty".into());
///     }
///     Ok(std::fs::read_to_string(path)?.lines().count())
/// }
///
/// assert_eq!(line_count(String::new()).unwrap_err().to_string(), "the path is empty");
/// assert!(line_count("/no/such/file".into()).is_err());
/// ```
///
/// Like `anyhow::Error`, and for the same reason, it does not implement [`std::error::Error`]
/// itself: then `?` could not convert every error into it. On the caller's side, `?` turns it into
/// a `Box<dyn Error>`; [`into_boxed`](Self::into_boxed) and [`into_error`](Self::into_error) are
/// the ways to everything else.
///
/// ```
/// # fn line_count(_: String) -> Result<usize, procession::Failure> { Ok(3) }
/// fn caller() -> Result<(), Box<dyn std::error::Error>> {
///     let count = line_count("a.txt".into())?;
///     assert_eq!(count, 3);
///     Ok(())
/// }
/// # caller().unwrap();
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Failure {
    message: String,
    causes: Vec<String>,
}

/// How many causes a failure keeps: a chain of errors that comes back to its own beginning has no
/// end.
const MAX_CAUSES: usize = 64;

impl Failure {
    /// The messages, from the outermost error to its innermost cause.
    ///
    /// ```
    /// let failure = procession::Failure::from("no such colour");
    /// assert_eq!(failure.chain().collect::<Vec<_>>(), ["no such colour"]);
    /// ```
    pub fn chain(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.message)
            .chain(&self.causes)
            .map(String::as_str)
    }

    /// This failure as an error whose [`source`](Error::source) leads through the causes: what
    /// `?` of `anyhow` and the like takes.
    ///
    /// ```
    /// use std::error::Error;
    ///
    /// let error = procession::Failure::from("no such colour").into_error();
    /// assert_eq!(error.to_string(), "no such colour");
    /// assert!(error.source().is_none());
    /// ```
    pub fn into_error(self) -> impl Error + Send + Sync + 'static {
        self.into_link()
    }

    /// [`into_error`](Self::into_error), boxed.
    ///
    /// ```
    /// fn caller() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    ///     let result: Result<(), procession::Failure> = Err("no such colour".into());
    ///     result.map_err(procession::Failure::into_boxed)
    /// }
    /// assert_eq!(caller().unwrap_err().to_string(), "no such colour");
    /// ```
    pub fn into_boxed(self) -> Box<dyn Error + Send + Sync> {
        Box::new(self.into_link())
    }

    fn into_link(self) -> Link {
        let cause = self.causes.into_iter().rev().fold(None, |cause, message| {
            Some(Box::new(Link { message, cause }))
        });
        Link {
            message: self.message,
            cause,
        }
    }
}

impl<E> From<E> for Failure
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn from(error: E) -> Self {
        let error = error.into();
        let causes = std::iter::successors(error.source(), |cause| (**cause).source());
        Self {
            message: error.to_string(),
            causes: causes.take(MAX_CAUSES).map(ToString::to_string).collect(),
        }
    }
}

/// Without `Send + Sync`: with them, a failure would be an error that is converted into itself.
impl From<Failure> for Box<dyn Error> {
    fn from(failure: Failure) -> Self {
        failure.into_boxed()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if f.alternate() {
            for cause in &self.causes {
                write!(f, ": {cause}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#}")
    }
}

/// One error of the chain.
struct Link {
    message: String,
    cause: Option<Box<Link>>,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.cause {
            Some(cause) if f.alternate() => write!(f, ": {cause:#}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#}")
    }
}

impl Error for Link {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn parse(text: &str) -> Result<i32, Failure> {
        Ok(text.parse()?)
    }

    fn read(path: &str) -> Result<String, Failure> {
        Ok(std::fs::read_to_string(path)?)
    }

    fn with_context() -> Result<(), Failure> {
        let parsed: Result<i32, _> = "x".parse::<i32>();
        Err(anyhow::Error::new(parsed.unwrap_err())
            .context("the second column")
            .context("the table"))?
    }

    #[test]
    fn the_question_mark_converts_any_error() {
        assert_eq!(parse("7"), Ok(7));
        assert_eq!(
            parse("x").unwrap_err().to_string(),
            "invalid digit found in string"
        );
        assert!(
            read("/no/such/file")
                .unwrap_err()
                .to_string()
                .starts_with("No such file")
        );
        assert_eq!(Failure::from(String::from("a")), Failure::from("a"));
        let boxed: Box<dyn Error + Send + Sync> = "a".into();
        assert_eq!(Failure::from(boxed), Failure::from("a"));
        assert_eq!(Failure::from(io::Error::other("full")).to_string(), "full");
        // Also into itself.
        let again = || -> Result<(), Failure> {
            Err(Failure::from("a"))?;
            Ok(())
        };
        assert_eq!(again(), Err(Failure::from("a")));
    }

    #[test]
    fn the_chain_of_causes_is_kept_as_text() {
        let failure = with_context().unwrap_err();
        assert_eq!(failure.to_string(), "the table");
        let chain = "the table: the second column: invalid digit found in string";
        assert_eq!(format!("{failure:#}"), chain);
        assert_eq!(format!("{failure:?}"), chain);
        assert_eq!(failure.chain().count(), 3);
    }

    #[test]
    fn a_failure_crosses_processes() {
        let failure = with_context().unwrap_err();
        let bytes = postcard::to_allocvec(&failure).unwrap();
        assert_eq!(postcard::from_bytes::<Failure>(&bytes).unwrap(), failure);
    }

    #[test]
    fn the_ways_out_keep_the_chain() {
        let failure = with_context().unwrap_err();
        assert_eq!(Failure::from(failure.clone().into_boxed()), failure);
        assert_eq!(Failure::from(failure.clone().into_error()), failure);

        let boxed = || -> Result<(), Box<dyn Error>> { Ok(with_context()?) };
        assert_eq!(boxed().unwrap_err().to_string(), "the table");
        assert_eq!(
            format!("{:?}", boxed().unwrap_err()),
            format!("{failure:?}")
        );

        let anyhow = || -> anyhow::Result<()> { Ok(with_context().map_err(Failure::into_error)?) };
        assert_eq!(
            format!("{:#}", anyhow().unwrap_err()),
            format!("{failure:#}")
        );
    }

    #[test]
    fn a_chain_without_end_is_cut() {
        #[derive(Debug)]
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("again")
            }
        }
        impl Error for Endless {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(self)
            }
        }
        assert_eq!(Failure::from(Endless).chain().count(), MAX_CAUSES + 1);
    }
}
