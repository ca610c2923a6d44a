//! Everything that can be waited for together.

use std::collections::HashSet;
use std::sync::Arc;

use super::typed::Future;

/// What [`wait`](crate::wait) and [`as_completed`](crate::as_completed) take: futures, references to
/// futures, and pairs of a key and a future.
///
/// Futures of different results go together as `&dyn Completes`. The trait is sealed, so that it can
/// be extended: what it asks of a future is this crate's own business.
///
/// ```
/// use procession::{Completes, Promise, ReturnWhen, wait};
///
/// let (promise, number) = Promise::<u64>::new();
/// let (_pending, text) = Promise::<String>::new();
/// promise.complete(Ok(1));
///
/// let both: [&dyn Completes; 2] = [&number, &text];
/// let waited = wait(both, ReturnWhen::FirstCompleted, None);
/// assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
/// ```
pub trait Completes: sealed::Sealed {}

impl<T> Completes for Future<T> {}
impl<F: Completes + ?Sized> Completes for &F {}
impl<F: Completes + ?Sized> Completes for Box<F> {}
impl<F: Completes + ?Sized> Completes for Arc<F> {}
/// A key may travel along.
impl<K, F: Completes> Completes for (K, F) {}

pub(super) mod sealed {
    use super::super::raw::RawFuture;
    use super::{Arc, Future};

    pub trait Sealed {
        fn raw(&self) -> &RawFuture;
    }

    impl<T> Sealed for Future<T> {
        fn raw(&self) -> &RawFuture {
            self.raw()
        }
    }

    impl<F: Sealed + ?Sized> Sealed for &F {
        fn raw(&self) -> &RawFuture {
            (**self).raw()
        }
    }

    impl<F: Sealed + ?Sized> Sealed for Box<F> {
        fn raw(&self) -> &RawFuture {
            (**self).raw()
        }
    }

    impl<F: Sealed + ?Sized> Sealed for Arc<F> {
        fn raw(&self) -> &RawFuture {
            (**self).raw()
        }
    }

    impl<K, F: Sealed> Sealed for (K, F) {
        fn raw(&self) -> &RawFuture {
            self.1.raw()
        }
    }
}

/// The futures, each once: of two handles of the same one, the first.
pub(super) fn distinct<F: Completes>(futures: impl IntoIterator<Item = F>) -> Vec<F> {
    let futures = futures.into_iter();
    let mut seen = HashSet::with_capacity(futures.size_hint().0);
    futures
        .filter(|future| seen.insert(future.raw().identity()))
        .collect()
}
