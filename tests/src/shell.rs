//! A person, or a script, at a terminal.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::server::program;

/// A working directory, and variables on top of nothing.
pub struct Shell {
    directory: TempDir,
    /// The environment of whatever is run.
    pub variables: Vec<(String, String)>,
}

impl Shell {
    /// In a new directory.
    pub fn new(variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::Builder::new().prefix("authly-shell-").tempdir().expect("a temporary directory");
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { directory, variables }
    }

    /// With another variable, or another value of one.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The working directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A command of this name, one of ours, with nothing to read.
    pub fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program(name));
        command
            .args(arguments)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, name: &str, arguments: &[&str]) -> Output {
        self.command(name, arguments).output().expect("the program runs")
    }

    /// The same with something to read.
    pub fn run_with(&self, name: &str, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(name, arguments).stdin(Stdio::piped()).spawn().expect("the program runs");
        // It need not read all of it, or any.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        child.wait_with_output().expect("it ends")
    }

    /// Runs a line of shell on a terminal of its own, where somebody types this.
    ///
    /// # Panics
    /// Without script(1), which every Debian has.
    pub fn on_terminal(&self, line: &str, typed: &str) -> Output {
        let programs = program("authly-admin").parent().expect("a directory").display().to_string();
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", line, "/dev/null"])
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env("PATH", format!("{programs}:/usr/bin:/bin"))
            .current_dir(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("script runs");
        let _ = child.stdin.take().expect("piped").write_all(typed.as_bytes());
        child.wait_with_output().expect("it ends")
    }

    /// Runs it, and expects success.
    #[track_caller]
    pub fn succeed(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.run(name, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    }

    /// Runs it, and expects that it says why it does not do so.
    #[track_caller]
    pub fn fail(&self, name: &str, arguments: &[&str]) -> String {
        self.fail_with(1, name, arguments)
    }

    /// The same with this exit code.
    #[track_caller]
    pub fn fail_with(&self, code: i32, name: &str, arguments: &[&str]) -> String {
        let output = self.run(name, arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}{said}", stdout(&output));
        said
    }

    /// What `authly-admin` prints for programs.
    #[track_caller]
    pub fn admin_json(&self, arguments: &[&str]) -> Value {
        let text = self.succeed("authly-admin", &[arguments, &["--output", "json"]].concat());
        serde_json::from_str(&text).expect("JSON")
    }
}

/// What it printed.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What it said besides.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
