//! Edited runs that are rolled back, after their end or after a death behind the edit.

use std::collections::BTreeMap;

use r5flow::journal::RunStatus;
use r5flow::run::Rollback;
use serde_json::Value as Json;

use crate::edits::{Left, Told};
use crate::process::{self, contents};
use crate::rolling::Process;

/// Rolls a run back, whatever edits it has seen: the cloud is as it was before the run, but for what the
/// rollback said that it leaves.
pub fn taken_back(told: &Told<'_, '_>, left: &Left, meddled: bool) -> Result<(), String> {
    let process = Process {
        checked: told.checked,
        to: None,
        vault: told.vault(),
    };
    let rolled = process.run(process::Left {
        entries: left.entries.clone(),
        sim: left.sim.clone(),
        now: left.now,
        late: None,
    });
    if rolled.end.status != RunStatus::Done {
        return Err(format!("it ended {:?}", rolled.end));
    }
    let before = contents(&process::cloud());
    let after = contents(&rolled.left.sim);
    match unexplained(&before, &after, &rolled.plan).filter(|_| !meddled) {
        None => Ok(()),
        Some(key) => Err(format!(
            "{key} was {:?} and is {:?}\n{:#?}\n{:#?}",
            before.get(key),
            after.get(key),
            rolled.plan.staying,
            rolled.plan.lasting,
        )),
    }
}

/// What is otherwise than before, although the rollback did not say so.
fn unexplained<'k>(
    before: &'k BTreeMap<String, Json>,
    after: &'k BTreeMap<String, Json>,
    plan: &Rollback,
) -> Option<&'k String> {
    let lasts: Vec<String> = plan
        .lasting
        .iter()
        .map(|l| l.path.replace("/v1/", "/"))
        .collect();
    let mut other = before
        .keys()
        .chain(after.keys())
        .filter(|k| before.get(*k) != after.get(*k));
    other.find(|key| {
        !lasts
            .iter()
            .any(|path| key.starts_with(path.as_str()) || path.starts_with(key.as_str()))
    })
}
