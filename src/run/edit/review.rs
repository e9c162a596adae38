//! The verdicts: what becomes of each recorded step, and what each step of the edited flow is.

mod left;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::super::engine::Engine;
use super::super::step;
use super::super::step::clauses;
use super::super::step::cx::Cx;
use super::super::step::judge::{Then, then, writes_a_state};
use super::super::task::Port;
use super::compare::{Unlike, unlike};
use super::line::{Reviewed, both_ways, gone, remade, with};
use super::matching::Matching;
use super::observed::{Observed, observe};
use super::over::Anew;
use super::recorded::{
    self, Recorded, behind_checkpoint, is_over, is_skipped, meaning_of, removed_later, took_effect,
};
use super::walk::{Side, Walk, carry};
use super::wishes::{Unknown, Wishes};
use crate::catalog::Catalog;
use crate::journal::{Address, Again, EditVerdict, Meaning, State, StepState};
use crate::plan::{Edge, NodeId, Work};
use crate::syntax::ast::{ActionKind, Step};
use crate::value::Value;
use crate::world::Timestamp;

/// Everything that is compared.
pub struct Compared<'o, 'n> {
    pub past: State,
    pub old: Side<'o>,
    pub new: Side<'n>,
    pub catalog: Catalog,
    pub now: Timestamp,
    pub wishes: Wishes,
    /// Whether the flow was read anew; else only wishes count.
    pub edited: bool,
}

/// Compares the recorded flow with the edited one. Nothing is changed; what the verdicts need is read.
///
/// # Errors
/// A checkpoint or a step that does not exist.
pub async fn review(
    compared: Compared<'_, '_>,
    old_engine: &mut dyn Engine,
    new_engine: &mut dyn Engine,
) -> Result<Vec<Reviewed>, Unknown> {
    let Compared {
        past,
        old,
        new,
        catalog,
        now,
        mut wishes,
        edited,
    } = compared;
    let mut walk = Walk::new(old, past.clone(), catalog.clone(), now);
    let records = recorded::recorded(&mut walk, old_engine).await;
    let mut asked: BTreeMap<Address, String> = BTreeMap::new();
    if let Some(name) = &wishes.from {
        let node = walk.shared.graph.borrow().find(name);
        let Some(node) = node.filter(|n| is_checkpoint(&walk, *n)) else {
            return Err(Unknown(format!("the flow has no checkpoint `{name}`")));
        };
        let why = format!("it stands behind `{name}`");
        asked.extend(
            behind_checkpoint(&walk, node)
                .into_iter()
                .map(|a| (a, why.clone())),
        );
    }
    drop(walk);
    wishes.resolve(&past)?;
    for name in &wishes.redo {
        asked.insert(Arc::from(name.as_str()), "it is wanted".into());
    }
    let mut reviewing = Reviewing {
        walk: Walk::new(new, past.clone(), catalog.clone(), now),
        engine: new_engine,
        matching: Matching::new(&past, &records, &wishes),
        records,
        past,
        catalog,
        wishes,
        asked,
        edited,
        touched: BTreeSet::new(),
        anew: Anew::default(),
        lines: Vec::new(),
        passed: BTreeMap::new(),
    };
    reviewing.again_after();
    reviewing.run().await;
    Ok(reviewing.lines)
}

fn is_checkpoint(walk: &Walk<'_>, node: NodeId) -> bool {
    matches!(
        walk.shared.graph.borrow().node(node).work,
        Work::Checkpoint(_)
    )
}

struct Reviewing<'n, 'e> {
    walk: Walk<'n>,
    engine: &'e mut dyn Engine,
    matching: Matching,
    records: BTreeMap<Address, Recorded>,
    past: State,
    catalog: Catalog,
    wishes: Wishes,
    /// Recorded steps that are to be done again, and why.
    asked: BTreeMap<Address, String>,
    edited: bool,
    /// Nodes whose value this review, or the run after it, brings anew.
    touched: BTreeSet<NodeId>,
    anew: Anew,
    lines: Vec<Reviewed>,
    /// New steps without a record whose requests must not be made twice, by their kind: each may be a
    /// done one under a new name.
    passed: BTreeMap<String, Vec<usize>>,
}

/// A step of the edited flow while it is judged.
struct Judged<'a, 'n> {
    cx: &'a Cx<'n>,
    port: &'a Port,
    step: Option<&'n Step>,
    meaning: Meaning,
    from: Address,
    state: StepState,
    record: Recorded,
}

impl<'n> Reviewing<'n, '_> {
    /// What writes the target of a step that is done again must write again after it.
    fn again_after(&mut self) {
        let mut open: Vec<Address> = self.asked.keys().cloned().collect();
        while let Some(first) = open.pop() {
            for later in recorded::later_writers(&self.catalog, &self.past, &first) {
                if !self.asked.contains_key(&later) {
                    let why = format!("it writes what `{first}` writes before it");
                    self.asked.insert(Arc::clone(&later), why);
                    open.push(later);
                }
            }
        }
    }

    async fn run(&mut self) {
        while let Some((cx, port)) = self.walk.next(self.engine).await {
            let step = match cx.work() {
                Work::Step(step) => Some(step),
                _ => None,
            };
            self.node(&cx, &port, step).await;
        }
        self.left_over();
        self.ambiguous();
    }

    async fn node(&mut self, cx: &Cx<'n>, port: &Port, step: Option<&'n Step>) {
        let shared = Rc::clone(&self.walk.shared);
        let guess = self.matching.by_name(&cx.address);
        let it = guess
            .as_ref()
            .and_then(|from| self.records.get(from)?.value.clone())
            .unwrap_or(Value::Null);
        let meaning = carry(self.engine, &shared, port, meaning_of(cx, &it)).await;
        let meaning = meaning.unwrap_or_default();
        if let Some(condition) = step.and_then(clauses::when) {
            let held = carry(self.engine, &shared, port, cx.condition(condition, None)).await;
            if let Some(Ok(Some(false))) = held {
                return self.not_wanted(cx, guess);
            }
        }
        let there = |address: &str| shared.graph.borrow().find(address).is_some();
        let from = self.matching.find(guess, &meaning, &self.records, &there);
        let Some((from, record)) =
            from.and_then(|f| Some((f.clone(), self.records.get(&f)?.clone())))
        else {
            let before = self.matching.by_name(&cx.address);
            let moved = before.and_then(|old| Some((self.other_project(&old, &meaning)?, old)));
            self.fresh(cx, port, step, meaning).await;
            if let (Some((project, old)), Some(line)) = (moved, self.lines.last_mut()) {
                self.matching.claim(&old);
                let why = format!("it is done in `{project}`, and a run stays in its projects");
                let help = format!(
                    "begin another run there; or `--forget {}` leaves what is done, and does it there too",
                    line.address
                );
                line.decide(&why, &help);
            }
            return;
        };
        let state = self.past.steps.get(&from).cloned().unwrap_or_default();
        // `it` is the resource of the record, wherever that was found.
        let it = record.value.clone().unwrap_or(Value::Null);
        let meaning = carry(self.engine, &shared, port, meaning_of(cx, &it)).await;
        let judged = Judged {
            cx,
            port,
            step,
            meaning: meaning.unwrap_or_default(),
            from,
            state,
            record,
        };
        self.judge(judged).await;
    }

    /// The project in which a step took effect, when the same is asked for in another one now.
    fn other_project(&self, old: &Address, meaning: &Meaning) -> Option<String> {
        let record = self.records.get(old)?;
        took_effect(self.past.steps.get(old)?).then_some(())?;
        let (was, path) = without_project(&record.meaning.target)?;
        let (is, same) = without_project(&meaning.target)?;
        (was != is && path == same).then(|| was.to_owned())
    }

    /// `when` is false now.
    fn not_wanted(&mut self, cx: &Cx<'n>, guess: Option<Address>) {
        cx.set_value(&Value::Null);
        let Some(from) = guess else { return };
        let Some(state) = self.past.steps.get(&from) else {
            return;
        };
        self.matching.claim(&from);
        let mut line = Reviewed::of(&cx.address, &from, EditVerdict::Keep, "it is skipped still");
        if !is_skipped(state) {
            self.touched.insert(cx.node);
            line = gone(&from, state, &self.wishes, "its `when` is false now");
        }
        self.lines.push(line);
    }

    /// Nothing is recorded of it.
    async fn fresh(&mut self, cx: &Cx<'n>, port: &Port, step: Option<&'n Step>, meaning: Meaning) {
        if let Some(step) = step
            && let Some(value) = self.brought(cx, port, step).await
        {
            cx.set_value(&value);
        }
        self.touched.insert(cx.node);
        if let Some(step) = step {
            self.anew.note(&self.catalog, cx, step, &meaning);
        }
        if step.is_some_and(|s| changes_by_call(s) && !writes_a_state(&self.catalog, s)) {
            let known = self.passed.entry(meaning.kind).or_default();
            known.push(self.lines.len());
        }
        self.lines.push(Reviewed {
            became: None,
            ..Reviewed::of(
                &cx.address,
                &cx.address,
                EditVerdict::New,
                "nothing of it is done",
            )
        });
    }

    async fn judge(&mut self, judged: Judged<'_, 'n>) {
        let Judged { cx, state, .. } = &judged;
        let stands_on_touched = self.stands_on_touched(cx.node);
        let found = unlike(&self.catalog, &judged.record.meaning, &judged.meaning);
        let mut line = Reviewed::of(&cx.address, &judged.from, EditVerdict::Keep, "");
        if found.guards {
            line.notes
                .push("its conditions read otherwise now; they are over for it".into());
        }
        line.notes.extend(
            found
                .removed
                .iter()
                .map(|path| format!("`{path}` is no longer managed, and stays as it is")),
        );
        let why = self.asked.get(&judged.from).cloned();
        match why {
            Some(why) => line.again(Again::Asked, EditVerdict::Redo, why, &judged.record.meaning),
            None if self.wishes.keeps(&cx.address) => line.why = "it is wanted so".into(),
            None if !is_over(state) => self.unfinished(&judged, &found, &mut line),
            None if is_skipped(state) => match stands_on_touched || self.edited {
                // Whether it is still skipped costs nothing to find out.
                true => {
                    line.verdict = EditVerdict::New;
                    line.why = "it was skipped, and is looked at again".into();
                    line.became = None;
                }
                false => line.why = "it is skipped still".into(),
            },
            None if found.is_same() => {
                line.why = "nothing of it changed".into();
                if let Some(first) = self.under(&judged) {
                    let why = format!("it writes over what `{first}` writes anew");
                    line.again(Again::Asked, EditVerdict::Redo, why, &judged.record.meaning);
                } else if stands_on_touched && judged.step.is_some() {
                    line.why = "nothing of it changed, as far as can be told before".into();
                    line.compare_again(&judged.record.meaning);
                }
            }
            None => self.changed(&judged, &found, &mut line).await,
        }
        self.value(&judged, &line).await;
        let pending = line.became.as_ref().is_some_and(|b| b.meant.is_some());
        if line.verdict != EditVerdict::Keep || pending || stands_on_touched {
            self.touched.insert(judged.cx.node);
        }
        if let (EditVerdict::New | EditVerdict::Update | EditVerdict::Redo, Some(step)) =
            (line.verdict, judged.step)
        {
            let meaning = &judged.meaning;
            self.anew.note(&self.catalog, judged.cx, step, meaning);
        }
        self.lines.push(line);
    }

    /// The step that writes anew what this one has written over.
    fn under(&self, judged: &Judged<'_, '_>) -> Option<Address> {
        let (cx, meaning) = (judged.cx, &judged.meaning);
        let first = self.anew.under(&self.catalog, cx, judged.step?, meaning)?;
        Some(Arc::clone(first))
    }

    /// Whether a value that the node uses is brought anew.
    fn stands_on_touched(&self, node: NodeId) -> bool {
        let graph = self.walk.shared.graph.borrow();
        let mut open = vec![node];
        let mut seen = BTreeSet::new();
        while let Some(node) = open.pop() {
            for (before, why) in graph.before(node) {
                let helper = matches!(graph.node(before).work, Work::Gather | Work::End);
                let growth = matches!(
                    graph.node(before).work,
                    Work::For(..) | Work::If(..) | Work::Enter(_)
                );
                if why == Edge::Data && self.touched.contains(&before) {
                    return true;
                }
                if (why == Edge::Data && helper || growth) && seen.insert(before) {
                    open.push(before);
                }
            }
        }
        false
    }

    /// A step that failed, or that no process brought to an end.
    fn unfinished(&self, judged: &Judged<'_, '_>, found: &Unlike, line: &mut Reviewed) {
        let open = judged.state.open_call().is_some();
        let meant = &judged.record.meaning;
        line.verdict = EditVerdict::New;
        line.why = match (open, judged.state.finished.is_some()) {
            (true, _) => "its open call is settled first".into(),
            (false, true) => "it failed, and is tried again".into(),
            (false, false) => "it was not finished".into(),
        };
        if found.is_same() {
            return;
        }
        line.fields = found.fields.iter().chain(&found.hidden).cloned().collect();
        let effect = took_effect(&judged.state);
        let step = judged.step;
        let again = step.is_none_or(|s| then(&self.catalog, s, found) == Then::Again);
        let converges = step.is_none_or(|s| !changes_by_call(s));
        match (open, effect) {
            (true, _) => {
                let why = "its open call is settled as it was recorded, then it is done as edited";
                let verdict = match converges && !found.elsewhere {
                    true => EditVerdict::Update,
                    false => EditVerdict::Redo,
                };
                line.again(Again::Edited, verdict, why.into(), meant);
            }
            (false, true) if !again && !converges => line.decide(
                "its call took effect, and the flow asks for another one now",
                &both_ways(&line.address.clone()),
            ),
            (false, _) => {
                let why = line.why.clone() + " as edited";
                line.again(Again::Edited, EditVerdict::New, why, meant);
            }
        }
    }

    /// A step that is done, and no longer means what it meant.
    async fn changed(&mut self, judged: &Judged<'_, 'n>, found: &Unlike, line: &mut Reviewed) {
        let meant = &judged.record.meaning;
        line.fields = found.fields.iter().chain(&found.hidden).cloned().collect();
        let Some(step) = judged.step else {
            let why = "its approval was for another text";
            return line.again(Again::Edited, EditVerdict::Redo, why.into(), meant);
        };
        let brought = self.brought(judged.cx, judged.port, step).await;
        if let ActionKind::Hook { .. } = step.action.kind
            && brought.is_some()
            && brought == judged.record.value
        {
            line.fields.clear();
            line.why = "its text changed, and its result did not".into();
            return;
        }
        let ensures = matches!(step.action.kind, ActionKind::Ensure(_));
        match then(&self.catalog, step, found) {
            _ if ensures => self.ensured(judged, step, found, line).await,
            Then::Again => {
                let why = match &step.action.kind {
                    ActionKind::Approve(_) => "its approval was for another text",
                    _ => "it asks for something else now",
                };
                line.again(Again::Edited, EditVerdict::Redo, why.into(), meant);
            }
            Then::Ask => {
                let why = match found.remade.first() {
                    Some(link) if found.is_remade_only() => {
                        format!("it is done, and `{link}` is another one now")
                    }
                    _ => "it is done, and doing it once more is not the same as doing it otherwise"
                        .to_owned(),
                };
                line.decide(&why, &both_ways(&line.address.clone()));
            }
        }
    }

    /// What a changed read or hook brings now.
    async fn brought(&mut self, cx: &Cx<'n>, port: &Port, step: &'n Step) -> Option<Value> {
        let shared = Rc::clone(&self.walk.shared);
        cx.mean_it();
        let looked = carry(self.engine, &shared, port, step::look(cx, step)).await;
        match looked {
            Some(Ok(value)) => value.filter(|v| !v.is_later()),
            _ => None,
        }
    }

    async fn ensured(
        &mut self,
        judged: &Judged<'_, 'n>,
        step: &'n Step,
        found: &Unlike,
        line: &mut Reviewed,
    ) {
        let meant = &judged.record.meaning;
        if removed_later(&self.catalog, &self.past, &judged.from) {
            line.fields.clear();
            line.why = "a later step removed it, so the change has nothing to act on".into();
            return;
        }
        if found.is_remade_only() {
            let link = found.remade.first().cloned().unwrap_or_default();
            if then(&self.catalog, step, found) == Then::Again {
                let why = format!("`{link}` is another one now, and the flow says to replace it");
                return line.again(Again::Edited, EditVerdict::Redo, why, meant);
            }
            let why = format!("it is made of `{link}`, which is another one now");
            let help = format!(
                "say `on change replace` and `--redo {0}` to make it anew, or `--keep {0}`",
                line.address
            );
            return line.decide(&why, &help);
        }
        let shared = Rc::clone(&self.walk.shared);
        let looking = observe(judged.cx, step, &judged.meaning.body, found);
        let seen = carry(self.engine, &shared, judged.port, looking).await;
        match seen {
            Some(Ok(Observed::Gone)) => {
                let why = "it changed, and the resource is gone: it is made again";
                line.again(Again::Edited, EditVerdict::Redo, why.into(), meant);
            }
            Some(Ok(Observed::AsWanted)) => {
                line.fields.clear();
                line.why = "the cloud has what it asks for now".into();
            }
            Some(Ok(Observed::Differs(fields))) => {
                line.fields = fields;
                let why = "its resource is changed in place";
                line.again(Again::Edited, EditVerdict::Update, why.into(), meant);
            }
            Some(Ok(Observed::Replaces(fields))) => {
                line.fields = fields;
                let why = "its resource is deleted and made anew, as `on change replace` says";
                line.again(Again::Edited, EditVerdict::Redo, why.into(), meant);
            }
            Some(Ok(Observed::Fixed(fields))) => {
                let field = fields.first().map(|f| f.path.clone()).unwrap_or_default();
                line.fields = fields;
                let help = format!(
                    "choose another name, or say `on change replace`; `--keep {}` leaves it as it is",
                    line.address
                );
                line.decide(&format!("`{field}` cannot be changed in place"), &help);
            }
            Some(Err(_)) | None => {
                let help = "make the resource readable, then try again";
                line.decide(
                    "its resource cannot be read, so nobody knows what the change does",
                    help,
                );
            }
        }
    }

    /// The value that what depends on the step is compared with.
    async fn value(&mut self, judged: &Judged<'_, 'n>, line: &Reviewed) {
        let recorded = judged.record.value.clone();
        let value = match (line.verdict, judged.step) {
            (EditVerdict::New, _) => None,
            (EditVerdict::Update, _) => {
                recorded.map(|value| with(&value.to_json(), &judged.meaning.body))
            }
            (EditVerdict::Redo, Some(step)) => match &step.action.kind {
                ActionKind::Read(_) | ActionKind::Hook { .. } => {
                    self.brought(judged.cx, judged.port, step).await
                }
                ActionKind::Ensure(_) if !self.asked.contains_key(&judged.from) => {
                    recorded.map(|value| {
                        let new = with(&value.to_json(), &judged.meaning.body).to_json();
                        remade(new)
                    })
                }
                _ => recorded,
            },
            _ => recorded,
        };
        if let Some(value) = value {
            judged.cx.set_value(&value);
        }
    }
}

/// A step that changes something and does not converge on what is there.
fn changes_by_call(step: &Step) -> bool {
    match &step.action.kind {
        ActionKind::Call(_) => true,
        ActionKind::Http(http) => !matches!(&*http.method.text, "GET" | "HEAD"),
        _ => false,
    }
}

/// The project of a path, and the path around it.
fn without_project(path: &str) -> Option<(&str, (&str, &str))> {
    let (head, rest) = path.split_once("projects/")?;
    let (project, tail) = rest.split_once('/')?;
    Some((project, (head, tail)))
}
