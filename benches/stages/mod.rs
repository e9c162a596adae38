//! The stages from text to a finished run, each callable alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use r5flow::catalog::Catalog;
use r5flow::check::names::FlowId;
use r5flow::check::{self, Checked};
use r5flow::cli::hooks;
use r5flow::cli::session::{self, EditView, Options, Order, PlanView, Talk};
use r5flow::cli::world::Choice;
use r5flow::diag::Diagnostic;
use r5flow::fetch::{Limits, Places, Project};
use r5flow::journal::{RunStatus, Started, State};
use r5flow::package::select::Here;
use r5flow::package::{self, Program};
use r5flow::plan::{Graph, Memo};
use r5flow::run::edit::Drifted;
use r5flow::run::{
    Core, Embedded, GateAnswer, GateQuestion, InboxSource, Local, Mode, Observer, Parts, Settings,
    drive,
};
use r5flow::sim::{Scenario, Sim, SimWire};
use r5flow::store::{Key, MemoryJournal, Vault};
use r5flow::world::Timestamp;
use r5flow::world::clock::{Clock, VirtualClock};

pub fn load(text: &str) -> Program {
    let files = BTreeMap::from([("bench.r5flow".to_owned(), text.to_owned())]);
    let (program, findings) = package::load("bench.r5flow", &files).expect("the text is there");
    assert!(findings.is_empty(), "{findings:?}");
    program
}

pub fn checked<'p>(program: &'p Program, catalog: &Catalog) -> Checked<'p> {
    let checked = check::check_with(program, catalog, &hooks::syntax);
    assert!(!checked.has_errors(), "{:?}", checked.diagnostics.first());
    checked
}

pub fn graph<'p>(checked: &'p Checked<'p>) -> Graph<'p> {
    Graph::build(&checked.names, FlowId(0), BTreeMap::new(), &Memo::default()).expect("builds")
}

/// Runs a graph with a journal that only remembers.
pub fn run_in_memory(program: &Program, graph: Graph<'_>, catalog: &Catalog) {
    let clock: Rc<dyn Clock> = Rc::new(VirtualClock::new(Timestamp(0)));
    let cloud = Sim::new(catalog.clone(), Scenario::default(), Timestamp(0));
    let (_, stops) = tokio::sync::mpsc::unbounded_channel();
    let mut engine = Embedded::new(Parts {
        journal: Box::new(MemoryJournal::new()),
        next_seq: 1,
        vault: Rc::new(Vault::empty(Key::new([7; 32]))),
        wire: Rc::new(SimWire::new(
            Rc::new(std::cell::RefCell::new(cloud)),
            Rc::clone(&clock),
        )),
        clock: Rc::clone(&clock),
        hooks: Rc::new(hooks::RhaiHooks::of(program)),
        inbox: Rc::new(Nobody),
        observer: Rc::new(Silent),
        stops,
    });
    let mut core = Core::new(
        graph,
        Memo::default(),
        State::default(),
        catalog.clone(),
        Settings::new(Mode::Run),
        Rc::new(Silent),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let end = runtime
        .block_on(drive(&mut core, &mut engine, clock.now()))
        .expect("a journal in memory takes everything");
    assert_eq!(end.status, RunStatus::Done, "{:?}", end.failures.first());
}

/// What `r5flow run FILE --sim --yes` does: load, check, and run with SQLite and a sync for every
/// commit. The journal is left in `state`.
pub fn run_durably(file: &Path, state: &Path, catalog: &Catalog) {
    let order = Order {
        file: file.display().to_string(),
        workflow: None,
        given: BTreeMap::new(),
        world: Choice::Sim(None),
        options: Options {
            protection: Default::default(),
            marks: true,
            catalog: catalog.clone(),
            files: Project::new(Places {
                root: ".".into(),
                cache: None,
                here: Here {
                    r5flow: semver::Version::new(0, 1, 0),
                    catalog: BTreeMap::new(),
                },
                limits: Limits::default(),
            }),
            state: state.to_owned(),
            environment: "default".into(),
            parallel: 16,
            until: None,
            yes: true,
            interactive: false,
            by: "bench".into(),
            planned_at: None,
        },
        saved: None,
    };
    match session::run(&order, &Quiet) {
        Ok(report) => assert_eq!(report.end.status, RunStatus::Done),
        Err(error) => panic!("{error:?}"),
    }
}

struct Silent;

impl Observer for Silent {}

struct Nobody;

impl InboxSource for Nobody {
    fn ask(&self, _: GateQuestion) -> Local<'_, GateAnswer> {
        Box::pin(std::future::pending())
    }

    fn patient(&self) -> bool {
        false
    }
}

struct Quiet;

impl Talk for Quiet {
    fn other_descriptions(&self, _: &[String]) {}
    fn review(&self, _: &EditView<'_>, _: bool) -> Option<bool> {
        None
    }
    fn drifted(&self, _: &[Drifted], _: &Vault, _: bool) -> Option<bool> {
        None
    }
    fn confirm_destruction(&self, _: &str, _: usize) -> Option<bool> {
        None
    }
    fn rollback(&self, _: &r5flow::cli::session::RollbackView<'_>) {}
    fn confirm_rollback(&self) -> Option<bool> {
        None
    }
    fn warnings(&self, _: &Program, _: &[Diagnostic]) {}

    fn confirm(&self, _: &PlanView<'_>) -> Option<bool> {
        Some(true)
    }

    fn begins(&self, _: &str, _: &Started, _: bool) {}

    fn observer(&self, _: Rc<Vault>, _: Rc<dyn Clock>) -> Rc<dyn Observer> {
        Rc::new(Silent)
    }
}

/// Texts of a flow on disk, for stages that read it there.
pub fn write(folder: &Path, text: &str) -> Arc<Path> {
    let path = folder.join("bench.r5flow");
    std::fs::write(&path, text).expect("writes");
    Arc::from(path)
}
