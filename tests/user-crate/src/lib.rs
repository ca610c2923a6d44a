//! A library with tasks of its own, and plain unit tests.

procession::init_in_tests!();

pub mod words {
    #[procession::task]
    pub fn longest(text: String) -> Option<String> {
        text.split_whitespace()
            .max_by_key(|word| word.len())
            .map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use procession::{Process, ProcessError, ProcessPoolExecutor, TaskError};

    use super::words::longest;

    #[procession::task]
    fn pid() -> u32 {
        std::process::id()
    }

    #[procession::task]
    fn fail() {
        panic!("on purpose");
    }

    #[procession::task]
    fn shout() {
        println!("a worker of the unit tests shouts");
    }

    fn pool() -> ProcessPoolExecutor {
        ProcessPoolExecutor::builder()
            .max_workers(2)
            .build()
            .unwrap()
    }

    /// Leaves a line in the file that the one who runs these tests looks at.
    pub fn note(name: &str) {
        use std::io::Write as _;
        if let Some(path) = std::env::var_os("USER_CRATE_NOTES") {
            let file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path);
            file.unwrap()
                .write_all(format!("{name} {}\n", std::process::id()).as_bytes())
                .unwrap();
        }
    }

    #[test]
    fn a_task_runs_in_another_process() {
        note("a_task_runs_in_another_process");
        let pool = pool();
        assert_ne!(
            pool.submit(pid, ()).unwrap().wait().unwrap(),
            std::process::id()
        );
        let text = "four little words only".to_owned();
        let future = pool.submit(longest, text).unwrap();
        assert_eq!(future.wait().unwrap().as_deref(), Some("little"));
    }

    #[test]
    fn a_panic_is_an_error() {
        note("a_panic_is_an_error");
        let error = pool().submit(fail, ()).unwrap().wait().unwrap_err();
        assert!(matches!(error, TaskError::Panicked(_)), "{error:?}");
        assert!(error.to_string().contains("on purpose"), "{error}");
    }

    #[test]
    fn a_process_runs_a_function() {
        note("a_process_runs_a_function");
        let process = Process::spawn(pid, ()).unwrap();
        assert_eq!(process.join().unwrap(), process.pid());
        let process = Process::spawn(fail, ()).unwrap();
        assert!(matches!(process.join(), Err(ProcessError::Panicked(_))));
        assert_eq!(process.exit_code(), Some(101));
    }

    #[test]
    fn what_a_task_prints_is_seen() {
        note("what_a_task_prints_is_seen");
        pool().submit(shout, ()).unwrap().wait().unwrap();
    }

    #[test]
    fn a_worker_has_the_name_of_its_program() {
        note("a_worker_has_the_name_of_its_program");
        let pool = pool();
        let worker = pool.submit(pid, ()).unwrap().wait().unwrap();
        let name = std::fs::read_to_string(format!("/proc/{worker}/comm")).unwrap();
        assert!(name.starts_with("user_crate"), "{name}");
    }

    #[test]
    #[should_panic(expected = "unwinds")]
    fn a_failing_test_leaves_nothing() {
        note("a_failing_test_leaves_nothing");
        let _pool = pool();
        panic!("unwinds");
    }
}
