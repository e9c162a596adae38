//! One process after another, on a stage.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::actor::Actor;
use super::process::{Process, Seen};
use super::promises::Mark;
use super::stage::Stage;
use super::tape::{Moment, Tape};
use crate::catalog::Catalog;
use crate::check::Checked;
use crate::check::names::FlowId;
use crate::diag::Diagnostic;
use crate::hook::rhai_hooks::RhaiHooks;
use crate::journal::{Event, RunStatus};
use crate::package::Program;
use crate::plan::without_keys;
use crate::run::{End, Hooks, Observer, Settings, TaskId, sealed, unsealed};
use crate::sim::Sim;
use crate::store::{Entry, Key, Vault, VaultError};
use crate::value::Value;
use crate::wire::{Answer, NoAnswer, Request};
use crate::world::{Millis, Timestamp};

/// The id of a run that is played, by how many were played in its cloud before it.
pub(super) fn run_id(before: u32) -> String {
    format!("00000000-0000-7000-8000-{:012}", before + 1)
}

/// What the request ids of that run are made of.
pub(super) fn nonce(before: u32) -> String {
    const FIRST: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
    format!("{:032x}", FIRST + u128::from(before))
}

/// A workflow with its inputs, that can be run from any journal and any cloud.
#[derive(Clone)]
pub struct Case<'a, 'p> {
    pub checked: &'a Checked<'p>,
    pub flow: FlowId,
    pub inputs: BTreeMap<Arc<str>, Value>,
    /// Names and values: none of them may stand in a journal.
    pub secrets: Vec<(String, String)>,
    pub catalog: Catalog,
    pub settings: Settings,
    /// How long the person takes who approves everything.
    pub approves_after: Millis,
    /// What the person says to some gates; the last that fits counts.
    pub judgements: Vec<Judgement>,
}

/// A person's answer to a gate.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The address of the gate; without keys it stands for all iterations.
    pub gate: String,
    pub approves: bool,
    pub after: Option<Millis>,
}

impl<'p> Case<'_, 'p> {
    /// What is answered to a gate, and after how long.
    pub(super) fn judgement(&self, address: &str) -> (bool, Millis) {
        let bare = without_keys(address);
        let said = self.judgements.iter().rev();
        let mut said = said.filter(|j| j.gate == address || j.gate == bare);
        said.next().map_or((true, self.approves_after), |j| {
            (j.approves, j.after.unwrap_or(self.approves_after))
        })
    }

    pub fn program(&self) -> &'p Program {
        self.checked.names.program
    }
}

/// One line of a journal, and the event that is read back from it.
#[derive(Clone, Debug)]
pub struct Line {
    pub seq: u64,
    pub at: Timestamp,
    pub body: String,
    pub event: Event,
}

/// What survives a process.
#[derive(Clone)]
pub struct Left {
    pub journal: Vec<Arc<Line>>,
    pub stage: Stage,
    pub now: Timestamp,
    /// A request that is still on its way.
    pub late: Option<Arc<Request>>,
    /// How many runs ended in this cloud before the one of the journal.
    pub runs: u32,
}

impl Left {
    /// A cloud, and nothing done in it.
    pub fn fresh(cloud: Sim) -> Left {
        Left {
            now: cloud.now(),
            journal: Vec::new(),
            stage: Stage::new(cloud),
            late: None,
            runs: 0,
        }
    }
}

/// An answer that one request gets instead of its own.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The number of the effect.
    pub at: usize,
    /// Whether the request reaches the cloud all the same.
    pub arrives: bool,
    pub answer: Result<Answer, NoAnswer>,
}

/// Requests of somebody else, right before an effect.
#[derive(Clone, Debug)]
pub struct Meddling {
    pub at: usize,
    pub requests: Vec<Request>,
}

/// What a process does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Act {
    /// Begins the run, or goes on with it.
    #[default]
    Run,
    /// Takes the run back, or goes on doing so.
    RollBack,
}

/// How a process is played.
#[derive(Clone, Debug, Default)]
pub struct How {
    pub act: Act,
    /// Draws what completes when; without it everything takes the time that the cloud takes.
    pub seed: Option<u64>,
    /// Whether moments and tape are kept.
    pub record: bool,
    pub fault: Option<Fault>,
    pub meddling: Option<Meddling>,
    /// After so many effects the process counts as one that never ends; 0: the usual number.
    pub fuel: usize,
    /// Whether the cloud stands still once the run is over; otherwise what is under way in it ends.
    pub still: bool,
}

/// Effects after which no flow is believed to end.
const FUEL: usize = 50_000;

/// Why a process has no end.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// Nothing is left that could wake it.
    Hangs,
    /// It asked for more effects than it may.
    NeverEnds,
    /// The journal that it found, or that it wrote, breaks the rules.
    Journal(String),
    /// The graph cannot be built with these inputs.
    Flow(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Hangs => f.write_str("the run hangs: nothing is left that could wake it"),
            Trouble::NeverEnds => f.write_str("the run does not end"),
            Trouble::Journal(what) => write!(f, "the journal is illegal: {what}"),
            Trouble::Flow(what) => f.write_str(what),
        }
    }
}

/// One process, as seen from outside.
pub struct Played {
    pub end: Result<End, Trouble>,
    pub left: Left,
    pub trace: Vec<Mark>,
    /// Requests that it sent.
    pub requests: usize,
    pub effects: usize,
    pub moments: Vec<Moment>,
    pub tape: Tape,
    pub seen: Seen,
    /// A secret that stands in the journal.
    pub leaked: Option<String>,
}

impl Played {
    /// Whether the run ended well.
    pub fn is_done(&self) -> bool {
        matches!(&self.end, Ok(end) if end.status == RunStatus::Done)
    }

    /// The step that an effect belongs to; `run` for the run's own.
    pub fn address(&self, task: TaskId) -> &str {
        self.seen.addresses.get(&task).map_or("run", |a| a)
    }
}

/// The first and the last event of a process are no task's.
pub(super) const PROCESS: TaskId = TaskId(u32::MAX - 1);

/// Plays processes of one case. One thread has one.
pub struct Player<'a, 'p> {
    pub case: &'a Case<'a, 'p>,
    vault: Rc<Vault>,
    hooks: Rc<dyn Hooks>,
}

impl<'a, 'p> Player<'a, 'p> {
    /// # Errors
    /// The secrets cannot be told from the journal's own words.
    pub fn new(case: &'a Case<'a, 'p>) -> Result<Self, VaultError> {
        Ok(Player {
            vault: Rc::new(Vault::new(Key::new([7; 32]), case.secrets.clone())?),
            hooks: Rc::new(RhaiHooks::of(case.program())),
            case,
        })
    }

    /// Plays one process from what the ones before it left.
    pub fn play(&self, left: Left, how: &How) -> Played {
        let start = left.clone();
        self.perform(left, how).unwrap_or_else(|trouble| Played {
            end: Err(trouble),
            left: start,
            trace: Vec::new(),
            requests: 0,
            effects: 0,
            moments: Vec::new(),
            tape: Tape::default(),
            seen: Seen::default(),
            leaked: None,
        })
    }

    /// What the policies in force say of the run that is about to begin; none when it cannot be planned.
    pub fn foresee(&self, left: Left) -> Vec<Diagnostic> {
        let marks: Rc<Marks> = Rc::default();
        let how = How {
            fuel: FUEL,
            ..How::default()
        };
        let mut process = Process {
            player: self,
            actor: Actor::new(self, left, how, Rc::clone(&marks)),
            marks,
            seen: Seen::default(),
        };
        let foreseen = finish(process.foresee());
        foreseen.and_then(Result::ok).unwrap_or_default()
    }

    fn perform(&self, left: Left, how: &How) -> Result<Played, Trouble> {
        let marks: Rc<Marks> = Rc::default();
        let fuel = match how.fuel {
            0 => FUEL,
            fuel => fuel,
        };
        let how = How {
            fuel,
            ..how.clone()
        };
        let act = how.act;
        let mut process = Process {
            player: self,
            actor: Actor::new(self, left, how, Rc::clone(&marks)),
            marks: Rc::clone(&marks),
            seen: Seen::default(),
        };
        let end = finish(async {
            match act {
                Act::Run => process.run().await,
                Act::RollBack => process.roll_back().await,
            }
        });
        let end = match (end, process.actor.trouble()) {
            (_, Some(trouble)) => Err(trouble),
            (Some(end), None) => Ok(end?),
            (None, None) => Err(Trouble::Hangs),
        };
        let mut played = process.actor.played(end);
        played.seen = process.seen;
        played.trace = marks.done.take();
        Ok(played)
    }

    pub(super) fn hooks(&self) -> &dyn Hooks {
        &*self.hooks
    }

    pub(super) fn vault(&self) -> &Rc<Vault> {
        &self.vault
    }

    /// An event as the journal keeps it and gives it back; a secret that stands in it besides.
    pub(super) fn line(
        &self,
        seq: u64,
        at: Timestamp,
        event: &Event,
    ) -> Result<(Line, Option<String>), Trouble> {
        let entry = Entry {
            seq,
            at,
            body: sealed(&self.vault, event),
        };
        let leaked = self
            .case
            .secrets
            .iter()
            .find(|(_, value)| entry.body.contains(value.as_str()))
            .map(|(name, _)| name.clone());
        let event = unsealed(&self.vault, &entry).map_err(Trouble::Journal)?;
        let line = Line {
            seq,
            at,
            body: entry.body,
            event,
        };
        Ok((line, leaked))
    }
}

/// What a process did, in order; shared by the core's observer and the engine.
#[derive(Default)]
pub(super) struct Marks {
    pub done: RefCell<Vec<Mark>>,
    /// The step of each task.
    pub of: RefCell<BTreeMap<TaskId, Arc<str>>>,
}

impl Observer for Marks {
    fn began(&self, task: TaskId, address: &str, _: Timestamp) {
        let address: Arc<str> = Arc::from(address);
        self.of.borrow_mut().insert(task, Arc::clone(&address));
        self.done.borrow_mut().push(Mark::Began(address));
    }
}

/// Polls a future once. In virtual time there is nothing to wait for, so one that is not ready never
/// will be.
pub fn finish<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    match future.as_mut().poll(&mut context) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
