//! The corpus of `tests/edits/`: flows, edits of them, and what a resumed run makes of each.
//!
//! Each file holds a flow and edits of it. The flow runs until the edit's `stop`; then the flow is
//! changed, the verdicts are compared with the written ones, and the run goes on: the changes that it
//! sends must be just those that are written. Whoever dies after the edit was recorded must stand on
//! the same ground, so each run is resumed once more, from its journal alone.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use r5flow::catalog::Catalog;
use r5flow::check::{self, Checked, Given};
use r5flow::cli::hooks::RhaiHooks;
use r5flow::journal::{Edited, Event, FORMAT, Source, Started, State, World};
use r5flow::package::{self, Program};
use r5flow::plan::{Graph, Memo};
use r5flow::run::edit::{Compared, Reviewed, Side, Wishes, review};
use r5flow::run::{
    Core, Embedded, End, GateAnswer, GateQuestion, InboxSource, Local, Mode, Observer, Parts,
    Settings, drive, unsealed_as_known,
};
use r5flow::sim::{Call, Cloud, Sim, SimWire};
use r5flow::store::vault::Key;
use r5flow::store::{Entry, Journal, MemoryJournal, Vault};
use r5flow::syntax::ast::Item;
use r5flow::value::Value;
use r5flow::wire::{Answer, Request, SendFuture, Verb, Wire};
use r5flow::world::clock::{Clock, VirtualClock};
use r5flow::world::{Millis, Timestamp};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::edits_undone;
use crate::process::{self, examined, finish};
use crate::stopped::Stopping;

/// A flow and edits of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    flow: String,
    #[serde(default)]
    inputs: BTreeMap<String, Json>,
    /// Inputs that are secrets.
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    edit: Vec<Edit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    name: String,
    /// `end`, `done:STEP`, `open:STEP` (the answer is lost) or `unsent:STEP` (it did not leave).
    #[serde(default = "end")]
    stop: String,
    /// How the first run ends when it is not stopped.
    #[serde(default = "done")]
    first: String,
    /// Texts of the flow and what stands there afterwards.
    #[serde(default)]
    change: Vec<(String, String)>,
    /// The whole flow afterwards.
    flow: Option<String>,
    #[serde(default)]
    inputs: BTreeMap<String, Json>,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    /// What somebody else does meanwhile: `DELETE compute/v1/…`.
    #[serde(default)]
    meanwhile: Vec<String>,
    #[serde(default)]
    redo: BTreeSet<String>,
    #[serde(default)]
    keep: BTreeSet<String>,
    #[serde(default)]
    forget: BTreeSet<String>,
    from: Option<String>,
    /// Every verdict that is neither keep nor new.
    #[serde(default)]
    verdicts: BTreeMap<String, String>,
    /// What the resumed run sends: `METHOD NAME`, in any order.
    #[serde(default)]
    sends: Vec<String>,
    /// How the resumed run ends; without a word, well.
    #[serde(default = "done")]
    ends: String,
}

fn end() -> String {
    "end".into()
}

fn done() -> String {
    "done".into()
}

/// What a process leaves.
pub struct Left {
    pub entries: Vec<Entry>,
    pub sim: Sim,
    pub now: Timestamp,
    pub sent: Vec<String>,
    pub end: Option<End>,
}

impl Left {
    /// The same journal and cloud once more.
    fn again(&self) -> Left {
        Left {
            entries: self.entries.clone(),
            sim: self.sim.clone(),
            now: self.now,
            sent: Vec::new(),
            end: None,
        }
    }
}

/// One flow with its inputs, as one process knows it.
pub struct Told<'a, 'p> {
    program: &'p Program,
    pub checked: &'a Checked<'p>,
    inputs: BTreeMap<Arc<str>, Value>,
    secrets: &'a BTreeMap<String, String>,
}

impl<'a, 'p> Told<'a, 'p> {
    pub fn new(
        program: &'p Program,
        checked: &'a Checked<'p>,
        inputs: &BTreeMap<String, Json>,
        secrets: &'a BTreeMap<String, String>,
    ) -> Self {
        let plain = inputs.iter().map(|(k, v)| (k.clone(), v.clone()));
        let secret = secrets
            .iter()
            .map(|(k, v)| (k.clone(), Json::from(v.as_str())));
        let given = plain.chain(secret).map(|(name, value)| {
            let origin = "the test".to_owned();
            (name, Given::Json { value, origin })
        });
        let flow = main_flow(checked);
        let inputs = check::inputs(&checked.names, flow, given.collect())
            .unwrap_or_else(|p| panic!("{p:#?}"));
        Told {
            program,
            checked,
            inputs,
            secrets,
        }
    }

    pub fn vault(&self) -> Rc<Vault> {
        let secrets = self.secrets.iter().map(|(k, v)| (k.clone(), v.clone()));
        Rc::new(Vault::new(Key::new([7; 32]), secrets.collect()).expect("usable secrets"))
    }

    pub fn side(&self, hooks: BTreeMap<String, Value>) -> Side<'_> {
        let memo = Memo {
            hooks,
            run: Some(Value::record([
                ("id", Value::str("r")),
                ("started", Value::str("s")),
            ])),
            taint: None,
        };
        let flow = main_flow(self.checked);
        let graph = Graph::build(&self.checked.names, flow, self.inputs.clone(), &memo)
            .unwrap_or_else(|e| panic!("{}", e.message));
        Side { graph, memo }
    }

    pub fn parts(
        &self,
        journal: MemoryJournal,
        seq: u64,
        sim: Rc<RefCell<dyn Cloud>>,
        clock: &VirtualClock,
        log: Rc<RefCell<Vec<String>>>,
    ) -> Parts {
        let shared: Rc<dyn Clock> = Rc::new(clock.clone());
        let (_, stops) = tokio::sync::mpsc::unbounded_channel();
        Parts {
            journal: Box::new(journal),
            next_seq: seq,
            vault: self.vault(),
            wire: Rc::new(Watched {
                cloud: SimWire::new(sim, Rc::clone(&shared)),
                log,
            }),
            clock: Rc::clone(&shared),
            hooks: Rc::new(RhaiHooks::of(self.program)),
            inbox: Rc::new(Yes(shared)),
            observer: Rc::new(Quiet),
            stops,
        }
    }

    pub fn past(&self, entries: &[Entry]) -> State {
        let vault = self.vault();
        let mut past = State::default();
        for entry in entries {
            let event = unsealed_as_known(&vault, entry).expect("a readable entry");
            past.apply(entry.seq, entry.at, &event)
                .unwrap_or_else(|e| panic!("{e}\n{}", process::dump(entries)));
        }
        past
    }

    /// One process, from what the one before left.
    pub fn run(&self, left: Left, first: Vec<Event>, stop: &str) -> Left {
        let clock = VirtualClock::new(left.now);
        let journal = MemoryJournal::with(left.entries.clone());
        let mut past = self.past(&left.entries);
        for event in &first {
            past.apply(past.seq + 1, clock.now(), event).expect("legal");
        }
        let log = Rc::new(RefCell::new(Vec::new()));
        let cloud: Rc<RefCell<dyn Cloud>> = Rc::new(RefCell::new(left.sim));
        let seq = left.entries.len() as u64 + 1;
        let mut inner = Embedded::new(self.parts(
            journal.clone(),
            seq,
            Rc::clone(&cloud),
            &clock,
            Rc::clone(&log),
        ));
        for event in first {
            finish(inner.record(event)).expect("recorded");
        }
        let Side { graph, memo } = self.side(past.hooks.clone());
        let settings = Settings::new(Mode::Run);
        let mut core = Core::new(
            graph,
            memo,
            past,
            Catalog::embedded(),
            settings,
            Rc::new(Quiet),
        );
        let mut engine = Stopping {
            inner,
            stop: stop.to_owned(),
            opened: None,
            last: None,
            dead: false,
        };
        let end = finish(drive(&mut core, &mut engine, clock.now())).ok();
        let sim = cloud.borrow().sim().clone();
        let now = clock.now();
        drop(core);
        drop(engine);
        let sent = log.borrow().clone();
        Left {
            entries: journal.read().expect("a journal").entries,
            sim,
            now,
            sent,
            end,
        }
    }

    pub fn started(&self) -> Event {
        Event::Started(Box::new(Started {
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
            world: World::Sim { scenario: None },
            catalog: BTreeMap::new(),
            principal: None,
            by: "test".into(),
            host: "here".into(),
            pid: 1,
        }))
    }
}

pub fn resumed() -> Event {
    Event::Resumed {
        by: "test".into(),
        host: "here".into(),
        pid: 2,
    }
}

fn main_flow(checked: &Checked<'_>) -> check::names::FlowId {
    let root = checked.names.program.root();
    let mut flows = checked.names.flows_of(root.id);
    let main = flows.find(|f| f.name() == "main");
    main.expect("a workflow `main`").id
}

/// The simulated cloud, and a web server that takes everything; notes what would change something.
struct Watched {
    cloud: SimWire,
    log: Rc<RefCell<Vec<String>>>,
}

impl Wire for Watched {
    fn send<'a>(&'a self, request: &'a Request, patience: Millis) -> SendFuture<'a> {
        if request.verb != Verb::Get && !request.method.ends_with(".wait") {
            let body = request.body.as_ref();
            let named = body.and_then(|b| b.get("name")).and_then(Json::as_str);
            let last = request.path.rsplit('/').next().unwrap_or_default();
            let collection = request.path.contains('/') && request.method.ends_with(".insert");
            let name = match named.filter(|_| collection) {
                Some(name) => name,
                None => last,
            };
            self.log
                .borrow_mut()
                .push(format!("{} {name}", request.method));
        }
        if request.service().is_none() {
            return Box::pin(async {
                Ok(Answer {
                    status: 200,
                    headers: Vec::new(),
                    body: b"{\"ok\":true}".to_vec(),
                })
            });
        }
        self.cloud.send(request, patience)
    }
}

struct Yes(Rc<dyn Clock>);

impl InboxSource for Yes {
    fn ask(&self, _: GateQuestion) -> Local<'_, GateAnswer> {
        Box::pin(async move {
            GateAnswer {
                host: None,
                approved: true,
                by: "the test".into(),
                note: None,
                at: self.0.now(),
            }
        })
    }

    fn patient(&self) -> bool {
        true
    }
}

struct Quiet;

impl Observer for Quiet {}

pub fn parsed(text: &str) -> Result<Program, String> {
    let files: BTreeMap<String, String> = [("flow.r5flow".to_owned(), text.to_owned())].into();
    let (program, findings) = package::load("flow.r5flow", &files).expect("a readable flow");
    match findings.first() {
        None => Ok(program),
        Some(found) => Err(format!("the flow does not parse: {found:?}\n{text}")),
    }
}

/// Before the first process.
pub fn nothing_left() -> Left {
    Left {
        entries: Vec::new(),
        sim: process::cloud(),
        now: process::START,
        sent: Vec::new(),
        end: None,
    }
}

/// What went wrong with one edit.
fn tried(file: &File, edit: &Edit) -> Result<(), String> {
    let old_program = parsed(&file.flow)?;
    let (old_checked, errors) = examined(&old_program);
    if !errors.is_empty() {
        return Err(format!("the flow has errors: {errors:?}"));
    }
    let old = Told::new(&old_program, &old_checked, &file.inputs, &file.secrets);
    let mut left = old.run(nothing_left(), vec![old.started()], &edit.stop);
    if (edit.stop == "end") != left.end.is_some() {
        return Err(format!("it did not stop at {}: {:#?}", edit.stop, left.end));
    }
    if let Some(end) = left
        .end
        .as_ref()
        .filter(|e| e.status.as_str() != edit.first)
    {
        return Err(format!(
            "the first run ended {}: {:?}",
            edit.first, end.failures
        ));
    }
    for line in &edit.meanwhile {
        left = meanwhile(left, line)?;
    }
    let text = match &edit.flow {
        Some(text) => text.clone(),
        None => edit
            .change
            .iter()
            .try_fold(file.flow.clone(), |text, (from, to)| {
                match text.contains(from.as_str()) {
                    true => Ok(text.replace(from.as_str(), to)),
                    false => Err(format!("`{from}` is not in the flow")),
                }
            })?,
    };
    let program = parsed(&text)?;
    let (checked, errors) = examined(&program);
    if !errors.is_empty() {
        return Err(format!("the edited flow has errors: {errors:?}"));
    }
    let mut inputs = file.inputs.clone();
    inputs.extend(edit.inputs.clone());
    let mut secrets = file.secrets.clone();
    secrets.extend(edit.secrets.clone());
    let new = Told::new(&program, &checked, &inputs, &secrets);
    let past = new.past(&left.entries);
    let lines = verdicts(&old, &new, edit, &left, past)?;
    let found: BTreeMap<String, String> = lines
        .iter()
        .filter(|l| !matches!(l.verdict.as_str(), "keep" | "new"))
        .map(|l| (l.address.to_string(), l.verdict.as_str().to_owned()))
        .collect();
    if found != edit.verdicts {
        let all: String = lines.iter().map(|l| format!("\n    {l:?}")).collect();
        return Err(format!(
            "verdicts {found:?}, written {:?}{all}",
            edit.verdicts
        ));
    }
    if found.values().any(|v| v == "decide") {
        return Ok(());
    }
    go_on(&new, edit, left, lines)
}

fn go_on(new: &Told<'_, '_>, edit: &Edit, left: Left, lines: Vec<Reviewed>) -> Result<(), String> {
    let source = Source {
        program: new.program.texts(),
        inputs: BTreeMap::new(),
        secrets: Vec::new(),
        catalog: BTreeMap::new(),
    };
    let steps = lines.into_iter().filter_map(|l| l.became).collect();
    let edited = Event::Edited(Box::new(Edited {
        by: "test".into(),
        source: Some(source),
        steps,
    }));
    dies_behind_the_edit(new, edit, &left, &edited)?;
    let before = left.entries.len();
    let ran = new.run(left, vec![resumed(), edited], "");
    let story = || {
        let tail = &ran.entries[before.min(ran.entries.len())..];
        process::dump(tail)
            .lines()
            .map(|l| l.chars().take(600).collect::<String>() + "\n")
            .collect::<String>()
    };
    let end = ran.end.as_ref().ok_or("the resumed run died")?;
    let status = end.status.as_str();
    if status != edit.ends {
        return Err(format!(
            "it ended {status}: {:#?}\n{}",
            end.failures,
            story()
        ));
    }
    let (mut sent, mut wanted) = (ran.sent.clone(), edit.sends.clone());
    sent.sort();
    wanted.sort();
    if sent != wanted {
        return Err(format!("sent {sent:#?}, written {wanted:#?}\n{}", story()));
    }
    if status != "done" {
        return Ok(());
    }
    as_a_new_run(new, edit, &ran)?;
    let meddled = !edit.meanwhile.is_empty();
    edits_undone::taken_back(new, &ran, meddled).map_err(|what| format!("rolled back, {what}"))?;
    // The journal alone leads to the same: nothing is left to do.
    let outputs = end.outputs.clone();
    let again = new.run(ran, vec![resumed()], "");
    let end = again.end.ok_or("the second resumed run died")?;
    if !again.sent.is_empty() || end.outputs != outputs {
        return Err(format!(
            "resumed again it sent {:?} and ended {end:?}",
            again.sent
        ));
    }
    Ok(())
}

/// What a new run of the edited flow makes is there as that one makes it, unless a wish or somebody else
/// says otherwise.
fn as_a_new_run(new: &Told<'_, '_>, edit: &Edit, ran: &Left) -> Result<(), String> {
    if !edit.keep.is_empty() || !edit.meanwhile.is_empty() {
        return Ok(());
    }
    let fresh = new.run(nothing_left(), vec![new.started()], "");
    if !process::is_done(fresh.end.as_ref()) {
        return Err(format!("a new run ends {:?}", fresh.end));
    }
    // What the cloud is still about has come to its end.
    let later = |left: &Left| {
        let mut sim = left.sim.clone();
        sim.advance(left.now.plus(Millis::mins(10)));
        process::contents(&sim)
    };
    let found = later(ran);
    for (key, wanted) in later(&fresh) {
        if !found.get(&key).is_some_and(|found| holds(found, &wanted)) {
            let found = found.get(&key);
            return Err(format!("{key} is {found:?}, and a new run makes {wanted}"));
        }
    }
    Ok(())
}

/// Whether every field has the wanted value; what is no longer written may be there still.
fn holds(found: &Json, wanted: &Json) -> bool {
    match (found, wanted) {
        (Json::Object(found), Json::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| found.get(name).is_some_and(|f| holds(f, wanted))),
        _ => found == wanted,
    }
}

/// Whoever dies behind the edit, right away or with a call open, is resumed on the same ground: the
/// changes take effect as often as without the death.
fn dies_behind_the_edit(
    new: &Told<'_, '_>,
    edit: &Edit,
    left: &Left,
    edited: &Event,
) -> Result<(), String> {
    if edit.ends != "done" {
        return Ok(());
    }
    let undisturbed = new.run(left.again(), vec![resumed(), edited.clone()], "");
    let wanted = process::effective(&undisturbed.sim);
    let contents = process::contents(&undisturbed.sim);
    let changed = edit.verdicts.iter();
    let changed = changed.filter(|(_, verdict)| matches!(verdict.as_str(), "update" | "redo"));
    for (address, _) in changed {
        for how in ["open", "unsent", "done"] {
            let stop = format!("{how}:{address}");
            let dead = new.run(left.again(), vec![resumed(), edited.clone()], &stop);
            if dead.end.is_some() {
                continue;
            }
            let meddled = !edit.meanwhile.is_empty();
            edits_undone::taken_back(new, &dead, meddled)
                .map_err(|what| format!("dead at {stop} and rolled back, {what}"))?;
            let ran = new.run(dead, vec![resumed()], "");
            let status = ran.end.as_ref().map(|e| (e.status.as_str(), &e.failures));
            if status.is_none_or(|(status, _)| status != "done") {
                return Err(format!("dead at {stop} it ended {status:?}"));
            }
            let found = process::effective(&ran.sim);
            let more = |(call, n): &(_, &usize)| wanted.get(*call).is_none_or(|w| w < *n);
            if let Some(more) = found.iter().find(more) {
                return Err(format!("dead at {stop}: {more:?}, undisturbed {wanted:#?}"));
            }
            // A write that would change nothing any more need not be made.
            if process::contents(&ran.sim) != contents {
                return Err(format!("dead at {stop} the cloud is another one"));
            }
        }
    }
    Ok(())
}

fn verdicts(
    old: &Told<'_, '_>,
    new: &Told<'_, '_>,
    edit: &Edit,
    left: &Left,
    past: State,
) -> Result<Vec<Reviewed>, String> {
    let clock = VirtualClock::new(left.now);
    let cloud: Rc<RefCell<dyn Cloud>> = Rc::new(RefCell::new(left.sim.clone()));
    let log = Rc::new(RefCell::new(Vec::new()));
    let engine = |told: &Told<'_, '_>| {
        let journal = MemoryJournal::new();
        Embedded::new(told.parts(journal, 1, Rc::clone(&cloud), &clock, Rc::clone(&log)))
    };
    let moved = new
        .program
        .root()
        .file
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Moved(moved) => Some(moved.addresses()),
            _ => None,
        });
    let compared = Compared {
        old: old.side(past.hooks.clone()),
        new: new.side(BTreeMap::new()),
        past,
        catalog: Catalog::embedded(),
        now: left.now,
        wishes: Wishes {
            from: edit.from.clone(),
            redo: edit.redo.clone(),
            keep: edit.keep.clone(),
            forget: edit.forget.clone(),
            moved: moved.collect(),
        },
        edited: true,
    };
    let (mut a, mut b) = (engine(old), engine(new));
    let lines = finish(review(compared, &mut a, &mut b)).map_err(|e| e.0)?;
    match log.borrow().is_empty() {
        true => Ok(lines),
        false => Err(format!("the review sent {:?}", log.borrow())),
    }
}

/// Somebody else calls the cloud, and waits until it is done.
pub fn meanwhile(mut left: Left, line: &str) -> Result<Left, String> {
    let mut words = line.splitn(3, ' ');
    let verb = words.next().and_then(Verb::parse).ok_or("a verb")?;
    let call = Call {
        service: None,
        verb,
        path: words.next().ok_or("a path")?.to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        body: words.next().unwrap_or_default().as_bytes().to_vec(),
    };
    let reply = left.sim.handle(&call, left.now);
    if reply.answer.status != 200 {
        return Err(format!(
            "{line}: {}",
            String::from_utf8_lossy(&reply.answer.body)
        ));
    }
    left.now = left.now.plus(Millis::mins(10));
    left.sim.advance(left.now);
    Ok(left)
}

#[test]
fn every_edit_of_the_corpus_is_as_it_says() {
    let only = std::env::var("R5FLOW_EDIT").unwrap_or_default();
    let mut names: Vec<_> = std::fs::read_dir(Path::new("tests/edits"))
        .expect("a corpus")
        .map(|entry| entry.expect("a readable entry").path())
        .collect();
    names.sort();
    let (mut count, mut wrong) = (0, Vec::new());
    for name in names {
        let text = std::fs::read_to_string(&name).expect("a readable file");
        let file: File =
            toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", name.display()));
        for edit in &file.edit {
            let full = format!("{}: {}", name.display(), edit.name);
            if !full.contains(&only) {
                continue;
            }
            count += 1;
            if let Err(what) = tried(&file, edit) {
                let what: String = what.chars().take(1800).collect();
                wrong.push(format!("{full}\n  {what}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} edits go wrong:\n\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
    assert!(count >= 60 || !only.is_empty(), "only {count} edits");
}
