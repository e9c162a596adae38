//! A run, assembled: program, inputs, world, graph, core, engine; and its end.

mod drift;
mod drive;
mod edit;
mod history;
mod load;
mod plan;
mod recorded;
mod resume;
mod rollback;
mod saved;
mod watch;

pub use drive::run;
pub use edit::{foresee, under_way};
pub use history::{History, find_run, history, understood};
pub use load::{checked, choose, has_errors, load};
pub use plan::plan;
pub use resume::resume;
pub use rollback::{RollbackView, rollback};
pub use saved::SavedPlan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::check::{Given, InputProblem};
use crate::cli::world::Choice;
use crate::diag::Diagnostic;
use crate::fetch::Project;
use crate::journal::{self, EditVerdict, Started};
use crate::package::Program;
use crate::plan::{CriticalPath, Graph};
use crate::run::edit::{Drifted, Reviewed, Wishes};
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
    Unwritten {
        file: String,
        why: String,
    },
    /// Policies find errors in what would be sent.
    Refused(Vec<Diagnostic>),
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
    /// The plan that was approved; the run must do just that.
    pub saved: Option<Box<SavedPlan>>,
}

/// What plan, run and resume share.
#[derive(Clone, Debug)]
pub struct Options {
    pub catalog: Catalog,
    /// The project's files, and those of its libraries.
    pub files: Project,
    pub state: PathBuf,
    pub environment: String,
    pub parallel: usize,
    pub until: Option<String>,
    /// Nobody is asked.
    pub yes: bool,
    pub protection: Protection,
    /// Whether what is created carries the labels of its run.
    pub marks: bool,
    /// Whether gates may wait here for an answer from elsewhere.
    pub interactive: bool,
    /// Who runs it.
    pub by: String,
    /// What a plan takes `run.started` for; now, when nobody says.
    pub planned_at: Option<Timestamp>,
}

/// Environments in which nothing is deleted or replaced unless somebody says so.
#[derive(Clone, Debug, Default)]
pub struct Protection {
    pub protected: BTreeSet<String>,
    /// The one for which it was said on the command line.
    pub consented: Option<String>,
}

impl Protection {
    pub fn spares(&self, environment: &str) -> bool {
        self.protected.contains(environment) && self.consented.as_deref() != Some(environment)
    }
}

impl Options {
    fn settings(&self, mode: Mode) -> Settings {
        Settings {
            parallel: self.parallel,
            until: self.until.clone(),
            marks: self.marks,
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
    /// The flow's files are read anew.
    pub edited: bool,
    pub wishes: Wishes,
    /// Whether what the run made is looked at, when it stood still for long.
    pub refresh: bool,
    pub options: Options,
}

impl ResumeOrder {
    /// Whether more is wanted than going on.
    fn edits(&self) -> bool {
        let Wishes {
            from,
            redo,
            keep,
            forget,
            moved: _,
        } = &self.wishes;
        self.edited || from.is_some() || ![redo, keep, forget].iter().all(|names| names.is_empty())
    }
}

/// What an edit makes of a run, before anything is sent.
pub struct EditView<'v> {
    pub run: &'v str,
    pub lines: &'v [Reviewed],
    pub mask: &'v Vault,
}

impl EditView<'_> {
    /// Whether only a person can say what some step is.
    pub fn undecided(&self) -> usize {
        let undecided = |l: &&Reviewed| l.verdict == EditVerdict::Decide;
        self.lines.iter().filter(undecided).count()
    }

    /// Whether anything that is recorded counts no more, or is done again.
    pub fn changes(&self) -> bool {
        let quiet = |l: &Reviewed| matches!(l.verdict, EditVerdict::Keep | EditVerdict::New);
        !self.lines.iter().all(quiet)
    }
}

/// What a rollback needs to know.
#[derive(Clone, Debug)]
pub struct RollbackOrder {
    pub resume: ResumeOrder,
    /// Only what was done since this checkpoint.
    pub to: Option<String>,
    /// Only look.
    pub dry_run: bool,
}

/// What a plan found.
pub struct PlanView<'v> {
    pub program: &'v Program,
    pub workflow: &'v str,
    pub world: journal::World,
    /// What `run.started` was taken for.
    pub made: Timestamp,
    pub items: Vec<PlanItem>,
    pub graph: &'v Graph<'v>,
    /// What the policies say of what would be sent.
    pub findings: Vec<Diagnostic>,
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
    /// What an edit makes of a run. `None`: nobody is there to answer.
    fn review(&self, edit: &EditView<'_>, asks: bool) -> Option<bool>;
    /// What somebody changed of what a run made. `None`: nobody is there to answer.
    fn drifted(&self, drifted: &[Drifted], mask: &Vault, asks: bool) -> Option<bool>;
    /// Somebody must agree that this many things are deleted or replaced in a protected environment.
    /// `None`: nobody is there to answer.
    fn confirm_destruction(&self, environment: &str, count: usize) -> Option<bool>;
    /// What a rollback will do.
    fn rollback(&self, view: &RollbackView<'_>);
    /// Whether to do it. `None`: nobody is there to answer.
    fn confirm_rollback(&self) -> Option<bool>;
    /// A run begins, or goes on.
    fn begins(&self, run: &str, started: &Started, resumed: bool);
    /// These services are described otherwise than when the run began.
    fn other_descriptions(&self, services: &[String]);
    /// Sees the events of the run; what it shows is masked by the vault.
    fn observer(&self, vault: Rc<Vault>, clock: Rc<dyn Clock>) -> Rc<dyn Observer>;
}
