//! A flow, the simulated cloud and the real core, put together in process; and a process that dies.
//!
//! Every effect that the core asks for has a number. A [`Death`] names one of them and what the
//! world has seen of it; after it nothing that was under way has any further effect. What is left
//! is the journal and the cloud, and a new core must make the best of them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use r5flow::catalog::Catalog;
use r5flow::check::{self, Checked, Given};
use r5flow::cli::hooks::RhaiHooks;
use r5flow::journal::{self, Event, FORMAT, RunStatus, Started, State};
use r5flow::package::Program;
use r5flow::plan::{Graph, Memo};
use r5flow::run::{
    Core, Effect, Embedded, End, Engine, GateAnswer, GateQuestion, Happening, InboxSource, Local,
    Mode, NodeStatus, Observer, Parts, Reply, Settings, TaskId, drive, unsealed,
};
use r5flow::sim::{Cloud, Sim, SimWire};
use r5flow::store::vault::Key;
use r5flow::store::{Entry, Journal, MemoryJournal, StoreError, Vault};
use r5flow::value::Value;
use r5flow::wire::{Request, Verb, Wire};
use r5flow::world::clock::{Clock, VirtualClock};
use r5flow::world::{Millis, Timestamp};
use serde_json::Value as Json;

use crate::meddler::Meddler;
pub use crate::rig::{START, checked, cloud, examined, program};

/// No flow of these tests needs so many effects; one that takes more never ends.
const FUEL: usize = 50_000;

/// What the world has seen of the effect at which a process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Nothing: an append was not made, a request did not leave.
    Before,
    /// An append is durable but was never acknowledged; a request took effect, its answer is lost.
    After,
    /// As `After`, and so is everything else that was under way.
    AfterAll,
    /// Nothing that was not acknowledged is durable.
    Torn,
    /// A request that leaves the dead process late: after the next one has looked around.
    Late,
}

#[derive(Clone, Copy, Debug)]
pub struct Death {
    pub at: usize,
    pub fate: Fate,
}

/// What happened, in the order in which it happened.
#[derive(Clone, Debug)]
pub enum Mark {
    Began(Arc<str>),
    Sent(Request),
    Durable(Event),
}

/// A flow that can be run from any journal and any cloud.
pub struct Case<'a, 'p> {
    pub program: &'p Program,
    pub checked: &'a Checked<'p>,
    pub inputs: BTreeMap<Arc<str>, Value>,
    pub parallel: usize,
    /// What stands between the run and the cloud.
    pub meddler: Option<Rc<Meddler>>,
}

/// What survives a process.
#[derive(Clone)]
pub struct Left {
    pub entries: Vec<Entry>,
    pub sim: Sim,
    pub now: Timestamp,
    /// A request that is still on its way.
    pub late: Option<Request>,
}

/// One process, as seen from outside.
pub struct Ran {
    /// `None`: it died.
    pub end: Option<End>,
    pub left: Left,
    pub trace: Vec<Mark>,
    /// The kinds of its effects, by number.
    pub effects: Vec<Kind>,
    pub status: BTreeMap<Arc<str>, NodeStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Append,
    Read,
    Change,
    Other,
}

impl<'a, 'p> Case<'a, 'p> {
    pub fn new(program: &'p Program, checked: &'a Checked<'p>, given: &Json) -> Self {
        let flow = main_flow(checked);
        let given = given
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| {
                let value = v.clone();
                let origin = "the test".to_owned();
                (k.clone(), Given::Json { value, origin })
            })
            .collect();
        let inputs = check::inputs(&checked.names, flow, given)
            .unwrap_or_else(|p| panic!("{p:#?}\n{}", program.root().source.text));
        Case {
            program,
            checked,
            inputs,
            parallel: 16,
            meddler: None,
        }
    }

    /// A cloud and an empty journal.
    pub fn fresh(sim: Sim) -> Left {
        let now = sim.now();
        Left {
            entries: Vec::new(),
            sim,
            now,
            late: None,
        }
    }

    /// Runs one process from what the ones before it left.
    pub fn run(&self, left: Left, death: Option<Death>) -> Ran {
        let clock = VirtualClock::new(left.now);
        let vault = Rc::new(Vault::new(Key::new([7; 32]), Vec::new()).expect("no secrets"));
        let mut past = State::default();
        for entry in &left.entries {
            let event = unsealed(&vault, entry).expect("a readable entry");
            past.apply(entry.seq, entry.at, &event)
                .unwrap_or_else(|e| panic!("the journal is illegal: {e}\n{}", dump(&left.entries)));
        }
        let journal = MemoryJournal::with(left.entries.clone());
        let resumed = past.started.is_some();
        let first = if resumed {
            Event::Resumed {
                by: "test".into(),
                host: "here".into(),
                pid: 2,
            }
        } else {
            let started = Event::Started(Box::new(self.started()));
            past.apply(1, clock.now(), &started).expect("a beginning");
            started
        };
        let next_seq = left.entries.len() as u64 + 1;
        let cloud: Rc<RefCell<dyn Cloud>> = Rc::new(RefCell::new(left.sim));
        let shared_clock: Rc<dyn Clock> = Rc::new(clock.clone());
        let wire = Rc::new(SimWire::new(Rc::clone(&cloud), Rc::clone(&shared_clock)));
        let log = Rc::new(Log {
            acked: Cell::new(left.entries.len()),
            ..Log::default()
        });
        let mut core = self.core(past, clock.now(), Rc::clone(&log) as Rc<dyn Observer>);
        let (stop, stops) = tokio::sync::mpsc::unbounded_channel();
        let mut inner = Embedded::new(Parts {
            journal: Box::new(journal.clone()),
            next_seq,
            vault,
            wire: match &self.meddler {
                Some(meddler) => meddler.between(Rc::clone(&wire), Rc::clone(&shared_clock)),
                None => Rc::clone(&wire) as Rc<dyn Wire>,
            },
            clock: Rc::clone(&shared_clock),
            hooks: Rc::new(RhaiHooks::of(self.program)),
            inbox: Rc::new(Yes(Rc::clone(&shared_clock))),
            observer: Rc::new(Quiet),
            stops,
        });
        finish(inner.record(first)).expect("the first event");
        log.acked.set(log.acked.get() + 1);
        let mut engine = Mortal {
            inner,
            death,
            late: left.late.map(|request| (request, 0)),
            wire,
            clock: clock.clone(),
            journal: journal.clone(),
            log: Rc::clone(&log),
            appends: HashMap::new(),
            effects: Vec::new(),
            dead: false,
        };
        let end = finish(drive(&mut core, &mut engine, clock.now())).ok();
        drop(stop);
        let late = engine.late.take().map(|(request, _)| request);
        if let (Some(request), false) = (&late, engine.dead) {
            engine.deliver(request);
        }
        let late = late.filter(|_| engine.dead);
        let effects = std::mem::take(&mut engine.effects);
        if let Some(end) = &end {
            let last = Event::Ended(Box::new(end.event(Vec::new())));
            finish(engine.inner.record(last)).expect("the last event");
        }
        drop(engine);
        let status = statuses(&core);
        drop(core);
        let mut entries = journal.read().expect("a journal").entries;
        if death.is_some_and(|d| d.fate == Fate::Torn) && end.is_none() {
            entries.truncate(log.acked.get());
        }
        let mut sim = cloud.borrow().sim().clone();
        if end.is_some() {
            // Whatever is still under way in the cloud comes to its end.
            sim.advance(clock.now().plus(Millis::mins(60)));
        }
        Ran {
            end,
            left: Left {
                entries,
                sim,
                now: clock.now(),
                late,
            },
            trace: log.marks.take(),
            effects,
            status,
        }
    }

    fn core(&self, past: State, now: Timestamp, observer: Rc<dyn Observer>) -> Core<'_> {
        let began = if past.resumed.is_empty() && past.seq <= 1 {
            now
        } else {
            past.began
        };
        let memo = Memo {
            hooks: past.hooks.clone(),
            run: Some(Value::record([
                ("id", Value::str("00000000-0000-7000-8000-000000000001")),
                ("started", Value::str(began.rfc3339())),
            ])),
            taint: None,
        };
        let flow = main_flow(self.checked);
        let graph = Graph::build(&self.checked.names, flow, self.inputs.clone(), &memo)
            .unwrap_or_else(|e| {
                panic!(
                    "no graph: {}\n{}",
                    e.message,
                    self.program.root().source.text
                )
            });
        assert!(
            graph.sorted().is_ok(),
            "a cycle\n{}",
            self.program.root().source.text
        );
        let settings = Settings {
            parallel: self.parallel,
            ..Settings::new(Mode::Run)
        };
        Core::new(graph, memo, past, Catalog::embedded(), settings, observer)
    }

    fn started(&self) -> Started {
        Started {
            format: FORMAT,
            version: "test".into(),
            run: "00000000-0000-7000-8000-000000000001".into(),
            nonce: "0123456789abcdef0123456789abcdef".into(),
            file: "flow.r5flow".into(),
            workflow: "main".into(),
            program: self.program.texts(),
            inputs: BTreeMap::new(),
            secrets: Vec::new(),
            environment: "test".into(),
            world: journal::World::Sim { scenario: None },
            catalog: BTreeMap::new(),
            principal: None,
            by: "test".into(),
            host: "here".into(),
            pid: 1,
        }
    }
}

/// The workflow named `main`, or the only one.
fn main_flow(checked: &Checked<'_>) -> check::names::FlowId {
    let root = checked.names.program.root();
    let flows: Vec<_> = checked.names.flows_of(root.id).collect();
    flows
        .iter()
        .find(|f| f.name() == "main")
        .or(flows.first())
        .expect("a workflow")
        .id
}

/// Polls a future to its end. On one thread with virtual time there is nothing to wait for, so one
/// that is not ready never will be.
pub fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    match future.as_mut().poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the run hangs: nothing is left that could wake it"),
    }
}

pub fn dump(entries: &[Entry]) -> String {
    entries
        .iter()
        .map(|e| format!("{:>4} {}\n", e.seq, e.body))
        .collect()
}

/// Approves everything after five minutes.
struct Yes(Rc<dyn Clock>);

impl InboxSource for Yes {
    fn ask(&self, _: GateQuestion) -> Local<'_, GateAnswer> {
        Box::pin(async move {
            self.0.sleep_until(self.0.now().plus(Millis::mins(5))).await;
            GateAnswer {
                approved: true,
                by: "the test".into(),
                host: None,
                note: None,
                at: self.0.now(),
            }
        })
    }

    fn patient(&self) -> bool {
        true
    }

    fn takes_virtual_time(&self) -> bool {
        true
    }
}

struct Quiet;

impl Observer for Quiet {}

#[derive(Default)]
struct Log {
    marks: RefCell<Vec<Mark>>,
    /// Entries that were acknowledged.
    acked: Cell<usize>,
}

impl Log {
    fn durable(&self, events: Vec<Event>) {
        self.acked.set(self.acked.get() + events.len());
        let marks = events.into_iter().map(Mark::Durable);
        self.marks.borrow_mut().extend(marks);
    }
}

impl Observer for Log {
    fn began(&self, _: TaskId, address: &str, _: Timestamp) {
        self.marks
            .borrow_mut()
            .push(Mark::Began(Arc::from(address)));
    }
}

/// An engine that dies at the effect it is told to.
struct Mortal {
    inner: Embedded,
    death: Option<Death>,
    /// A request of the process before, and how many requests it has let pass.
    late: Option<(Request, usize)>,
    wire: Rc<SimWire>,
    clock: VirtualClock,
    journal: MemoryJournal,
    log: Rc<Log>,
    appends: HashMap<TaskId, Vec<Event>>,
    effects: Vec<Kind>,
    dead: bool,
}

/// How many requests of the next process a late one lets pass.
const LETS_PASS: usize = 3;

impl Mortal {
    fn die(&mut self, task: TaskId, effect: Effect, fate: Fate) {
        self.dead = true;
        match (fate, effect) {
            (Fate::Late, Effect::Send { request, .. }) => self.late = Some((*request, 0)),
            (Fate::Before | Fate::Torn | Fate::Late, _) => {}
            (Fate::After | Fate::AfterAll, effect @ (Effect::Append(_) | Effect::Send { .. })) => {
                if fate == Fate::AfterAll {
                    self.inner.begin(task, effect);
                    let mut context = Context::from_waker(Waker::noop());
                    let _ = pin!(self.inner.next()).as_mut().poll(&mut context);
                    return;
                }
                match effect {
                    Effect::Append(_) => self.inner.begin(task, effect),
                    Effect::Send { request, .. } => self.deliver(&request),
                    _ => {}
                }
            }
            (Fate::After | Fate::AfterAll, _) => {}
        }
    }

    /// The request reaches the cloud; nobody hears the answer.
    fn deliver(&self, request: &Request) {
        let mut context = Context::from_waker(Waker::noop());
        let mut sending = self.wire.send(request, Millis::mins(3));
        let _ = sending.as_mut().poll(&mut context);
    }

    fn see(&mut self, task: TaskId, effect: &Effect) {
        let kind = match effect {
            Effect::Append(events) => {
                self.appends.insert(task, events.clone());
                Kind::Append
            }
            Effect::Send { request, .. } => {
                self.log
                    .marks
                    .borrow_mut()
                    .push(Mark::Sent((**request).clone()));
                if changes(request) {
                    Kind::Change
                } else {
                    Kind::Read
                }
            }
            Effect::Sleep { .. } | Effect::Inbox(_) | Effect::Hook { .. } => Kind::Other,
        };
        self.effects.push(kind);
        assert!(
            self.effects.len() < FUEL,
            "the run never ends:\n{}",
            dump(&self.journal.read().expect("a journal").entries)
        );
    }

    fn late_comes(&mut self) {
        if let Some((request, passed)) = &mut self.late {
            *passed += 1;
            if *passed > LETS_PASS {
                let request = request.clone();
                self.late = None;
                self.deliver(&request);
            }
        }
    }
}

impl Engine for Mortal {
    fn begin(&mut self, task: TaskId, effect: Effect) {
        if self.dead {
            return;
        }
        if let Effect::Send { .. } = &effect {
            self.late_comes();
        }
        self.see(task, &effect);
        match self.death {
            Some(death) if death.at == self.effects.len() => self.die(task, effect, death.fate),
            _ => self.inner.begin(task, effect),
        }
    }

    fn next(&mut self) -> Pin<Box<dyn Future<Output = (Happening, Timestamp)> + '_>> {
        Box::pin(async move {
            if self.dead {
                let error = StoreError::Io {
                    doing: "written",
                    path: "journal".into(),
                    detail: "the process is dead".into(),
                };
                return (Happening::Broken(error), self.clock.now());
            }
            let (happening, at) = self.inner.next().await;
            if let Happening::Reply(task, Reply::Appended) = &happening
                && let Some(events) = self.appends.remove(task)
            {
                self.log.durable(events);
            }
            (happening, at)
        })
    }
}

/// Whether a request may change something.
pub fn changes(request: &Request) -> bool {
    let method = Catalog::embedded().method(&request.method);
    request.verb != Verb::Get && method.is_none_or(|m| !m.reads)
}

fn statuses(core: &Core<'_>) -> BTreeMap<Arc<str>, NodeStatus> {
    let graph = core.graph();
    graph
        .nodes()
        .map(|n| (Arc::clone(&graph.node(n).address), core.status(n).clone()))
        .collect()
}

/// How often each change took effect, by method and target.
pub fn effective(sim: &Sim) -> BTreeMap<(String, String), usize> {
    let mut count = BTreeMap::new();
    for change in sim.mutations().iter().filter(|m| m.effective) {
        let key = (change.method.clone(), change.target.clone());
        *count.entry(key).or_insert(0) += 1;
    }
    count
}

/// Everything in the cloud without what no two runs share: ids, times, fingerprints.
pub fn contents(sim: &Sim) -> BTreeMap<String, Json> {
    sim.resources()
        .into_iter()
        .map(|(key, json)| (key, plain(json)))
        .collect()
}

fn plain(json: Json) -> Json {
    match json {
        Json::Object(fields) => Json::Object(
            fields
                .into_iter()
                .filter(|(name, _)| !passing(name))
                .map(|(name, value)| (name, plain(value)))
                .collect(),
        ),
        Json::Array(items) => Json::Array(items.into_iter().map(plain).collect()),
        other => other,
    }
}

fn passing(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    matches!(
        name,
        "id" | "etag"
            | "uid"
            | "timeCreated"
            | "updated"
            | "generation"
            | "numericId"
            | "address"
            | "IPAddress"
    ) || lower.ends_with("fingerprint")
        || lower.ends_with("timestamp")
        || lower.ends_with("time")
        || lower.ends_with("id")
        || lower.contains("ipaddress")
        || lower.contains("natip")
        || lower.contains("networkip")
}

/// Whether a run ended well.
pub fn is_done(end: Option<&End>) -> bool {
    end.is_some_and(|e| e.status == RunStatus::Done)
}
