//! Events as lines: `00:03:04 image: created in 1m32s`.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;

use crate::journal::{Event, Outcome, Verdict};
use crate::report::failure;
use crate::report::style::{Look, elapsed, one_line, span};
use crate::run::Observer;
use crate::store::Vault;
use crate::world::Timestamp;

pub struct Lines {
    words: Words,
    out: RefCell<Box<dyn Write + Send>>,
}

impl Lines {
    pub fn new(look: Look, out: Box<dyn Write + Send>, vault: Rc<Vault>) -> Self {
        Lines {
            words: Words::new(look, vault),
            out: RefCell::new(out),
        }
    }
}

impl Observer for Lines {
    fn recorded(&self, event: &Event, at: Timestamp) {
        if let Some(line) = self.words.line(event, at) {
            let mut out = self.out.borrow_mut();
            // A reader that has gone away must not stop the run.
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    }
}

/// Turns events into lines; remembers when it saw the first.
pub struct Words {
    pub look: Look,
    vault: Rc<Vault>,
    began: Cell<Option<Timestamp>>,
}

impl Words {
    pub fn new(look: Look, vault: Rc<Vault>) -> Self {
        Words {
            look,
            vault,
            began: Cell::new(None),
        }
    }

    /// Text that may hold a secret, on one line.
    pub fn plain(&self, text: &str) -> String {
        one_line(&self.vault.mask(text))
    }

    /// When the first event came.
    pub fn began(&self, at: Timestamp) -> Timestamp {
        let began = self.began.get().unwrap_or(at);
        self.began.set(Some(began));
        began
    }

    /// The line of an event, with the time of the run before it; many events have none.
    pub fn line(&self, event: &Event, at: Timestamp) -> Option<String> {
        let began = self.began(at);
        let text = self.text(event, at)?;
        let time = self.look.dim(&elapsed(at.since(began)));
        Some(format!("{time} {text}"))
    }

    fn text(&self, event: &Event, at: Timestamp) -> Option<String> {
        let look = self.look;
        let named = |address: &str, text: String| Some(format!("{}: {text}", self.plain(address)));
        match event {
            Event::Intent { address, intent } => {
                let method = self.plain(&intent.request.method);
                named(address, look.dim(&format!("{method} …")))
            }
            Event::Asked { address, text, .. } => {
                let text = self.plain(text);
                named(
                    address,
                    format!("{} {text}", look.yellow("waits for an approval:")),
                )
            }
            Event::Answered {
                address,
                approved,
                by,
                note,
                ..
            } => {
                let word = match approved {
                    true => look.green("approved"),
                    false => look.red("denied"),
                };
                let note = note.as_deref().map(|n| format!(": {}", self.plain(n)));
                named(
                    address,
                    format!("{word} by {}{}", self.plain(by), note.unwrap_or_default()),
                )
            }
            Event::Finished {
                address,
                began,
                outcome,
            } => {
                let text = self.outcome(address, outcome, &span(at.since(*began)))?;
                named(address, text)
            }
            Event::Resumed { by, .. } => Some(format!("resumed by {}", self.plain(by))),
            Event::RollingBack { by, .. } => Some(format!("rolled back by {}", self.plain(by))),
            Event::Edited(edited) => Some(format!("edited by {}", self.plain(&edited.by))),
            Event::Started(_)
            | Event::Grew { .. }
            | Event::Voided { .. }
            | Event::Began { .. }
            | Event::Operation { .. }
            | Event::Undo { .. }
            | Event::Undone { .. }
            | Event::Called { .. }
            | Event::Hooked { .. }
            | Event::Ended(_) => None,
        }
    }

    fn outcome(&self, address: &str, outcome: &Outcome, took: &str) -> Option<String> {
        let look = self.look;
        Some(match outcome {
            // An assertion that holds is no news; what else passes is a checkpoint.
            Outcome::Done {
                verdict: Verdict::Passed,
                ..
            } if is_assertion(address) => return None,
            Outcome::Done {
                verdict: Verdict::Passed,
                ..
            } => look.bold("reached"),
            Outcome::Done {
                verdict: Verdict::Adopted,
                ..
            } => {
                format!("is already as the flow wants it ({took})")
            }
            Outcome::Done {
                verdict: Verdict::GaveUp,
                ..
            } => look.yellow(&format!("gave up waiting after {took}; the flow goes on")),
            Outcome::Done {
                verdict: Verdict::Kept,
                value,
            } => {
                let why = value["why"].as_str().unwrap_or_default();
                look.yellow(&format!("left as it is: {}", self.plain(why)))
            }
            Outcome::Done { verdict, .. } => {
                let word = verdict.as_str();
                let word = match verdict {
                    Verdict::Created
                    | Verdict::Updated
                    | Verdict::Replaced
                    | Verdict::Called
                    | Verdict::Undone => look.green(word),
                    _ => word.to_owned(),
                };
                format!("{word} in {took}")
            }
            Outcome::Skipped => look.dim("skipped"),
            Outcome::Failed { failure, tolerated } => {
                let message = self.plain(&failure.message);
                let word = failure::word(failure.reason);
                match tolerated {
                    true => format!(
                        "{} {message}",
                        look.yellow(&format!("{word} after {took}, and the flow goes on:"))
                    ),
                    false => format!("{} {message}", look.red(&format!("{word} after {took}:"))),
                }
            }
        })
    }
}

/// Assertions have no names; their addresses say where they stand.
pub fn is_assertion(address: &str) -> bool {
    let own = address.rsplit('/').next().unwrap_or(address);
    own.starts_with("assert:")
}
