//! What a rollback would do: everything that a run did, sorted by what becomes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::journal::{Became, Ledger, Made, Origin, Undo, Verdict};
use crate::plan::Span;
use crate::wire::Verb;

/// Why something stays although the run is rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    /// It was there before.
    Adopted,
    /// It may be somebody else's: nobody can prove that this run created it.
    Presumed,
    /// The flow says `protect`.
    Protected,
}

impl Stays {
    pub fn as_str(self) -> &'static str {
        match self {
            Stays::Adopted => "adopted",
            Stays::Presumed => "presumed",
            Stays::Protected => "protected",
        }
    }
}

/// Why a call lasts that an edit dropped before it was settled.
const FORGOTTEN: &str = "it was forgotten before anybody knew whether it took effect: look whether it did, and take it back by hand";

fn why_it_lasts(made: &Made, catalog: &Catalog) -> &'static str {
    let method = catalog.method(&made.intent.request.method);
    let destroys = method.as_ref().is_some_and(|m| m.destroys());
    let inserts = method.is_some_and(|m| {
        let collection = catalog.collection(&m.collection);
        collection.is_some_and(|c| c.insert.as_ref().is_some_and(|i| i.id == m.id))
    });
    match (destroys, inserts && made.intent.call > 1) {
        (true, _) => "what it deleted is gone for good",
        (_, true) => "what was there before is gone for good, so what replaced it stays",
        _ => {
            "nothing is recorded that takes it back: its step has no `undo`, or did not come to its end"
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stay {
    pub address: Arc<str>,
    pub stays: Stays,
}

/// A call whose effect remains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lasting {
    pub address: Arc<str>,
    pub method: Arc<str>,
    pub verb: Verb,
    pub path: String,
    pub why: &'static str,
}

/// Everything that a run did since a place in its journal.
#[derive(Clone, Debug, Default)]
pub struct Rollback {
    /// What is taken back, the newest first.
    pub undoing: Vec<Made>,
    pub staying: Vec<Stay>,
    pub lasting: Vec<Lasting>,
    /// Calls of which nothing is known yet.
    pub open: Vec<Made>,
    /// Everything that begins anew should the run go on.
    pub addresses: Vec<Arc<str>>,
}

impl Rollback {
    /// What there is to undo of everything behind an entry; 0 for the whole run.
    pub fn of(ledger: &Ledger, catalog: &Catalog, entry: u64) -> Rollback {
        let calls = ledger.calls_since(entry);
        // Where the flow says how a step is taken back, that is for all of its calls at once, but those
        // of what it was before an edit.
        let mut declared: BTreeMap<(Arc<str>, u32), u32> = BTreeMap::new();
        for made in &calls {
            if let Some(Undo::Request { .. }) = made.undo {
                declared.insert(
                    (Arc::clone(&made.address), made.beginning()),
                    made.intent.call,
                );
            }
        }
        let mut rollback = Rollback {
            addresses: ledger.addresses_since(entry),
            ..Rollback::default()
        };
        for stayed in ledger.stayed_since(entry) {
            let stays = match stayed.verdict {
                Verdict::Presumed => continue,
                _ => Stays::Adopted,
            };
            rollback.stay(&stayed.address, stays);
        }
        for made in calls.into_iter().rev() {
            match declared.get(&(Arc::clone(&made.address), made.beginning())) {
                Some(call) if *call != made.intent.call => {}
                _ => rollback.sort(made, catalog),
            }
        }
        rollback.forget_what_goes();
        rollback
    }

    /// What was done to a resource that is deleted goes with it.
    fn forget_what_goes(&mut self) {
        let deleted = self.undoing.iter().filter_map(|made| match &made.undo {
            Some(Undo::Delete { get, .. }) => Some(&get.path),
            _ => None,
        });
        let deleted: Vec<&String> = deleted.collect();
        self.lasting.retain(|lasting| {
            !deleted.iter().any(|path| {
                let rest = lasting.path.strip_prefix(path.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
            })
        });
    }

    fn sort(&mut self, made: Made, catalog: &Catalog) {
        let http = &*made.intent.request.method == "http";
        match (&made.undo, &made.became) {
            (_, Became::Open) if !http && made.now.is_none() => self.last(&made, FORGOTTEN),
            (_, Became::Open) if !http => self.open.push(made),
            (_, Became::Nothing) => {}
            (Some(Undo::Protected), _) => self.stay(&made.address, Stays::Protected),
            (
                Some(Undo::Delete { .. }),
                Became::Took {
                    origin: Origin::Presumed,
                    ..
                },
            ) => self.stay(&made.address, Stays::Presumed),
            (Some(_), _) => self.undoing.push(made),
            (None, _) => self.last(&made, why_it_lasts(&made, catalog)),
        }
    }

    fn stay(&mut self, address: &Arc<str>, stays: Stays) {
        let stay = Stay {
            address: Arc::clone(address),
            stays,
        };
        if !self.staying.contains(&stay) {
            self.staying.push(stay);
        }
    }

    fn last(&mut self, made: &Made, why: &'static str) {
        let request = &made.intent.request;
        self.lasting.push(Lasting {
            address: Arc::clone(&made.address),
            method: Arc::clone(&request.method),
            verb: request.verb,
            path: request.path.clone(),
            why,
        });
    }

    /// What is undone and when it was done, for the graph of the rollback.
    pub fn spans(&self) -> Vec<Span> {
        let span = |made: &Made| Span {
            address: made.undo_address(),
            begun: made.begun,
            over: made.over,
        };
        self.undoing.iter().map(span).collect()
    }

    /// What is undone, by the address under which it is.
    pub fn by_address(&self) -> impl Iterator<Item = (Arc<str>, Made)> {
        self.undoing
            .iter()
            .map(|made| (made.undo_address(), made.clone()))
    }

    /// Open calls by the address of their step: what became of them must be known first.
    pub fn open_by_address(&self) -> impl Iterator<Item = (Arc<str>, Made)> {
        self.open
            .iter()
            .filter_map(|made| Some((made.now.clone()?, made.clone())))
    }

    /// How many resources it deletes, by the flow's word or by itself.
    pub fn deletions(&self) -> usize {
        let deletes = |made: &&Made| match &made.undo {
            Some(Undo::Delete { .. }) => true,
            Some(Undo::Request { request }) => {
                let name = request.method.rsplit('.').next().unwrap_or("");
                request.verb == Verb::Delete || name.starts_with("delete")
            }
            _ => false,
        };
        self.undoing.iter().filter(deletes).count()
    }
}
