//! A run, assembled: program, inputs, world, graph, core, engine; and its end.

mod drive;
mod history;
mod load;
mod plan;
mod recorded;
mod resume;

pub use drive::run;
pub use history::{History, find_run, history};
pub use load::{checked, choose, load, secrets_of};
pub use plan::plan;
pub use resume::resume;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::check::{Given, InputProblem};
use crate::cli::world::Choice;
use crate::diag::Diagnostic;
use crate::journal::{self, Started};
use crate::package::Program;
use crate::plan::{CriticalPath, Graph};
use crate::run::{End, Mode, Observer, PlanItem, Settings};
use crate::store::{StoreError, Vault, VaultError};
use crate::world::clock::Clock;
use crate::world::{Millis, Timestamp};

/// Why a session cannot begin or go on; the command line turns it into words and an exit code.
#[derive(Debug)]
pub enum SessionError {
    /// The command was misused.
    Usage(String),
    /// A file of the flow cannot be read.
    Unreadable {
        file: String,
        why: String,
    },
    /// The flow has errors.
    Findings(Box<Program>, Vec<Diagnostic>),
    Inputs(Box<Program>, Vec<InputProblem>),
    /// The flow does not fit these inputs: place, message, help.
    Flow {
        place: String,
        message: String,
        help: Option<String>,
    },
    Secret(VaultError),
    Store(StoreError),
    /// The journal tells something that no r5flow writes.
    Journal(String),
    World(String),
    /// Only a person can decide.
    Decision(String),
    /// A needed answer, and nobody to give it.
    NoAnswer(String),
}

impl From<StoreError> for SessionError {
    fn from(error: StoreError) -> Self {
        SessionError::Store(error)
    }
}

impl From<VaultError> for SessionError {
    fn from(error: VaultError) -> Self {
        SessionError::Secret(error)
    }
}

/// What plan and run need to know.
#[derive(Clone, Debug)]
pub struct Order {
    pub file: String,
    pub workflow: Option<String>,
    pub given: BTreeMap<String, Given>,
    pub world: Choice,
    pub options: Options,
}

/// What plan, run and resume share.
#[derive(Clone, Debug)]
pub struct Options {
    pub catalog: Catalog,
    pub state: PathBuf,
    pub environment: String,
    pub parallel: usize,
    pub until: Option<String>,
    /// Nobody is asked.
    pub yes: bool,
    /// Whether gates may wait here for an answer from elsewhere.
    pub interactive: bool,
    /// Who runs it.
    pub by: String,
}

impl Options {
    fn settings(&self, mode: Mode) -> Settings {
        Settings {
            parallel: self.parallel,
            until: self.until.clone(),
            ..Settings::new(mode)
        }
    }
}

/// What resume needs to know.
#[derive(Clone, Debug)]
pub struct ResumeOrder {
    /// The start of a run's id; the newest run when there is none.
    pub run: Option<String>,
    /// Secrets again, and nothing else.
    pub given: BTreeMap<String, Given>,
    /// `None`: the world in which it began.
    pub world: Option<Choice>,
    pub settings: crate::cloud::Settings,
    pub take_over: bool,
    pub options: Options,
}

/// What a plan found.
pub struct PlanView<'v> {
    pub program: &'v Program,
    pub workflow: &'v str,
    pub world: journal::World,
    pub items: Vec<PlanItem>,
    pub graph: &'v Graph<'v>,
    /// Steps that fail already, with why.
    pub end: End,
    /// How long each step will take, as far as the simulator or an earlier run can tell.
    pub durations: BTreeMap<Arc<str>, Millis>,
    pub estimate: Option<CriticalPath>,
    pub mask: Rc<Vault>,
}

impl PlanView<'_> {
    pub fn changes(&self) -> bool {
        self.items.iter().any(|i| i.action.changes())
    }
}

/// How a run ended.
pub struct Report {
    pub run: String,
    pub end: End,
    pub began: Timestamp,
    pub ended: Timestamp,
    pub secret_outputs: Vec<String>,
    pub program: Program,
}

/// Who is talked to meanwhile.
pub trait Talk {
    /// Findings that do not stop anything.
    fn warnings(&self, program: &Program, findings: &[Diagnostic]);
    /// The plan of a run, before anything changes. `None`: nobody is there to answer.
    fn confirm(&self, plan: &PlanView<'_>) -> Option<bool>;
    /// A run begins, or goes on.
    fn begins(&self, run: &str, started: &Started, resumed: bool);
    /// Sees the events of the run; what it shows is masked by the vault.
    fn observer(&self, vault: Rc<Vault>, clock: Rc<dyn Clock>) -> Rc<dyn Observer>;
}
