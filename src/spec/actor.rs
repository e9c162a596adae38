//! The engine of a process that is played: every effect has a number, and nothing takes real time.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use super::created::shown;
use super::dice::Dice;
use super::player::{How, Left, Line, Marks, PROCESS, Played, Player, Trouble, finish};
use super::process::Seen;
use super::promises::Mark;
use super::stage::{Returned, Stage, changes};
use super::tape::{Answered, Kind, Moment, Tape, Touch};
use crate::journal::{Event, RunStatus};
use crate::run::{Effect, Engine, GateAnswer, Happening, Mutant, Reply, TaskId, compute};
use crate::store::StoreError;
use crate::wire::{Answer, NoAnswer, Request};
use crate::world::{Millis, Timestamp};

/// How many requests of the next process one that is late lets pass.
const LETS_PASS: usize = 3;
/// How long after the end of a run the cloud is looked at: what was under way in it is over then.
const AFTERMATH: Millis = Millis::mins(60);

pub(super) struct Actor<'a, 'b, 'p> {
    player: &'b Player<'a, 'p>,
    how: How,
    dice: Option<Dice>,
    stage: Stage,
    now: Timestamp,
    runs: u32,
    journal: Vec<Arc<Line>>,
    durable: usize,
    late: Option<Late>,
    flights: Vec<Flight>,
    marks: Rc<Marks>,
    moments: Vec<Moment>,
    tape: Tape,
    hash: u64,
    effects: usize,
    requests: usize,
    changes: usize,
    leaked: Option<String>,
    trouble: Option<Trouble>,
}

/// A request of the process before that is still on its way.
struct Late {
    request: Arc<Request>,
    passed: usize,
    /// When it arrives at the latest.
    by: Timestamp,
}

/// An effect under way.
struct Flight {
    number: usize,
    task: TaskId,
    due: Timestamp,
    /// Which of those that are due at one time comes first.
    turn: u64,
    what: What,
}

enum What {
    /// The journal's length with these entries.
    Append(usize, Vec<Event>),
    /// Entries reach the disk that were acknowledged before.
    Sync(usize),
    /// Not at the cloud yet; gives up at the moment.
    Leaving(Arc<Request>, Timestamp),
    /// The answer is on its way; the place on the tape, of a change.
    Arriving(Result<Answer, NoAnswer>, Option<usize>),
    Sleep,
    /// Whether it is approved; `None`: nobody answered in time.
    Gate(Option<bool>),
    Hook(Result<crate::value::Value, String>),
}

impl<'a, 'b, 'p> Actor<'a, 'b, 'p> {
    pub fn new(player: &'b Player<'a, 'p>, left: Left, how: How, marks: Rc<Marks>) -> Self {
        // Well before the time after which none is expected any more.
        let by = left.now.plus(Millis(player.case.settings.lateness.0 / 2));
        let late = |request| Late {
            request,
            passed: 0,
            by,
        };
        Actor {
            player,
            dice: how.seed.map(Dice::new),
            how,
            stage: left.stage,
            now: left.now,
            runs: left.runs,
            durable: left.journal.len(),
            journal: left.journal,
            late: left.late.map(late),
            flights: Vec::new(),
            marks,
            moments: Vec::new(),
            tape: Tape::default(),
            hash: 0xcbf2_9ce4_8422_2325,
            effects: 0,
            requests: 0,
            changes: 0,
            leaked: None,
            trouble: None,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn runs(&self) -> u32 {
        self.runs
    }

    pub fn journal(&self) -> &[Arc<Line>] {
        &self.journal
    }

    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.clone()
    }

    /// Appends an event that is no task's.
    pub async fn record(&mut self, event: Event) -> Result<(), StoreError> {
        self.begin(PROCESS, Effect::Append(vec![event]));
        loop {
            match self.happen() {
                Happening::Reply(PROCESS, _) => return Ok(()),
                Happening::Broken(error) => return Err(error),
                _ => {}
            }
        }
    }

    /// The process is over, well or not.
    pub fn played(mut self, end: Result<crate::run::End, Trouble>) -> Played {
        if let Some(late) = self.late.take() {
            self.touch(&late.request, true);
        }
        let mut stage = self.stage;
        let is_done = matches!(&end, Ok(end) if end.status == RunStatus::Done);
        match self.how.still {
            true => stage.cloud.advance(self.now),
            false if is_done => stage.cloud.advance(self.now.plus(AFTERMATH)),
            false => {}
        }
        Played {
            end,
            left: Left {
                journal: self.journal,
                stage,
                now: self.now,
                late: None,
                runs: self.runs,
            },
            trace: Vec::new(),
            requests: self.requests,
            effects: self.effects,
            moments: self.moments,
            tape: self.tape,
            seen: Seen::default(),
            leaked: self.leaked,
        }
    }

    /// A request reaches the outside.
    /// A request of a step of the run.
    fn sent(&mut self, task: TaskId, request: &Arc<Request>) -> Returned {
        self.stage.cloud.asks(self.marks.of.borrow().get(&task));
        let returned = self.touch(request, true);
        self.stage.cloud.asks(None);
        returned
    }

    fn touch(&mut self, request: &Arc<Request>, ours: bool) -> Returned {
        if self.how.record {
            let touch = Touch::Request {
                request: Arc::clone(request),
                at: self.now,
                ours,
            };
            self.tape.push(&self.stage, touch);
        }
        self.changes += usize::from(changes(&self.player.case.catalog, request));
        self.stage
            .answer(&self.player.case.catalog, request, self.now, ours)
    }

    /// A delay that the schedule draws: mostly short, now and then long enough to let much pass.
    fn drawn(&mut self, short: i64, long: i64) -> Millis {
        let Some(dice) = &mut self.dice else {
            return Millis(0);
        };
        let most = match dice.chance(12) {
            true => long,
            false => short,
        };
        Millis(dice.below(most.max(1) as usize) as i64)
    }

    fn fly(&mut self, number: usize, task: TaskId, due: Timestamp, what: What) {
        let turn = match &mut self.dice {
            Some(dice) => dice.throw(),
            None => number as u64,
        };
        self.flights.push(Flight {
            number,
            task,
            due,
            turn,
            what,
        });
    }

    fn see(&mut self, task: TaskId, effect: &Effect) {
        self.effects += 1;
        if self.effects > self.how.fuel {
            self.trouble.get_or_insert(Trouble::NeverEnds);
        }
        if self.how.record {
            let moment = self.moment(task, effect);
            self.moments.push(moment);
        }
    }

    fn moment(&mut self, task: TaskId, effect: &Effect) -> Moment {
        let catalog = &self.player.case.catalog;
        let (kind, label, text, adds, request) = match effect {
            Effect::Append(events) => {
                let names: Vec<String> = events.iter().map(event_name).collect();
                let text = serde_json::to_string(events).unwrap_or_default();
                (Kind::Append, names.join(", "), text, events.len(), None)
            }
            Effect::Send { request, .. } => {
                let kind = match changes(catalog, request) {
                    true => Kind::Change,
                    false => Kind::Read,
                };
                let text = serde_json::to_string(request).unwrap_or_default();
                let label = format!("{} {}", request.verb.as_str(), request.path);
                (kind, label, text, 0, Some(Arc::new((**request).clone())))
            }
            Effect::Sleep { until } => {
                let label = format!("{}", until.since(self.now));
                (Kind::Sleep, label.clone(), label, 0, None)
            }
            Effect::Inbox(question) => {
                let label = question.text.clone();
                (Kind::Inbox, label.clone(), label, 0, None)
            }
            Effect::Hook { function, args } => (
                Kind::Hook,
                function.to_string(),
                format!("{args:?}"),
                0,
                None,
            ),
        };
        for byte in format!("{} {} {text}", task.0, kind.as_str()).bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let unanswered = self.flights.iter().filter_map(|f| match &f.what {
            What::Arriving(_, place) => *place,
            _ => None,
        });
        let leaving = self.flights.iter().filter_map(|f| match &f.what {
            What::Leaving(request, _) if changes(catalog, request) => Some(Arc::clone(request)),
            _ => None,
        });
        Moment {
            number: self.effects,
            task,
            kind,
            label,
            at: self.now,
            durable: self.durable,
            written: self.journal.len(),
            adds,
            request,
            touches: self.tape.len(),
            changes: self.changes,
            requests: self.requests,
            unanswered: unanswered.collect(),
            leaving: leaving.collect(),
            hash: self.hash,
            answered: None,
        }
    }

    fn append(&mut self, task: TaskId, events: Vec<Event>) {
        for event in &events {
            let seq = self.journal.len() as u64 + 1;
            match self.player.line(seq, self.now, event) {
                Ok((line, leaked)) => {
                    self.journal.push(Arc::new(line));
                    self.leaked = self.leaked.take().or(leaked);
                }
                Err(trouble) => {
                    self.trouble.get_or_insert(trouble);
                }
            }
        }
        let due = self.now.plus(self.drawn(4, 40));
        let length = self.journal.len();
        self.fly(self.effects, task, due, What::Append(length, events));
    }

    fn send(&mut self, task: TaskId, request: Request, patience: Millis) {
        self.requests += 1;
        let request = Arc::new(request);
        let mark = Mark::Sent(Arc::clone(&request));
        self.marks.done.borrow_mut().push(mark);
        if let Some(late) = &mut self.late {
            late.passed += 1;
        }
        if let Some(late) = self.late.take_if(|late| late.passed > LETS_PASS) {
            self.touch(&late.request, true);
        }
        let due = self.now.plus(self.drawn(200, 9_000));
        let gives_up = self.now.plus(patience);
        self.fly(self.effects, task, due, What::Leaving(request, gives_up));
    }

    /// A request arrives; its answer leaves.
    fn arrive(&mut self, flight: Flight, request: Arc<Request>, gives_up: Timestamp) {
        let fault = self.how.fault.take_if(|f| f.at == flight.number);
        let place = changes(&self.player.case.catalog, &request).then_some(self.tape.len());
        let (answer, back) = match fault {
            Some(fault) if !fault.arrives => (fault.answer, self.now.plus(Millis(80))),
            Some(fault) => (fault.answer, self.sent(flight.task, &request).at),
            None => {
                let Returned { answer, at } = self.sent(flight.task, &request);
                (answer, at.plus(self.drawn(100, 9_000)))
            }
        };
        let (answer, due) = match back > gives_up {
            true => {
                let why = "no answer in time".to_owned();
                (Err(NoAnswer::Unknown(why)), gives_up.max(self.now))
            }
            false => (answer, back),
        };
        if let Ok(answer) = &answer {
            let shown = shown(&self.player.case.catalog, &request, answer);
            self.marks.done.borrow_mut().extend(shown);
        }
        let what = What::Arriving(answer, place.filter(|_| self.how.record));
        self.fly(flight.number, flight.task, due, what);
    }

    /// The next thing that happens.
    fn happen(&mut self) -> Happening {
        loop {
            if let Some(trouble) = &self.trouble {
                return broken(&trouble.to_string());
            }
            let next = (0..self.flights.len()).min_by_key(|i| {
                let flight = &self.flights[*i];
                (flight.due, flight.turn)
            });
            let Some(next) = next else {
                self.trouble = Some(Trouble::Hangs);
                continue;
            };
            let due = self.flights[next].due;
            if let Some(late) = self.late.take_if(|late| late.by <= due) {
                self.now = self.now.max(late.by);
                self.touch(&late.request, true);
            }
            let flight = self.flights.remove(next);
            self.now = self.now.max(flight.due);
            let task = flight.task;
            let reply = match flight.what {
                What::Leaving(ref request, gives_up) => {
                    let request = Arc::clone(request);
                    self.arrive(flight, request, gives_up);
                    continue;
                }
                What::Arriving(answer, place) => {
                    self.note_answer(flight.number, place);
                    Reply::Answered(answer)
                }
                What::Append(length, events) => {
                    self.synced(length);
                    let marks = events.into_iter().map(Mark::Durable);
                    self.marks.done.borrow_mut().extend(marks);
                    Reply::Appended
                }
                What::Sync(length) => {
                    self.durable = self.durable.max(length);
                    continue;
                }
                What::Sleep => Reply::Woke,
                What::Gate(None) => Reply::Inbox(None),
                What::Gate(Some(approved)) => Reply::Inbox(Some(self.judge(approved))),
                What::Hook(result) => Reply::Hook(result),
            };
            return Happening::Reply(task, reply);
        }
    }

    fn synced(&mut self, length: usize) {
        if self
            .player
            .case
            .settings
            .is_mutant(Mutant::AcknowledgedBeforeSync)
        {
            let due = self.now.plus(Millis::secs(1));
            self.fly(self.effects, PROCESS, due, What::Sync(length));
        } else {
            self.durable = self.durable.max(length);
        }
    }

    fn note_answer(&mut self, number: usize, place: Option<usize>) {
        let answered = Answered {
            at: self.now,
            touches: self.tape.len(),
            changes: self.changes,
            durable: self.durable,
            written: self.journal.len(),
        };
        if place.is_some()
            && let Some(moment) = self.moments.get_mut(number - 1)
        {
            moment.answered = Some(answered);
        }
    }

    fn judge(&mut self, approved: bool) -> GateAnswer {
        if self.how.record && approved {
            self.tape.push(&self.stage, Touch::Approved(self.now));
        }
        if approved {
            self.changes += 1;
            self.stage.cloud.approved(self.now);
        }
        GateAnswer {
            host: None,
            approved,
            by: "the simulated operator".into(),
            note: None,
            at: self.now,
        }
    }

    fn meddle(&mut self) {
        let next = self.effects + 1;
        if let Some(meddling) = self.how.meddling.take_if(|m| m.at == next) {
            for request in meddling.requests {
                self.touch(&Arc::new(request), false);
            }
        }
    }
}

fn broken(why: &str) -> Happening {
    Happening::Broken(StoreError::Io {
        doing: "written",
        path: "journal".into(),
        detail: why.to_owned(),
    })
}

/// What an event is called in a journal.
pub(super) fn event_name(event: &Event) -> String {
    let json = serde_json::to_value(event).unwrap_or_default();
    json["event"].as_str().unwrap_or("event").to_owned()
}

impl Engine for Actor<'_, '_, '_> {
    fn begin(&mut self, task: TaskId, effect: Effect) {
        if self.trouble.is_some() {
            return;
        }
        self.meddle();
        self.see(task, &effect);
        match effect {
            Effect::Append(events) => self.append(task, events),
            Effect::Send { request, patience } => self.send(task, *request, patience),
            Effect::Sleep { until } => {
                let due = until.max(self.now);
                self.fly(self.effects, task, due, What::Sleep);
            }
            Effect::Inbox(question) => {
                let (approves, after) = self.player.case.judgement(&question.address);
                let answered = self.now.plus(after);
                let (due, judged) = match question.expires {
                    Some(end) if end < answered => (end.max(self.now), None),
                    _ => (answered, Some(approves)),
                };
                self.fly(self.effects, task, due, What::Gate(judged));
            }
            Effect::Hook { function, args } => {
                let player = self.player;
                let result = finish(compute(player.hooks(), player.vault(), &function, args))
                    .unwrap_or_else(|| Err("the hook waits for something".into()));
                self.fly(self.effects, task, self.now, What::Hook(result));
            }
        }
    }

    fn next(&mut self) -> Pin<Box<dyn Future<Output = (Happening, Timestamp)> + '_>> {
        let happening = self.happen();
        let now = self.now;
        Box::pin(std::future::ready((happening, now)))
    }
}
