//! The engine of this process: the journal of the state directory, one wire, one clock.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use tokio::sync::mpsc::UnboundedReceiver;

use super::effect::{Effect, GateAnswer, GateQuestion, Reply, TaskId};
use super::engine::{Engine, Happening, Observer};
use super::law::Law;
use crate::eval::Taint;
use crate::journal::{Event, State};
use crate::store::{Entry, Journal, StoreError, Vault};
use crate::value::Value;
use crate::wire::{Answer, NoAnswer, Request, Verb, Wire};
use crate::world::clock::Clock;
use crate::world::{Millis, Timestamp};

pub type Local<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Who computes hooks.
pub trait Hooks {
    fn call(&self, function: &str, args: Vec<Value>) -> Local<'_, Result<Value, String>>;
}

/// Where answers to gates come from.
pub trait InboxSource {
    /// Resolves when somebody has answered.
    fn ask(&self, question: GateQuestion) -> Local<'_, GateAnswer>;
    /// Whether to go on waiting when nothing but gates is left.
    fn patient(&self) -> bool;
    /// Whether answers come by the run's own clock (a simulated person) or by people's.
    fn takes_virtual_time(&self) -> bool {
        false
    }
}

/// What the engine works with.
pub struct Parts {
    pub journal: Box<dyn Journal>,
    /// The number of the next entry.
    pub next_seq: u64,
    pub vault: Rc<Vault>,
    pub wire: Rc<dyn Wire>,
    pub clock: Rc<dyn Clock>,
    pub hooks: Rc<dyn Hooks>,
    pub inbox: Rc<dyn InboxSource>,
    pub observer: Rc<dyn Observer>,
    /// Each message asks the run to stop.
    pub stops: UnboundedReceiver<()>,
}

pub struct Embedded {
    journal: Rc<dyn Journal>,
    next_seq: u64,
    vault: Rc<Vault>,
    wire: Rc<dyn Wire>,
    clock: Rc<dyn Clock>,
    hooks: Rc<dyn Hooks>,
    inbox: Rc<dyn InboxSource>,
    observer: Rc<dyn Observer>,
    stops: UnboundedReceiver<()>,
    law: Option<Law>,
    flights: FuturesUnordered<Local<'static, Landed>>,
    /// Appends on which no task waits.
    unawaited: FuturesUnordered<Local<'static, Result<(), StoreError>>>,
    /// Appends on which a task waits.
    awaited: usize,
    /// Appends and hooks under way: they take real time, so a virtual clock waits for them.
    real: usize,
    gates: usize,
}

struct Landed {
    task: TaskId,
    reply: Result<Reply, StoreError>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Append,
    Real,
    Gate,
    Other,
}

impl Embedded {
    pub fn new(parts: Parts) -> Self {
        Embedded {
            journal: parts.journal.into(),
            next_seq: parts.next_seq,
            vault: parts.vault,
            wire: parts.wire,
            clock: parts.clock,
            hooks: parts.hooks,
            inbox: parts.inbox,
            observer: parts.observer,
            stops: parts.stops,
            law: None,
            unawaited: FuturesUnordered::new(),
            flights: FuturesUnordered::new(),
            awaited: 0,
            real: 0,
            gates: 0,
        }
    }

    /// The same, held to what may follow the events of the past: anything else is a bug, and is not
    /// recorded.
    pub fn lawful(mut self, past: State) -> Self {
        self.law = Some(Law::new(past));
        self
    }

    /// Appends outside of any task: the first and the last event of a process.
    pub async fn record(&mut self, event: Event) -> Result<(), StoreError> {
        let entries = self.entries(std::slice::from_ref(&event))?;
        let at = self.clock.now();
        let ack = self.journal.append(entries);
        self.journal.commit_here();
        ack.await?;
        while let Some(done) = self.unawaited.next().await {
            done?;
        }
        self.observer.recorded(&event, at);
        Ok(())
    }

    /// Ends the journal's writer, so that everything is folded into its file.
    pub fn close(self) {}

    fn entries(&mut self, events: &[Event]) -> Result<Vec<Entry>, StoreError> {
        let at = self.clock.now();
        let mut entries = Vec::with_capacity(events.len());
        for event in events {
            let seq = self.next_seq;
            if let Some(law) = &mut self.law {
                law.admit(seq, at, event)?;
            }
            self.next_seq += 1;
            entries.push(Entry {
                seq,
                at,
                body: sealed(&self.vault, event),
            });
        }
        Ok(entries)
    }

    fn append(&mut self, task: TaskId, events: Vec<Event>) {
        let entries = match self.entries(&events) {
            Ok(entries) => entries,
            Err(illegal) => return self.flight(Kind::Real, task, async { Err(illegal) }),
        };
        let waits = events.iter().any(is_waited_for);
        let ack = match waits {
            true => self.journal.append(entries),
            false => self.journal.append_soon(entries),
        };
        let observer = Rc::clone(&self.observer);
        let at = self.clock.now();
        let told = async move {
            ack.await?;
            for event in &events {
                observer.recorded(event, at);
            }
            Ok(())
        };
        if waits {
            return self.flight(Kind::Append, task, async {
                told.await?;
                Ok(Reply::Appended)
            });
        }
        self.unawaited.push(Box::pin(told));
        self.flight(Kind::Real, task, async { Ok(Reply::Appended) });
    }

    fn send(&mut self, task: TaskId, request: Request, patience: Millis) {
        let wire = Rc::clone(&self.wire);
        let journal = Rc::clone(&self.journal);
        self.flight(Kind::Other, task, async move {
            let answer = send_owned(&*journal, &*wire, &request, patience).await?;
            if request.verb != Verb::Get {
                crate::world::failpoint("answer-unrecorded", &request.method);
            }
            Ok(Reply::Answered(answer))
        });
    }

    fn flight(
        &mut self,
        kind: Kind,
        task: TaskId,
        future: impl Future<Output = Result<Reply, StoreError>> + 'static,
    ) {
        match kind {
            Kind::Append => (self.awaited, self.real) = (self.awaited + 1, self.real + 1),
            Kind::Real => self.real += 1,
            Kind::Gate => self.gates += 1,
            Kind::Other => {}
        }
        self.flights.push(Box::pin(async move {
            Landed {
                task,
                reply: future.await,
                kind,
            }
        }));
    }

    fn landed(&mut self, landed: Landed) -> Happening {
        match landed.kind {
            Kind::Append => (self.awaited, self.real) = (self.awaited - 1, self.real - 1),
            Kind::Real => self.real -= 1,
            Kind::Gate => self.gates -= 1,
            Kind::Other => {}
        }
        match landed.reply {
            Ok(reply) => Happening::Reply(landed.task, reply),
            Err(error) => Happening::Broken(error),
        }
    }

    /// One append is all that goes on.
    fn waits_for_the_journal_only(&self) -> bool {
        self.awaited == 1 && self.flights.len() == 1
    }

    /// Nothing but unanswered gates is left, and nobody is expected to answer now.
    fn gives_up(&self) -> bool {
        self.gates > 0 && self.gates == self.flights.len() && !self.inbox.patient()
    }
}

/// Whether something that cannot be undone or unseen follows from the event: a request leaves, a
/// person is told, another step begins. What the others tell is found out again when it is lost, and
/// whatever follows from them later is recorded behind them.
fn is_waited_for(event: &Event) -> bool {
    !matches!(
        event,
        Event::Operation { .. } | Event::Called { .. } | Event::Hooked { .. }
    )
}

/// Sends, unless the run belongs to another process by now.
async fn send_owned(
    journal: &dyn Journal,
    wire: &dyn Wire,
    request: &Request,
    patience: Millis,
) -> Result<Result<Answer, NoAnswer>, StoreError> {
    let lost = RefCell::new(None);
    let leave = || match journal.still_ours() {
        Ok(()) => Ok(()),
        Err(error) => {
            let why = error.to_string();
            *lost.borrow_mut() = Some(error);
            Err(why)
        }
    };
    if request.verb != Verb::Get {
        crate::world::stop_point("before-send", 0);
    }
    let answer = wire.send_if(request, patience, &leave).await;
    match lost.take() {
        Some(error) => Err(error),
        None => Ok(answer),
    }
}

/// What a hook throws may be made of the secret that it was given: only the place is told.
fn withheld(message: &str) -> String {
    let place = message.split_once(": ").map(|(place, _)| place);
    format!(
        "{}: it failed, and why is not shown, since it was given a secret",
        place
            .filter(|p| p.starts_with("hook `"))
            .unwrap_or("the hook")
    )
}

/// Computes a hook. What it makes of a secret is one, and its failure tells nothing of a secret.
///
/// # Errors
/// The hook failed; the text is fit to be recorded.
pub async fn compute(
    hooks: &dyn Hooks,
    vault: &Vault,
    function: &str,
    args: Vec<Value>,
) -> Result<Value, String> {
    if !vault.holds_secret_in(&args) {
        let result = hooks.call(function, args).await;
        return result.map_err(|message| vault.mask(&message));
    }
    let result = hooks.call(function, args.clone()).await;
    if let Ok(value) = &result {
        vault.made(&args, value);
    }
    result.map_err(|message| withheld(&message))
}

/// An event as it is stored: one JSON document without any secret.
pub fn sealed(vault: &Vault, event: &Event) -> String {
    let sealed = serde_json::to_string(event).and_then(|text| {
        if vault.leaves_alone(&text) {
            return Ok(text);
        }
        Ok(vault.seal_json(&serde_json::to_value(event)?).to_string())
    });
    match sealed {
        Ok(text) => text,
        Err(error) => unreachable!("invariant: events have text keys only: {error}"),
    }
}

/// An entry's event, with the secrets put back.
pub fn unsealed(vault: &Vault, entry: &Entry) -> Result<Event, String> {
    let json: serde_json::Value = serde_json::from_str(&entry.body).map_err(|e| e.to_string())?;
    let json = vault.unseal_json(&json).map_err(|e| e.to_string())?;
    serde_json::from_value(json).map_err(|e| e.to_string())
}

/// The same where secrets may have changed since the entry was written.
pub fn unsealed_as_known(vault: &Vault, entry: &Entry) -> Result<Event, String> {
    let json: serde_json::Value = serde_json::from_str(&entry.body).map_err(|e| e.to_string())?;
    let json = vault.unseal_known(&json).map_err(|e| e.to_string())?;
    serde_json::from_value(json).map_err(|e| e.to_string())
}

impl Engine for Embedded {
    fn begin(&mut self, task: TaskId, effect: Effect) {
        match effect {
            Effect::Append(events) => self.append(task, events),
            Effect::Send { request, patience } => self.send(task, *request, patience),
            Effect::Sleep { until } => {
                let clock = Rc::clone(&self.clock);
                self.flight(Kind::Other, task, async move {
                    clock.sleep_until(until).await;
                    Ok(Reply::Woke)
                });
            }
            Effect::Hook { function, args } => {
                let hooks = Rc::clone(&self.hooks);
                let vault = Rc::clone(&self.vault);
                self.flight(Kind::Real, task, async move {
                    let result = compute(&*hooks, &vault, &function, args).await;
                    Ok(Reply::Hook(result))
                });
            }
            Effect::Inbox(question) => {
                let inbox = Rc::clone(&self.inbox);
                let clock = Rc::clone(&self.clock);
                self.flight(Kind::Gate, task, async move {
                    let expires = question.expires;
                    let asking = inbox.ask(*question);
                    let answer = match expires {
                        None => Some(asking.await),
                        Some(at) => first_of(asking, clock.sleep_until(at)).await,
                    };
                    Ok(Reply::Inbox(answer))
                });
            }
        }
    }

    fn next(&mut self) -> Pin<Box<dyn Future<Output = (Happening, Timestamp)> + '_>> {
        Box::pin(async move {
            let mut stops_open = true;
            let happening = std::future::poll_fn(|context| {
                loop {
                    if stops_open {
                        match self.stops.poll_recv(context) {
                            Poll::Ready(Some(())) => {
                                return Poll::Ready(match self.journal.still_ours() {
                                    Ok(()) => Happening::Stop,
                                    Err(error) => Happening::Broken(error),
                                });
                            }
                            Poll::Ready(None) => stops_open = false,
                            Poll::Pending => {}
                        }
                    }
                    while let Poll::Ready(Some(done)) =
                        Pin::new(&mut self.unawaited).poll_next(context)
                    {
                        if let Err(error) = done {
                            return Poll::Ready(Happening::Broken(error));
                        }
                    }
                    if self.waits_for_the_journal_only() {
                        self.journal.commit_here();
                    }
                    match Pin::new(&mut self.flights).poll_next(context) {
                        Poll::Ready(Some(landed)) => return Poll::Ready(self.landed(landed)),
                        Poll::Ready(None) => return Poll::Pending,
                        Poll::Pending => {}
                    }
                    if self.gives_up() {
                        // Each gate task is told in turn; the flights themselves are dropped.
                        return Poll::Ready(Happening::GatesOnly);
                    }
                    // Virtual time does not run while people think.
                    let only_gates = self.gates == self.flights.len() && self.gates > 0;
                    let people = only_gates && !self.inbox.takes_virtual_time();
                    if self.real > 0 || people || !self.clock.jump() {
                        return Poll::Pending;
                    }
                }
            })
            .await;
            if let Happening::GatesOnly = happening {
                self.flights = FuturesUnordered::new();
                self.gates = 0;
            }
            (happening, self.clock.now())
        })
    }
}

/// What comes first: an answer, or the end of the time for it.
async fn first_of<T>(
    mut answer: Local<'_, T>,
    mut end: Pin<Box<dyn Future<Output = ()> + '_>>,
) -> Option<T> {
    std::future::poll_fn(|context| {
        if let Poll::Ready(value) = answer.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        end.as_mut().poll(context).map(|()| None)
    })
    .await
}
