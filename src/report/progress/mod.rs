//! A run while it runs: lines, lines above a region that is redrawn, or JSON.
//!
//! An observer sees events with their secrets in the clear; nothing leaves it unmasked.

mod json;
mod lines;
mod live;

pub use lines::is_assertion;

use std::collections::BTreeSet;
use std::io::Write;
use std::rc::Rc;

use super::style::Look;
use crate::run::Observer;
use crate::store::Vault;

/// Where progress goes and how it looks.
pub enum Form {
    /// One line an event.
    Lines(Look),
    /// Finished things as lines, and below them what is going on now.
    Live {
        look: Look,
        /// Columns, asked for before each drawing.
        width: Box<dyn Fn() -> usize + Send>,
        /// The moment now; `None` when time stands still between events.
        now: Option<fn() -> crate::world::Timestamp>,
    },
    /// One JSON object a line.
    Json,
}

/// An observer that writes to `out`. `past` are the steps that an earlier process finished: they are
/// not told again.
pub fn observer(
    form: Form,
    out: Box<dyn Write + Send>,
    vault: Rc<Vault>,
    past: BTreeSet<String>,
) -> Rc<dyn Observer> {
    match form {
        Form::Lines(look) => Rc::new(lines::Lines::new(look, out, vault)),
        Form::Live { look, width, now } => Rc::new(live::Live::new(
            live::Screen {
                look,
                width,
                now,
                out,
            },
            vault,
            past,
        )),
        Form::Json => Rc::new(json::JsonLines::new(out, vault)),
    }
}
