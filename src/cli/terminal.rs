//! The three streams: whether a person sits there, and how what is written looks.

use std::io::{ErrorKind, IsTerminal, Read, Write};

use super::failure::{Exit, Failure};
use super::settings::Environment;
use crate::diag::render;
use crate::report::{Look, clean};

/// Columns where no terminal tells.
const WIDTH: usize = 100;

#[derive(Clone, Debug)]
pub struct Terminal {
    /// How standard output looks.
    pub out: Look,
    /// How standard error looks.
    pub err: Look,
    /// Lines that are redrawn may be written to standard error.
    pub live: bool,
    /// Somebody can be asked.
    pub interactive: bool,
    /// Annotations for GitHub Actions are wanted.
    pub github: bool,
}

impl Terminal {
    /// The streams of this process; `color` overrules what they are.
    pub fn here(color: Option<bool>, environment: &Environment) -> Terminal {
        let (out, err) = (
            std::io::stdout().is_terminal(),
            std::io::stderr().is_terminal(),
        );
        let look = |terminal: bool| Look {
            color: color.unwrap_or(terminal && !environment.dumb()),
            width: width(terminal),
        };
        Terminal {
            out: look(out),
            err: look(err),
            live: err && !environment.dumb(),
            interactive: std::io::stdin().is_terminal() && err,
            github: environment.github_actions(),
        }
    }

    /// Writes to standard output. A reader that has gone away is no error.
    ///
    /// # Errors
    /// The stream cannot be written: a full disk behind a redirection.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Failure::new(
                Exit::Failed,
                format!("standard output cannot be written: {e}"),
            )),
            _ => Ok(()),
        }
    }

    /// One line to standard output.
    ///
    /// # Errors
    /// As for [`Terminal::print`].
    pub fn line(&self, text: impl std::fmt::Display) -> Result<(), Failure> {
        self.print(&format!("{text}\n"))
    }

    /// Writes to standard error; when that fails there is nobody left to tell.
    pub fn tell(&self, text: &str) {
        let mut err = std::io::stderr().lock();
        let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }

    /// Says why a command could not do its work.
    pub fn blame(&self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        let message = clean(&failure.message);
        let mut text = format!("{} {message}\n", self.err.red("error:"));
        if let Some(help) = &failure.help {
            text.push_str(&format!("{} {}\n", self.err.cyan(" help:"), clean(help)));
        }
        self.tell(&text);
    }

    /// Asks for a line that nobody should see on the screen. `None`: there is nobody to ask.
    pub fn ask_secret(&self, question: &str) -> Option<String> {
        if !self.interactive {
            return None;
        }
        self.tell(question);
        let hidden = silence();
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        drop(hidden);
        self.tell("\n");
        read.ok().filter(|n| *n > 0)?;
        Some(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Asks for a word; anything else is a no. `None`: there is nobody to ask.
    pub fn ask_for(&self, question: &str, word: &str) -> Option<bool> {
        if !self.interactive {
            return None;
        }
        self.tell(question);
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).ok()?;
        Some(line.trim() == word)
    }

    /// Asks a yes-or-no question; anything but a yes is a no. `None`: there is nobody to ask.
    pub fn ask(&self, question: &str) -> Option<bool> {
        if !self.interactive {
            return None;
        }
        self.tell(&format!("{question} [y/N] "));
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).ok()?;
        Some(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
    }
}

/// All of standard input, as text.
///
/// # Errors
/// It cannot be read, or is no text.
pub fn stdin_text() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .read_to_string(&mut text)
        .map_err(|e| Failure::usage(format!("standard input cannot be read: {e}")))?;
    Ok(text)
}

impl From<Look> for render::Style {
    fn from(look: Look) -> render::Style {
        render::Style {
            color: look.color,
            width: look.width,
        }
    }
}

/// Columns of the terminal behind standard error, as it is now.
pub fn width_now() -> usize {
    width(true)
}

#[cfg(unix)]
fn width(terminal: bool) -> usize {
    if !terminal {
        return WIDTH;
    }
    let size = rustix::termios::tcgetwinsize(std::io::stderr())
        .or_else(|_| rustix::termios::tcgetwinsize(std::io::stdout()));
    size.map_or(WIDTH, |size| match size.ws_col {
        0 => WIDTH,
        columns => usize::from(columns),
    })
}

#[cfg(not(unix))]
fn width(_: bool) -> usize {
    WIDTH
}

/// Turns the echo of standard input off until it is dropped.
#[cfg(unix)]
struct Silence(rustix::termios::Termios);

#[cfg(unix)]
fn silence() -> Option<Silence> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let before = tcgetattr(std::io::stdin()).ok()?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet).ok()?;
    Some(Silence(before))
}

#[cfg(unix)]
impl Drop for Silence {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(
            std::io::stdin(),
            rustix::termios::OptionalActions::Now,
            &self.0,
        );
    }
}

#[cfg(not(unix))]
fn silence() {}
