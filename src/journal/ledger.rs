//! What a run did to the cloud, call by call: what a rollback has to undo.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::edited::Edited;
use super::event::{Address, CallResult, Event, Intent, Origin, Outcome, Verdict};
use super::undo::Undo;

/// What begins the address under which a call is undone. No address of a flow holds a blank.
const UNDOING: &str = "undo ";

/// What became of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Became {
    /// Nothing is known of it yet.
    Open,
    /// It took effect. The incarnation is that of the resource it created.
    Took {
        origin: Origin,
        incarnation: Option<String>,
    },
    /// It failed, and left a resource that is not whole.
    Broken { incarnation: Option<String> },
    /// It had no effect.
    Nothing,
}

/// One call that may have changed something.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// The address under which it was made.
    pub address: Address,
    /// The address under which its step goes on, after edits that moved it; none when the flow has the
    /// step no more.
    pub now: Option<Address>,
    pub intent: Intent,
    pub became: Became,
    pub undo: Option<Undo>,
    /// The entry of its intent.
    pub begun: u64,
    /// The entry of its outcome: what was begun later may build on it. None yet: nothing does.
    pub over: u64,
}

impl Made {
    /// The address under which it is undone: `undo image`, `undo image#2` for its second call. After an
    /// edit, calls may be counted from one again; their generations never are.
    pub fn undo_address(&self) -> Address {
        match self.intent.generation {
            1 => format!("{UNDOING}{}", self.address).into(),
            n => format!("{UNDOING}{}#{n}", self.address).into(),
        }
    }

    /// Which beginning of its step it belongs to: an edit begins steps anew.
    pub fn beginning(&self) -> u32 {
        self.intent.generation.saturating_sub(self.intent.call)
    }

    /// Whether the cloud is different because of it, as far as anybody knows.
    pub fn counts(&self) -> bool {
        self.became != Became::Nothing
    }
}

/// A resource that a step was content with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stayed {
    pub address: Address,
    pub verdict: Verdict,
}

/// The fold of a run's events into what it did.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    calls: Vec<Made>,
    /// How a call is undone, as told before its intent.
    told: BTreeMap<(Address, u32), Undo>,
    stayed: Vec<(u64, Stayed)>,
    /// When an address was first heard of.
    heard: BTreeMap<Address, u64>,
    /// When a checkpoint was reached.
    reached: BTreeMap<Address, u64>,
    /// The entry behind which the newest rollback undoes everything.
    since: u64,
}

impl Ledger {
    pub fn apply(&mut self, seq: u64, event: &Event) {
        match event {
            Event::Undone { .. } => return self.forget(),
            Event::Edited(edited) => return self.edit(edited),
            Event::RollingBack { to, .. } => {
                self.since = to.as_ref().and_then(|to| self.reached(to)).unwrap_or(0);
            }
            _ => {}
        }
        let Some(address) = event.address().filter(|a| !is_undoing(a)) else {
            return;
        };
        self.heard.entry(Arc::clone(address)).or_insert(seq);
        match event {
            Event::Undo { call, undo, .. } => self.tell(address, *call, undo),
            Event::Intent { intent, .. } => self.calls.push(Made {
                address: Arc::clone(address),
                now: Some(Arc::clone(address)),
                undo: self.told.get(&(Arc::clone(address), intent.call)).cloned(),
                intent: (**intent).clone(),
                became: Became::Open,
                begun: seq,
                over: u64::MAX,
            }),
            Event::Voided { call, .. } => self.close(seq, address, *call, Became::Nothing),
            Event::Called { call, result, .. } => {
                self.close(seq, address, *call, became(result));
            }
            Event::Finished { outcome, .. } => self.finished(seq, address, outcome),
            _ => {}
        }
    }

    fn tell(&mut self, address: &Address, call: u32, undo: &Undo) {
        if let Some(made) = self.find(address, call) {
            made.undo = Some(undo.clone());
        }
        self.told.insert((Arc::clone(address), call), undo.clone());
    }

    fn find(&mut self, address: &Address, call: u32) -> Option<&mut Made> {
        self.calls
            .iter_mut()
            .rfind(|m| m.now.as_ref() == Some(address) && m.intent.call == call)
    }

    fn close(&mut self, seq: u64, address: &Address, call: u32, became: Became) {
        if let Some(made) = self.find(address, call) {
            made.became = became;
            made.over = seq;
        }
    }

    fn finished(&mut self, seq: u64, address: &Address, outcome: &Outcome) {
        let Outcome::Done { verdict, value } = outcome else {
            return;
        };
        match verdict {
            Verdict::Adopted | Verdict::Presumed => {
                let stayed = Stayed {
                    address: Arc::clone(address),
                    verdict: *verdict,
                };
                self.stayed.push((seq, stayed));
            }
            Verdict::Passed => {
                self.reached.insert(Arc::clone(address), seq);
            }
            Verdict::Created => {
                let mut newest = self.calls.iter_mut();
                let newest = newest.rfind(|m| m.now.as_ref() == Some(address) && m.counts());
                if let Some(Became::Took {
                    incarnation: unknown @ None,
                    ..
                }) = newest.map(|m| &mut m.became)
                {
                    *unknown = incarnation(value);
                }
            }
            _ => {}
        }
    }

    /// Everything behind the place that the rollback goes back to is as if it had never been.
    fn forget(&mut self) {
        let since = self.since;
        self.calls.retain(|m| m.begun <= since);
        self.stayed.retain(|(seq, _)| *seq <= since);
        self.heard.retain(|_, seq| *seq <= since);
        self.reached.retain(|_, seq| *seq <= since);
        self.told.clear();
    }

    /// Steps go on under other addresses, or no more; what they did stays done.
    fn edit(&mut self, edited: &Edited) {
        self.told.clear();
        let became: BTreeMap<&Address, Option<&Address>> = edited
            .steps
            .iter()
            .map(|s| (&s.from, s.to.as_ref()))
            .collect();
        let whole = edited.source.is_some();
        let goes_on = |address: &Address| match became.get(address) {
            Some(to) => to.cloned(),
            None => (!whole).then(|| Arc::clone(address)),
        };
        for made in &mut self.calls {
            made.now = made.now.as_ref().and_then(&goes_on);
        }
        for (_, stayed) in &mut self.stayed {
            if let Some(to) = goes_on(&stayed.address) {
                stayed.address = to;
            }
        }
        self.heard = moved(&self.heard, goes_on);
        self.reached = moved(&self.reached, goes_on);
    }

    /// Where a rollback to a checkpoint stops: the entry with which it was reached. `None`: it was not.
    pub fn reached(&self, checkpoint: &str) -> Option<u64> {
        self.reached.get(checkpoint).copied()
    }

    /// The checkpoints that were reached, in their order.
    pub fn checkpoints(&self) -> Vec<&Address> {
        let mut all: Vec<_> = self.reached.iter().collect();
        all.sort_by_key(|(_, seq)| **seq);
        all.into_iter().map(|(address, _)| address).collect()
    }

    /// Calls that were begun behind an entry and may have changed something, in the order of their
    /// intents.
    pub fn calls_since(&self, entry: u64) -> Vec<Made> {
        let behind = self.calls.iter();
        behind
            .filter(|m| m.begun > entry && m.counts())
            .cloned()
            .collect()
    }

    /// What steps behind an entry found and left.
    pub fn stayed_since(&self, entry: u64) -> impl Iterator<Item = &Stayed> {
        self.stayed
            .iter()
            .filter(move |(seq, _)| *seq > entry)
            .map(|(_, stayed)| stayed)
    }

    /// Everything that was first heard of behind an entry, or called something behind it: steps,
    /// growths, checkpoints.
    pub fn addresses_since(&self, entry: u64) -> Vec<Address> {
        let heard = self.heard.iter().filter(|(_, seq)| **seq > entry);
        let called = self.calls.iter().filter(|m| m.begun > entry);
        let all: BTreeSet<Address> = heard
            .map(|(address, _)| Arc::clone(address))
            .chain(called.filter_map(|m| m.now.clone()))
            .collect();
        all.into_iter().collect()
    }
}

/// The same under the addresses that go on.
fn moved(
    all: &BTreeMap<Address, u64>,
    goes_on: impl Fn(&Address) -> Option<Address>,
) -> BTreeMap<Address, u64> {
    let moved = all.iter().filter_map(|(a, seq)| Some((goes_on(a)?, *seq)));
    moved.collect()
}

/// Whether something is undone under this address.
pub fn is_undoing(address: &str) -> bool {
    address.starts_with(UNDOING)
}

fn became(result: &CallResult) -> Became {
    match result {
        CallResult::Ok {
            origin,
            incarnation,
            ..
        } => Became::Took {
            origin: *origin,
            incarnation: incarnation.clone(),
        },
        CallResult::Failed { .. } => Became::Nothing,
        CallResult::Broken { incarnation, .. } => Became::Broken {
            incarnation: incarnation.clone(),
        },
    }
}

/// What tells a resource from a later one of the same name: its numeric id, its uid, or when it was
/// created. The storage's `id` is made of the name and tells nothing.
pub fn incarnation(resource: &serde_json::Value) -> Option<String> {
    let text = |field: &str| match resource.get(field)? {
        serde_json::Value::String(text) if !text.is_empty() => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let number = text("id").filter(|id| id.bytes().all(|b| b.is_ascii_digit()));
    number
        .or_else(|| text("uid"))
        .or_else(|| text("uniqueId"))
        .or_else(|| text("createTime"))
        .or_else(|| text("creationTimestamp"))
        .or_else(|| text("timeCreated"))
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
