//! The engine of this process: the journal of the state directory, one wire, one clock.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use futures_util::stream::{FuturesUnordered, Stream};
use tokio::sync::mpsc::UnboundedReceiver;

use super::effect::{Effect, GateAnswer, GateQuestion, Reply, TaskId};
use super::engine::{Engine, Happening, Observer};
use crate::journal::Event;
use crate::store::{Entry, Journal, StoreError, Vault};
use crate::value::Value;
use crate::wire::{Verb, Wire};
use crate::world::Timestamp;
use crate::world::clock::Clock;

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
    parts: Parts,
    flights: FuturesUnordered<Local<'static, Landed>>,
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
    Real,
    Gate,
    Other,
}

impl Embedded {
    pub fn new(parts: Parts) -> Self {
        Embedded {
            parts,
            flights: FuturesUnordered::new(),
            real: 0,
            gates: 0,
        }
    }

    /// Appends outside of any task: the first and the last event of a process.
    pub async fn record(&mut self, event: Event) -> Result<(), StoreError> {
        let entries = self.entries(std::slice::from_ref(&event));
        let at = self.parts.clock.now();
        self.parts.journal.append(entries).await?;
        self.parts.observer.recorded(&event, at);
        Ok(())
    }

    /// Ends the journal's writer, so that everything is folded into its file.
    pub fn close(self) {}

    fn entries(&mut self, events: &[Event]) -> Vec<Entry> {
        let at = self.parts.clock.now();
        events
            .iter()
            .map(|event| {
                let seq = self.parts.next_seq;
                self.parts.next_seq += 1;
                Entry {
                    seq,
                    at,
                    body: sealed(&self.parts.vault, event),
                }
            })
            .collect()
    }

    fn flight(
        &mut self,
        kind: Kind,
        task: TaskId,
        future: impl Future<Output = Result<Reply, StoreError>> + 'static,
    ) {
        match kind {
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
            Kind::Real => self.real -= 1,
            Kind::Gate => self.gates -= 1,
            Kind::Other => {}
        }
        match landed.reply {
            Ok(reply) => Happening::Reply(landed.task, reply),
            Err(error) => Happening::Broken(error),
        }
    }

    /// Nothing but unanswered gates is left, and nobody is expected to answer now.
    fn gives_up(&self) -> bool {
        self.gates > 0 && self.gates == self.flights.len() && !self.parts.inbox.patient()
    }
}

fn holds_secret(vault: &Vault, value: &Value) -> bool {
    match value {
        Value::Str(text) => vault.holds_secret(text),
        Value::List(items) => items.iter().any(|item| holds_secret(vault, item)),
        Value::Map(fields) => fields.values().any(|field| holds_secret(vault, field)),
        _ => false,
    }
}

/// What a hook makes of a secret is a secret.
fn derive(vault: &Vault, value: &Value) {
    match value {
        Value::Str(text) => vault.derive(text),
        Value::List(items) => items.iter().for_each(|item| derive(vault, item)),
        Value::Map(fields) => fields.values().for_each(|field| derive(vault, field)),
        _ => {}
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
    let secret = args.iter().any(|arg| holds_secret(vault, arg));
    let result = hooks.call(function, args).await;
    if let (true, Ok(value)) = (secret, &result) {
        derive(vault, value);
    }
    result.map_err(|message| match secret {
        true => withheld(&message),
        false => vault.mask(&message),
    })
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

impl Engine for Embedded {
    fn begin(&mut self, task: TaskId, effect: Effect) {
        match effect {
            Effect::Append(events) => {
                let entries = self.entries(&events);
                let ack = self.parts.journal.append(entries);
                let observer = Rc::clone(&self.parts.observer);
                let at = self.parts.clock.now();
                self.flight(Kind::Real, task, async move {
                    ack.await?;
                    for event in &events {
                        observer.recorded(event, at);
                    }
                    Ok(Reply::Appended)
                });
            }
            Effect::Send { request, patience } => {
                let wire = Rc::clone(&self.parts.wire);
                self.flight(Kind::Other, task, async move {
                    let answer = wire.send(&request, patience).await;
                    if request.verb != Verb::Get {
                        crate::world::failpoint("answer-unrecorded", &request.method);
                    }
                    Ok(Reply::Answered(answer))
                });
            }
            Effect::Sleep { until } => {
                let clock = Rc::clone(&self.parts.clock);
                self.flight(Kind::Other, task, async move {
                    clock.sleep_until(until).await;
                    Ok(Reply::Woke)
                });
            }
            Effect::Hook { function, args } => {
                let hooks = Rc::clone(&self.parts.hooks);
                let vault = Rc::clone(&self.parts.vault);
                self.flight(Kind::Real, task, async move {
                    let result = compute(&*hooks, &vault, &function, args).await;
                    Ok(Reply::Hook(result))
                });
            }
            Effect::Inbox(question) => {
                let inbox = Rc::clone(&self.parts.inbox);
                let clock = Rc::clone(&self.parts.clock);
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
                        match self.parts.stops.poll_recv(context) {
                            Poll::Ready(Some(())) => return Poll::Ready(Happening::Stop),
                            Poll::Ready(None) => stops_open = false,
                            Poll::Pending => {}
                        }
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
                    let people = only_gates && !self.parts.inbox.takes_virtual_time();
                    if self.real > 0 || people || !self.parts.clock.jump() {
                        return Poll::Pending;
                    }
                }
            })
            .await;
            if let Happening::GatesOnly = happening {
                self.flights = FuturesUnordered::new();
                self.gates = 0;
            }
            (happening, self.parts.clock.now())
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
