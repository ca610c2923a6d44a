//! Python's pools, in a process that does what it is told line by line, and says how long that took.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::Error;
use crate::measure::Figures;

const SCRIPT: &str = include_str!("peers.py");

/// Which Python it is, or that there is none.
pub fn version() -> String {
    let output = Command::new("python3").arg("--version").output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "no python3 on PATH: its pools are skipped".to_owned(),
    }
}

pub struct Python {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    script: PathBuf,
}

impl Python {
    /// With so many workers; `None` if there is no Python.
    pub fn start(workers: usize) -> Option<Self> {
        // A file, since its workers may have to import it.
        let name = format!("procession-peers-{}-{workers}.py", std::process::id());
        let script = std::env::temp_dir().join(name);
        std::fs::write(&script, SCRIPT).ok()?;
        let child = Command::new("python3")
            .arg(&script)
            .arg(workers.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.ok()?;
        let (orders, answers) = (child.stdin.take(), child.stdout.take()?);
        let mut this = Self {
            child,
            orders,
            answers: BufReader::new(answers),
            script,
        };
        this.does("hello").ok()?;
        Some(this)
    }

    /// Has it do something; what it says are figures.
    pub fn does(&mut self, order: &str) -> Result<Figures, Error> {
        let orders = self.orders.as_mut().ok_or("it is told nothing more")?;
        writeln!(orders, "{order}")?;
        orders.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let figures = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<Vec<f64>, _>>();
        match figures {
            Ok(figures) if !figures.is_empty() => Ok(figures),
            _ => Err(format!("`{order}` was answered by `{}`", line.trim()).into()),
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.script);
    }
}
