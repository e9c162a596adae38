//! A process that rolls a run back, in process.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Waker};

use r5flow::catalog::Catalog;
use r5flow::check::Checked;
use r5flow::journal::{Event, Ledger, RunStatus, State};
use r5flow::plan::{Graph, Memo};
use r5flow::run::{
    Core, Embedded, End, GateAnswer, GateQuestion, Hooks, InboxSource, Local, Mode, Observer,
    Parts, Rollback, Settings, drive, unsealed_as_known,
};
use r5flow::sim::{Cloud, Sim, SimWire};
use r5flow::store::vault::Key;
use r5flow::store::{Journal, MemoryJournal, Vault};
use r5flow::value::Value;
use r5flow::wire::{Request, Wire};
use r5flow::world::Millis;
use r5flow::world::clock::{Clock, VirtualClock};
use serde_json::Value as Json;

use crate::process::{Left, contents, finish};

/// A process that rolls back.
pub struct Process<'a, 'p> {
    pub checked: &'a Checked<'p>,
    pub to: Option<&'a str>,
    pub vault: Rc<Vault>,
}

pub struct Rolled {
    pub end: End,
    pub left: Left,
    pub plan: Rollback,
}

impl Process<'_, '_> {
    pub fn run(&self, left: Left) -> Rolled {
        // The rig lets the cloud come to rest behind a run.
        let clock = VirtualClock::new(left.now.max(left.sim.now()));
        let shared_clock: Rc<dyn Clock> = Rc::new(clock.clone());
        let cloud: Rc<RefCell<dyn Cloud>> = Rc::new(RefCell::new(left.sim));
        let wire = Rc::new(SimWire::new(Rc::clone(&cloud), Rc::clone(&shared_clock)));
        let journal = MemoryJournal::with(left.entries);
        let (_stop, stops) = tokio::sync::mpsc::unbounded_channel();
        let mut engine = Embedded::new(Parts {
            journal: Box::new(journal.clone()),
            next_seq: journal.read().expect("a journal").entries.len() as u64 + 1,
            vault: Rc::clone(&self.vault),
            wire: Rc::clone(&wire) as Rc<dyn Wire>,
            clock: Rc::clone(&shared_clock),
            hooks: Rc::new(NoHooks),
            inbox: Rc::new(Nobody),
            observer: Rc::new(Quiet),
            stops,
        });
        let (end, plan) = self.roll(&journal, &mut engine, &clock);
        drop(engine);
        let entries = journal.read().expect("a journal").entries;
        let mut sim = cloud.borrow().sim().clone();
        // Whatever is still under way in the cloud comes to its end.
        sim.advance(clock.now().plus(Millis::mins(5)));
        let now = sim.now().max(clock.now());
        Rolled {
            end,
            left: Left {
                entries,
                sim,
                now,
                late: None,
            },
            plan,
        }
    }

    /// The order of `r5flow rollback`: what became of open calls, then everything taken back.
    fn roll(
        &self,
        journal: &MemoryJournal,
        engine: &mut Embedded,
        clock: &VirtualClock,
    ) -> (End, Rollback) {
        let root = self.checked.names.program.root();
        let flow = self
            .checked
            .names
            .flows_of(root.id)
            .next()
            .expect("a flow")
            .id;
        let names = &self.checked.names;
        let (state, ledger) = past(journal, &self.vault);
        let entry = self
            .to
            .map_or(0, |to| ledger.reached(to).expect("a checkpoint"));
        let mut plan = Rollback::of(&ledger, &Catalog::embedded(), entry);
        if !plan.open.is_empty() {
            finish(engine.record(Event::Resumed {
                by: "test".into(),
                host: "here".into(),
                pid: 2,
            }))
            .expect("recorded");
            let addresses = plan.open_by_address().map(|(a, _)| a).collect();
            let mut core = core(Graph::settling(names, flow, addresses), state);
            core.undo(plan.open_by_address());
            let end = finish(drive(&mut core, engine, clock.now())).expect("an end");
            if end.status != RunStatus::Done {
                return (end, plan);
            }
            plan = Rollback::of(&past(journal, &self.vault).1, &Catalog::embedded(), entry);
            assert!(plan.open.is_empty(), "everything is settled");
        }
        finish(engine.record(Event::RollingBack {
            to: self.to.map(Into::into),
            by: "test".into(),
            host: "here".into(),
            pid: 2,
        }))
        .expect("recorded");
        let (state, _) = past(journal, &self.vault);
        let mut core = core(Graph::undoing(names, flow, plan.spans()), state);
        core.undo(plan.by_address());
        let end = finish(drive(&mut core, engine, clock.now())).expect("an end");
        if end.status == RunStatus::Done {
            let addresses = plan.addresses.clone();
            finish(engine.record(Event::Undone { addresses })).expect("recorded");
        }
        (end, plan)
    }
}

pub fn core<'g>(graph: Graph<'g>, past: State) -> Core<'g> {
    assert!(graph.sorted().is_ok());
    Core::new(
        graph,
        Memo::default(),
        past,
        Catalog::embedded(),
        Settings::new(Mode::Rollback),
        Rc::new(Quiet),
    )
}

pub fn vault() -> Rc<Vault> {
    Rc::new(Vault::new(Key::new([7; 32]), Vec::new()).expect("no secrets"))
}

pub fn past(journal: &MemoryJournal, vault: &Vault) -> (State, Ledger) {
    let (mut state, mut ledger) = (State::default(), Ledger::default());
    for entry in journal.read().expect("a journal").entries {
        let event = unsealed_as_known(vault, &entry).expect("a readable entry");
        state
            .apply(entry.seq, entry.at, &event)
            .unwrap_or_else(|e| panic!("the journal is illegal: {e}"));
        ledger.apply(entry.seq, &event);
    }
    (state, ledger)
}

pub struct Quiet;
impl Observer for Quiet {}

pub struct Nobody;
impl InboxSource for Nobody {
    fn ask(&self, _: GateQuestion) -> Local<'_, GateAnswer> {
        Box::pin(std::future::pending())
    }
    fn patient(&self) -> bool {
        false
    }
}

pub struct NoHooks;
impl Hooks for NoHooks {
    fn call(&self, _: &str, _: Vec<Value>) -> Local<'_, Result<Value, String>> {
        Box::pin(async { Err("a rollback calls no hook".into()) })
    }
}

pub const NOTHING: [&str; 0] = [];

/// A call of somebody else, now.
pub fn somebody(left: &mut Left, method: &str, path: &str, body: Option<Json>) {
    let method = Catalog::embedded().method(method).expect("a method");
    let request = Request {
        method: method.id.clone(),
        verb: method.verb,
        path: path.into(),
        query: Vec::new(),
        headers: Vec::new(),
        body,
    };
    left.now = left.now.max(left.sim.now()).plus(Millis::secs(1));
    let before = left.sim.mutations().len();
    let cloud: Rc<RefCell<dyn Cloud>> = Rc::new(RefCell::new(left.sim.clone()));
    let wire = SimWire::new(
        Rc::clone(&cloud),
        Rc::new(VirtualClock::new(left.now)) as Rc<dyn Clock>,
    );
    // The cloud has the call as soon as it is sent; nobody waits for the answer.
    let mut sending = wire.send(&request, Millis::mins(3));
    let _ = sending
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    drop(sending);
    left.sim = cloud.borrow().sim().clone();
    left.now = left.now.plus(Millis::mins(5));
    left.sim.advance(left.now);
    let made = left.sim.mutations();
    assert!(
        made.len() > before && made[made.len() - 1].effective,
        "{method:?}"
    );
}

/// The names of everything in the cloud that differ.
pub fn difference(a: &Sim, b: &Sim) -> Vec<String> {
    let (a, b) = (contents(a), contents(b));
    let keys = a.keys().chain(b.keys()).filter(|k| a.get(*k) != b.get(*k));
    keys.cloned().collect()
}

pub fn roll_back(checked: &Checked<'_>, left: Left) -> Rolled {
    let vault = vault();
    Process {
        checked,
        to: None,
        vault,
    }
    .run(left)
}

pub fn verdicts(left: &Left) -> BTreeMap<String, &'static str> {
    let journal = MemoryJournal::with(left.entries.clone());
    let (state, _) = past(&journal, &vault());
    let undone = state.steps.iter().filter(|(a, _)| a.starts_with("undo "));
    undone
        .filter_map(|(address, step)| Some((address.to_string(), step.verdict()?.as_str())))
        .collect()
}
