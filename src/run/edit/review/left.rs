//! What is recorded and no step of the edited flow goes on from.

use std::sync::Arc;

use super::super::line::{NOT_NAMED, Reviewed, gone};
use super::super::recorded::took_effect;
use super::Reviewing;
use crate::journal::{Address, EditVerdict};

impl Reviewing<'_, '_> {
    /// Recorded steps that no step of the edited flow goes on from.
    pub(super) fn left_over(&mut self) {
        let order = self.past.order.clone();
        for address in order {
            if self.matching.is_claimed(&address) {
                continue;
            }
            let Some(state) = self.past.steps.get(&address) else {
                continue;
            };
            if !self.records.contains_key(&address) {
                self.carry_along(&address);
                continue;
            }
            let named = self.walk.shared.graph.borrow().find(&address).is_some();
            let why = match named {
                _ if self.wishes.forget.contains(&*address) => "it is wanted so",
                true => "the flow names something else here",
                false => NOT_NAMED,
            };
            let line = gone(&address, state, &self.wishes, why);
            self.lines.push(line);
        }
    }

    /// Steps outside the walked graph: notifications keep their records, assertions and growths are
    /// decided anew.
    fn carry_along(&mut self, address: &Address) {
        let own = address.rsplit('/').next().unwrap_or(address);
        let anew = ["assert:", "for:", "if:"]
            .iter()
            .any(|p| own.starts_with(p))
            || own.is_empty();
        if anew && self.edited {
            return;
        }
        let mut line = Reviewed::of(address, address, EditVerdict::Keep, "");
        line.why = String::new();
        self.lines.push(line);
    }

    /// A call that vanished and one of its kind that appeared may be one and the same.
    pub(super) fn ambiguous(&mut self) {
        let vanished: Vec<(String, Address)> = self
            .lines
            .iter()
            .filter(|l| matches!(l.verdict, EditVerdict::Forgotten))
            .filter_map(|l| {
                let record = self.records.get(&l.address)?;
                let state = self.past.steps.get(&l.address)?;
                let call = record.meaning.kind.starts_with("call ")
                    || record.meaning.kind.starts_with("http ");
                (call && took_effect(state) && !self.wishes.forget.contains(&*l.address))
                    .then(|| (record.meaning.kind.clone(), Arc::clone(&l.address)))
            })
            .collect();
        for (kind, old) in vanished {
            for index in self.passed.get(&kind).into_iter().flatten() {
                let Some(line) = self.lines.get_mut(*index) else {
                    continue;
                };
                if self.wishes.redo.contains(&*line.address) || self.wishes.keeps(&line.address) {
                    continue;
                }
                let new = line.address.replace('/', ".");
                let help = format!(
                    "if they are the same, write `moved {} to {new}` into the flow; if not, `--forget {old}`",
                    old.replace('/', ".")
                );
                line.decide(
                    &format!("`{old}` is done, and gone from the flow: this may be it"),
                    &help,
                );
            }
        }
    }
}
