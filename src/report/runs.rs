//! Recorded runs: the list, and one of them in detail.

use serde_json::{Value as Json, json};

use super::style::{Look, clean, count, moment, one_line, span};
use super::{failure, head};
use crate::journal::{CallState, Event, Outcome, RunStatus, State, StepState, World};
use crate::source::SourceMap;
use crate::store::{Key, Vault};
use crate::world::Timestamp;

/// Sealed secrets as people may see them. What a journal holds is masked without its key.
fn shown(text: &str) -> String {
    clean(&Vault::empty(Key::new([0; 32])).mask(text))
}

fn shown_json(json: &Json) -> Json {
    Vault::empty(Key::new([0; 32])).mask_json(json)
}

/// One run in the list.
#[derive(Debug)]
pub struct Row {
    id: String,
    workflow: String,
    status: String,
    began: Option<Timestamp>,
    last: Timestamp,
    world: &'static str,
    environment: String,
    by: String,
    damage: Option<String>,
}

impl Row {
    pub fn of(id: String, state: &State, damage: Option<String>) -> Row {
        let started = state.started.as_ref();
        Row {
            id,
            workflow: started.map_or_else(|| "?".into(), |s| clean(&s.workflow)),
            status: match damage {
                Some(_) => "damaged".into(),
                None => status(state).to_owned(),
            },
            began: started.map(|_| state.began),
            last: state.at,
            world: started.map_or("?", |s| short(&s.world)),
            environment: started.map_or_else(String::new, |s| clean(&s.environment)),
            by: started.map_or_else(|| "?".into(), |s| clean(&s.by)),
            damage,
        }
    }

    /// A run of which nothing can be read.
    pub fn unreadable(id: String, why: String) -> Row {
        Row::of(id, &State::default(), Some(why))
    }

    pub fn is_damaged(&self) -> bool {
        self.damage.is_some()
    }

    fn took(&self) -> String {
        self.began
            .map_or_else(String::new, |at| span(self.last.since(at)))
    }

    pub fn json(&self) -> Json {
        json!({
            "kind": "run",
            "id": self.id,
            "workflow": self.workflow,
            "status": self.status,
            "began": self.began.map(Timestamp::rfc3339),
            "last": self.began.map(|_| self.last.rfc3339()),
            "world": self.world,
            "environment": self.environment,
            "by": self.by,
            "damage": self.damage,
        })
    }
}

/// How a run stands; without an end its process works on it, or died.
fn status(state: &State) -> &'static str {
    match &state.ended {
        Some(ended) => ended.status.as_str(),
        None if state.is_rolled_back() => RunStatus::RolledBack.as_str(),
        None => "not ended",
    }
}

fn short(world: &World) -> &'static str {
    match world {
        World::Sim { .. } => "simulator",
        World::Google { endpoints } if endpoints.is_empty() => "Google Cloud",
        World::Google { .. } => "endpoints",
    }
}

fn painted(status: &str, width: usize, look: Look) -> String {
    let text = format!("{status:width$}");
    match status {
        "done" => look.green(&text),
        "paused" | "not ended" | "cancelled" | "rolled back" => look.yellow(&text),
        _ => look.red(&text),
    }
}

/// All runs, the newest first.
pub fn table(rows: &[Row], look: Look) -> String {
    if rows.is_empty() {
        return "no runs yet\n".into();
    }
    let wide = |get: fn(&Row) -> &str, title: &str| {
        let longest = rows.iter().map(|r| get(r).chars().count()).max();
        longest.unwrap_or(0).max(title.len())
    };
    let workflow = wide(|r| &r.workflow, "WORKFLOW");
    let status = wide(|r| &r.status, "STATUS");
    let world = wide(|r| r.world, "WORLD");
    let title = format!(
        "{:36}  {:workflow$}  {:status$}  {:19}  {:>7}  {:world$}  BY",
        "RUN", "WORKFLOW", "STATUS", "BEGAN (UTC)", "TOOK", "WORLD"
    );
    let mut out = format!("{}\n", look.bold(&title));
    for row in rows {
        out.push_str(&format!(
            "{:36}  {:workflow$}  {}  {:19}  {:>7}  {:world$}  {}\n",
            row.id,
            row.workflow,
            painted(&row.status, status, look),
            row.began.map(moment).unwrap_or_default(),
            row.took(),
            row.world,
            row.by
        ));
        if let Some(damage) = &row.damage {
            out.push_str(&format!("    {}\n", look.red(&one_line(damage))));
        }
    }
    out
}

/// One run with everything that its journal tells.
pub struct Detail<'a> {
    pub id: &'a str,
    pub state: &'a State,
    pub events: &'a [(u64, Timestamp, Event)],
}

impl Detail<'_> {
    pub fn text(&self, look: Look) -> String {
        let mut out = format!("run {}\n", look.bold(self.id));
        self.story(&mut out, look);
        let steps: Vec<_> = self
            .state
            .order
            .iter()
            .filter_map(|address| Some((&**address, self.state.steps.get(address)?)))
            .collect();
        let width = steps.iter().map(|(a, _)| a.chars().count()).max();
        let width = width.unwrap_or(0).min(48);
        out.push_str(&format!("\n{}\n", look.bold(&count(steps.len(), "step"))));
        for (address, step) in steps {
            let address = shown(address);
            out.push_str(&format!("  {address:width$}  {}\n", line(step, look)));
            self.below(&address, step, &mut out, look);
        }
        self.outputs(&mut out, look);
        out
    }

    fn story(&self, out: &mut String, look: Look) {
        let mut field = |name: &str, value: String| {
            out.push_str(&format!(
                "  {} {}\n",
                look.dim(&format!("{name:11}")),
                value
            ));
        };
        let Some(started) = &self.state.started else {
            field("status", look.red("its beginning is missing"));
            return;
        };
        field(
            "workflow",
            format!("{} of {}", clean(&started.workflow), clean(&started.file)),
        );
        let why = self.state.ended.as_ref().and_then(|e| e.why.as_deref());
        let why = why.map(|w| format!(": {}", shown(w))).unwrap_or_default();
        field(
            "status",
            format!("{}{why}", painted(status(self.state), 0, look)),
        );
        field("world", clean(&started.world.to_string()));
        field("environment", clean(&started.environment));
        field(
            "began",
            format!(
                "{} UTC, by {} on {} (process {}), r5flow {}",
                moment(self.state.began),
                clean(&started.by),
                clean(&started.host),
                started.pid,
                clean(&started.version)
            ),
        );
        for (at, by, host) in &self.state.resumed {
            let (by, host) = (clean(by), clean(host));
            field("resumed", format!("{} UTC, by {by} on {host}", moment(*at)));
        }
        let took = span(self.state.at.since(self.state.began));
        field(
            "last entry",
            format!("{} UTC, after {took}", moment(self.state.at)),
        );
    }

    /// The program that the run recorded.
    fn sources(&self) -> SourceMap {
        let mut sources = SourceMap::default();
        let started = self.state.started.as_ref();
        for (name, text) in started.iter().flat_map(|s| &s.program) {
            sources.add(name.as_str(), text.as_str());
        }
        sources
    }

    /// Errors, gates and open operations of a step.
    fn below(&self, address: &str, step: &StepState, out: &mut String, look: Look) {
        let mut note = |text: String| out.push_str(&format!("      {text}\n"));
        if let Some((Outcome::Failed { failure, .. }, _)) = &step.finished {
            note(look.red(&shown(&failure.message)));
            let vault = Vault::empty(Key::new([0; 32]));
            let text = failure::below(failure, &self.sources(), &vault, look);
            text.lines()
                .for_each(|line| note(line.strip_prefix("  ").unwrap_or(line).to_owned()));
        }
        if let Some(gate) = &step.gate {
            note(format!("asked: {}", one_line(&shown(&gate.text))));
            match &gate.answer {
                Some((approved, by, text, at)) => {
                    let word = if *approved { "approved" } else { "denied" };
                    let text = text.as_deref().map(|n| format!(": {}", shown(n)));
                    let at = moment(*at);
                    let on = gate.host.as_deref().map(|h| format!(" on {}", clean(h)));
                    note(format!(
                        "{word} by {}{} at {at} UTC{}",
                        shown(by),
                        on.unwrap_or_default(),
                        text.unwrap_or_default()
                    ));
                }
                None if step.finished.is_none() => {
                    note(look.yellow(&format!(
                        "waits for `r5flow approve {} '{address}'`",
                        self.id
                    )));
                }
                None => {}
            }
        }
    }

    fn outputs(&self, out: &mut String, look: Look) {
        let Some(ended) = self.state.ended.as_ref().filter(|e| !e.outputs.is_empty()) else {
            return;
        };
        out.push_str(&format!("\n{}\n", look.bold("outputs")));
        for (name, value) in &ended.outputs {
            let value = match ended.secret_outputs.contains(name) {
                true => "•••".to_owned(),
                false => clean(&shown_json(value).to_string()),
            };
            out.push_str(&format!("  {} = {value}\n", clean(name)));
        }
    }

    /// The machine form: the run, then its events.
    pub fn json(&self) -> Vec<Json> {
        let mut first = head("run");
        let row = Row::of(self.id.to_owned(), self.state, None).json();
        if let (Json::Object(first), Json::Object(row)) = (&mut first, row) {
            first.extend(row);
        }
        let mut lines = vec![first];
        for (seq, at, event) in self.events {
            let mut line = json!({ "kind": "event", "seq": seq, "at": at.rfc3339() });
            let fields = serde_json::to_value(event).unwrap_or_default();
            if let (Json::Object(line), Json::Object(fields)) = (&mut line, shown_json(&fields)) {
                line.extend(fields.into_iter().filter(|(key, _)| key != "at"));
            }
            lines.push(line);
        }
        lines
    }
}

/// What became of a step, how long it took, and what it called.
fn line(step: &StepState, look: Look) -> String {
    let word = match &step.finished {
        Some((Outcome::Done { verdict, .. }, _)) => look.green(&format!("{:9}", verdict.as_str())),
        Some((Outcome::Skipped, _)) => look.dim("skipped  "),
        Some((Outcome::Failed { failure, tolerated }, _)) => {
            let word = failure::word(failure.reason);
            match tolerated {
                true => look.yellow(&format!("{word}, tolerated")),
                false => look.red(&format!("{word:9}")),
            }
        }
        None => look.yellow("open     "),
    };
    let took = match (&step.finished, step.began) {
        (Some((_, at)), Some(began)) => span(at.since(began)),
        _ => String::new(),
    };
    let calls: Vec<String> = step.calls.iter().map(call).collect();
    format!("{word} {took:>7}  {}", calls.join("; "))
        .trim_end()
        .to_owned()
}

fn call(call: &CallState) -> String {
    let method = clean(&call.intent().request.method);
    match call {
        CallState::Open(_) => format!("{method} (nothing is known of its answer)"),
        CallState::Running { operation, .. } => format!("{method} (runs: {})", clean(operation)),
        CallState::Closed { .. } => method,
        CallState::Voided(_) => format!("{method} (never sent)"),
        CallState::Undone(_) => format!("{method} (rolled back)"),
    }
}
