//! What a run did to the cloud, call by call: what a rollback has to undo.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
    pub address: Address,
    pub intent: Intent,
    pub became: Became,
    pub undo: Option<Undo>,
    /// The entry of its intent.
    pub begun: u64,
    /// The entry of its outcome: what was begun later may build on it. None yet: nothing does.
    pub over: u64,
}

impl Made {
    /// The address under which it is undone: `undo image`, `undo image#2` for its second call.
    pub fn undo_address(&self) -> Address {
        match self.intent.call {
            1 => format!("{UNDOING}{}", self.address).into(),
            n => format!("{UNDOING}{}#{n}", self.address).into(),
        }
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
    /// Incarnations that the values of finished steps show.
    shown: BTreeMap<Address, String>,
    stayed: Vec<(u64, Stayed)>,
    /// When an address was first heard of.
    heard: BTreeMap<Address, u64>,
    /// When a checkpoint was reached.
    reached: BTreeMap<Address, u64>,
}

impl Ledger {
    pub fn apply(&mut self, seq: u64, event: &Event) {
        if let Event::Undone { addresses } = event {
            return self.forget(addresses);
        }
        let Some(address) = event.address().filter(|a| !is_undoing(a)) else {
            return;
        };
        self.heard.entry(Arc::clone(address)).or_insert(seq);
        match event {
            Event::Undo { call, undo, .. } => self.tell(address, *call, undo),
            Event::Intent { intent, .. } => self.calls.push(Made {
                address: Arc::clone(address),
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
            .rfind(|m| m.address == *address && m.intent.call == call)
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
                if let Some(shown) = incarnation(value) {
                    self.shown.insert(Arc::clone(address), shown);
                }
            }
            _ => {}
        }
    }

    fn forget(&mut self, addresses: &[Address]) {
        let gone: BTreeSet<&Address> = addresses.iter().collect();
        self.calls.retain(|m| !gone.contains(&m.address));
        self.told.retain(|(a, _), _| !gone.contains(a));
        self.shown.retain(|a, _| !gone.contains(a));
        self.stayed.retain(|(_, s)| !gone.contains(&s.address));
        self.heard.retain(|a, _| !gone.contains(a));
        self.reached.retain(|a, _| !gone.contains(a));
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
        let mut calls: Vec<Made> = self
            .calls
            .iter()
            .filter(|m| m.begun > entry && m.counts())
            .cloned()
            .collect();
        for made in &mut calls {
            if let Became::Took { incarnation, .. } = &mut made.became
                && incarnation.is_none()
            {
                *incarnation = self.shown.get(&made.address).cloned();
            }
        }
        calls
    }

    /// What steps behind an entry found and left.
    pub fn stayed_since(&self, entry: u64) -> impl Iterator<Item = &Stayed> {
        self.stayed
            .iter()
            .filter(move |(seq, _)| *seq > entry)
            .map(|(_, stayed)| stayed)
    }

    /// Everything that was first heard of behind an entry: steps, growths, checkpoints.
    pub fn addresses_since(&self, entry: u64) -> Vec<Address> {
        self.heard
            .iter()
            .filter(|(_, seq)| **seq > entry)
            .map(|(address, _)| Arc::clone(address))
            .collect()
    }
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
