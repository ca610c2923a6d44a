//! What a process that is started may have, as builders are told.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::error::BuildError;
use crate::sys;
use crate::wire::Limits;

/// The longest name of a working directory that fits into a worker's first message.
pub(crate) const MAX_DIRECTORY: usize = 4096;

/// How many descriptors can be kept: one message carries 253, some of which are ours.
const MAX_KEPT: usize = 200;

/// Whatever is not chosen is inherited.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowance {
    pub(crate) directory: Option<OsString>,
    pub(crate) address_space: Option<u64>,
    pub(crate) cpu_time: Option<Duration>,
    pub(crate) open_files: Option<u64>,
    pub(crate) core_size: Option<u64>,
    pub(crate) niceness: Option<i32>,
    pub(crate) cpus: Option<BTreeSet<usize>>,
}

impl Allowance {
    /// The same as a worker is told, checked.
    pub(crate) fn limits(&self) -> Result<Limits, BuildError> {
        BuildError::refuse_zero("address_space", self.address_space)?;
        BuildError::refuse_zero("open_files", self.open_files)?;
        if self.cpu_time == Some(Duration::ZERO) {
            return BuildError::refuse("cpu_time", "longer than zero", "0 s");
        }
        if let Some(niceness @ (..-20 | 20..)) = self.niceness {
            return BuildError::refuse("nice", "from -20 to 19", niceness);
        }
        let directory = self.directory.clone().map(OsString::into_vec);
        if let Some(directory) = &directory
            && (directory.is_empty() || directory.contains(&0) || directory.len() > MAX_DIRECTORY)
        {
            let value = String::from_utf8_lossy(directory).into_owned();
            return BuildError::refuse(
                "current_dir",
                "the path of a directory",
                format!("{value:?}"),
            );
        }
        // Workers that are started later shall find themselves where the first ones did.
        let directory = directory.map(|path| {
            let path = PathBuf::from(OsString::from_vec(path));
            let path = std::path::absolute(&path).unwrap_or(path);
            path.into_os_string().into_vec()
        });
        let mut cpus = Vec::new();
        if let Some(chosen) = &self.cpus {
            if chosen.is_empty() {
                return BuildError::refuse("cpu_affinity", "at least one CPU", "none");
            }
            for &cpu in chosen {
                match u32::try_from(cpu) {
                    Ok(cpu) if cpu < 1024 => cpus.push(cpu),
                    _ => return BuildError::refuse("cpu_affinity", "CPUs from 0 to 1023", cpu),
                }
            }
        }
        let cpu_time = self.cpu_time.map(|time| time.as_millis().max(1));
        Ok(Limits {
            address_space: self.address_space,
            cpu_time_ms: cpu_time.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            open_files: self.open_files,
            core_size: self.core_size,
            niceness: self.niceness,
            cpus,
            directory,
        })
    }
}

/// Descriptors that are to be open in a process, by their numbers here.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptFds(Vec<(RawFd, Duplicate)>);

type Duplicate = Result<Arc<OwnedFd>, Arc<std::io::Error>>;

impl KeptFds {
    /// Takes a duplicate of one more.
    pub(crate) fn keep(&mut self, fd: impl AsFd) {
        let duplicate = sys::fork_of(&fd).map(Arc::new).map_err(Arc::new);
        self.0.push((sys::number_of(&fd), duplicate));
    }

    /// All of them, if the system had room for duplicates, and a message has.
    pub(crate) fn take(self) -> Result<Vec<(RawFd, Arc<OwnedFd>)>, BuildError> {
        if self.0.len() > MAX_KEPT {
            return BuildError::refuse("keep_fd", "at most 200 descriptors", self.0.len());
        }
        let system = |source| BuildError::System {
            what: "a duplicate of a kept descriptor",
            source,
        };
        let kept = self.0.into_iter();
        kept.map(|(number, fd)| Ok((number, fd.map_err(system)?)))
            .collect()
    }
}
