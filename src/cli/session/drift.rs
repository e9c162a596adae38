//! A run that stood still for long: whether somebody touched what it made.

use std::rc::Rc;

use super::edit::side;
use super::plan::{Planner, Silent, identity};
use super::{ResumeOrder, SessionError, Talk};
use crate::eval::Taint;
use crate::journal::State;
use crate::plan::Memo;
use crate::run::edit::drift;
use crate::store::{MemoryJournal, Vault};
use crate::world::Millis;

/// After how long standing still a run looks at what it made.
const STILL: Millis = Millis::mins(10);

/// Reads what the run made, when it stood still for long, and asks about what somebody changed.
///
/// `recorded` is the flow as it was when the run stopped.
pub(super) async fn looked_after(
    order: &ResumeOrder,
    talk: &dyn Talk,
    recorded: &Planner<'_, '_>,
    past: &State,
    vault: &Rc<Vault>,
) -> Result<(), SessionError> {
    let now = recorded.open.clock.now();
    if !order.refresh || now.since(past.at) <= STILL {
        return Ok(());
    }
    let memo = Memo {
        hooks: past.hooks.clone(),
        run: Some(identity(past.started.as_ref(), past.began, now)),
        taint: Some(Rc::clone(vault) as Rc<dyn Taint>),
    };
    let journal = Box::new(MemoryJournal::new());
    let mut engine = recorded.engine(journal, Rc::clone(vault), Rc::new(Silent));
    let catalog = &order.options.catalog;
    let drifted = drift(side(recorded, memo)?, past, catalog, now, &mut engine).await;
    if drifted.is_empty() {
        return Ok(());
    }
    match talk.drifted(&drifted, vault, !order.options.yes) {
        Some(true) => Ok(()),
        Some(false) => Err(SessionError::NoAnswer("nothing was changed".into())),
        None => Err(SessionError::Decision(
            "somebody changed what the run made, as said above; `--yes` goes on all the same, \
             `--no-refresh` does not look"
                .into(),
        )),
    }
}
