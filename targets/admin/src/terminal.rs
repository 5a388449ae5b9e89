//! Talk with the person at the terminal: questions, passwords, and how far long work has come.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    arguments::Irreversible,
    failure::{Failure, fail},
};

impl Irreversible {
    /// Asks whether this is meant, unless that was said already or nothing will happen.
    pub(crate) fn confirm(self, question: &str) -> Result<(), Failure> {
        if self.yes || self.change.dry_run {
            return Ok(());
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Failure::Usage(format!("{question} There is no terminal to ask on: say --yes if so.")));
        }
        eprint!("{question} [y/N] ");
        io::stderr().flush().context("cannot ask")?;
        let answer = line_of_stdin("the answer")?;
        if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
        Err(Failure::Usage("nothing was done".to_owned()))
    }
}

// Where a password comes from.
#[derive(Args, Clone, Copy)]
pub(crate) struct PasswordSource {
    /// Read the password from standard input, up to the end of the first line.
    #[arg(long, conflicts_with_all = ["generate_password", "token_stdin"])]
    password_stdin: bool,
    /// Have a password made up, and print it once.
    #[arg(long)]
    generate_password: bool,
}

impl PasswordSource {
    /// The password, or none where the server makes one up.
    pub(crate) fn read(self) -> Result<Option<String>, Failure> {
        if self.generate_password {
            return Ok(None);
        }
        if self.password_stdin {
            return line_of_stdin("the password").map(Some);
        }
        let none = "no terminal to ask on; use --password-stdin or --generate-password";
        let password = rpassword::prompt_password("Password: ").context(none)?;
        if password != rpassword::prompt_password("Again: ").context(none)? {
            fail!("the two passwords differ");
        }
        Ok(Some(password))
    }
}

/// The first line of standard input.
pub(crate) fn line_of_stdin(what: &str) -> Result<String, Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).with_context(|| format!("cannot read {what}"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// How far long work has come, on standard error; nothing where that is no terminal.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Work whose end is not known.
    pub(crate) fn counting(what: &'static str) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_style(style("{spinner} {pos} {msg}, {elapsed}"));
        bar.set_message(what);
        // What is done at once needs no telling.
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Work of so many steps.
    pub(crate) fn of(steps: usize) -> Self {
        let bar = ProgressBar::new(steps as u64);
        bar.set_style(style("[{bar:30}] {pos}/{len} {msg}"));
        Self(bar)
    }

    pub(crate) fn set(&self, position: u64) {
        self.0.set_position(position);
    }

    /// The next step, by name.
    pub(crate) fn step(&self, name: &str) {
        self.0.set_message(name.to_owned());
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
