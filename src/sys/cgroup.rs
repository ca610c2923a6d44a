//! How many processes of this process's cgroup the kernel has killed for lack of memory.

use std::fs;
use std::path::{Path, PathBuf};

/// The counter of one cgroup.
#[derive(Debug)]
pub(crate) struct OomKills {
    file: PathBuf,
}

impl OomKills {
    /// The counter of this process's cgroup, of version 2 or 1, where there is one.
    pub(crate) fn of_this_process() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mut candidates = candidates(&groups, Path::new("/sys/fs/cgroup"));
        let file = candidates.find(|file| count(file).is_some())?;
        Some(Self { file })
    }

    /// How many there have been.
    pub(crate) fn count(&self) -> Option<u64> {
        count(&self.file)
    }
}

/// Where the counter may be, given what `/proc/self/cgroup` says: below the mount, or (in a container that sees its own group as
/// the root) right there.
fn candidates(groups: &str, mount: &Path) -> impl Iterator<Item = PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (roots, file) = if controllers.split(',').any(|name| name == "memory") {
            (vec![mount.join("memory")], "memory.oom_control")
        } else if controllers.is_empty() {
            (
                vec![mount.to_owned(), mount.join("unified")],
                "memory.events",
            )
        } else {
            continue;
        };
        for root in roots {
            files.push(root.join(path.trim_start_matches('/')).join(file));
            files.push(root.join(file));
        }
    }
    files.into_iter()
}

/// The line `oom_kill N`, which both versions have.
fn count(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found() {
        let mount = Path::new("/m");
        let found = |groups| candidates(groups, mount).collect::<Vec<_>>();
        let expected = |files: &[&str]| files.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(
            found("0::/user.slice/a:b\n")[..2],
            expected(&["/m/user.slice/a:b/memory.events", "/m/memory.events"])
        );
        assert_eq!(
            found("9:name=systemd:/\n4:cpu,memory:/box\ngarbage\n"),
            expected(&[
                "/m/memory/box/memory.oom_control",
                "/m/memory/memory.oom_control"
            ])
        );
        assert!(found("").is_empty());
    }

    #[test]
    fn the_counter_is_read_among_others() {
        let file = std::env::temp_dir().join(format!("procession-oom-{}", std::process::id()));
        for (text, expected) in [
            ("low 0\noom 3\noom_kill 2\noom_group_kill 1\n", Some(2)),
            ("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n", Some(7)),
            ("oom_kill many\n", None),
            ("", None),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(count(&file), expected, "{text}");
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(count(&file), None);
    }
}
