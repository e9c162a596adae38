//! The engine of this process where it must not go on.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use serde_json::Value as Json;

use super::*;
use crate::journal::{Event, Outcome, State, Verdict};
use crate::store::{Ack, Contents, Entry, Journal, Key, MemoryJournal, StoreError, Vault};
use crate::value::Value;
use crate::wire::{Answer, NoAnswer, Request, SendFuture, Verb, Wire};
use crate::world::clock::VirtualClock;
use crate::world::{Millis, Timestamp};

/// A journal whose run somebody else owns by now.
struct Lost;

impl Journal for Lost {
    fn append(&self, _: Vec<Entry>) -> Ack {
        Box::pin(std::future::ready(Ok(1)))
    }

    fn read(&self) -> Result<Contents, StoreError> {
        Ok(Contents::default())
    }

    fn still_ours(&self) -> Result<(), StoreError> {
        Err(StoreError::TakenOver { epoch: 2 })
    }
}

/// A journal whose appends are durable only once its caller committed them by himself.
#[derive(Clone, Default)]
struct Alone(Arc<AtomicBool>);

impl Journal for Alone {
    fn append(&self, _: Vec<Entry>) -> Ack {
        let durable = Arc::clone(&self.0);
        Box::pin(async move {
            match durable.load(Ordering::Relaxed) {
                true => Ok(1),
                false => Err(StoreError::Closed),
            }
        })
    }

    fn commit_here(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn read(&self) -> Result<Contents, StoreError> {
        Ok(Contents::default())
    }
}

/// Counts what leaves.
#[derive(Default)]
struct Counting(Cell<usize>);

impl Wire for Counting {
    fn send<'a>(&'a self, _: &'a Request, _: Millis) -> SendFuture<'a> {
        self.0.set(self.0.get() + 1);
        Box::pin(async {
            Ok(Answer {
                status: 200,
                headers: Vec::new(),
                body: Vec::new(),
            })
        })
    }
}

struct Nothing;

impl Hooks for Nothing {
    fn call(&self, _: &str, _: Vec<Value>) -> Local<'_, Result<Value, String>> {
        Box::pin(std::future::ready(Ok(Value::Null)))
    }
}

impl InboxSource for Nothing {
    fn ask(&self, _: GateQuestion) -> Local<'_, GateAnswer> {
        Box::pin(std::future::pending())
    }

    fn patient(&self) -> bool {
        true
    }
}

impl Observer for Nothing {}

fn engine(journal: impl Journal + 'static, wire: &Rc<Counting>) -> Embedded {
    let (_, stops) = tokio::sync::mpsc::unbounded_channel();
    Embedded::new(Parts {
        journal: Box::new(journal),
        next_seq: 1,
        vault: Rc::new(Vault::empty(Key::new([7; 32]))),
        wire: Rc::clone(wire) as Rc<dyn Wire>,
        clock: Rc::new(VirtualClock::new(Timestamp(0))),
        hooks: Rc::new(Nothing),
        inbox: Rc::new(Nothing),
        observer: Rc::new(Nothing),
        stops,
    })
}

/// What the engine reports of one effect.
fn happens(engine: &mut Embedded, effect: Effect) -> Happening {
    engine.begin(TaskId(0), effect);
    let mut next = pin!(engine.next());
    match next.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready((happening, _)) => happening,
        Poll::Pending => panic!("nothing happens"),
    }
}

fn send(verb: Verb) -> Effect {
    Effect::Send {
        request: Box::new(Request {
            method: "compute.images.insert".into(),
            verb,
            path: "compute/v1/projects/p/global/images".into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
        }),
        patience: Millis::secs(1),
    }
}

#[test]
fn nothing_leaves_once_the_run_belongs_to_another_process() {
    for verb in [Verb::Post, Verb::Delete, Verb::Get] {
        let wire = Rc::new(Counting::default());
        let happened = happens(&mut engine(Lost, &wire), send(verb));
        let taken = matches!(
            happened,
            Happening::Broken(StoreError::TakenOver { epoch: 2 })
        );
        assert!(taken, "{happened:?}");
        assert_eq!(wire.0.get(), 0);
    }
    let wire = Rc::new(Counting::default());
    let happened = happens(&mut engine(MemoryJournal::new(), &wire), send(Verb::Post));
    let answered: Result<&Reply, ()> = match &happened {
        Happening::Reply(_, reply) => Ok(reply),
        _ => Err(()),
    };
    assert!(matches!(
        answered,
        Ok(Reply::Answered(Ok::<_, NoAnswer>(_)))
    ));
    assert_eq!(wire.0.get(), 1);
}

#[test]
fn an_append_wakes_a_thread_only_when_something_else_goes_on() {
    let append = || {
        Effect::Append(vec![Event::Finished {
            address: "a".into(),
            began: Timestamp(1),
            outcome: Outcome::Skipped,
        }])
    };
    let alone = happens(&mut engine(Alone::default(), &Rc::default()), append());
    assert!(
        matches!(alone, Happening::Reply(_, Reply::Appended)),
        "{alone:?}"
    );
    let mut busy = engine(Alone::default(), &Rc::default());
    busy.begin(
        TaskId(1),
        Effect::Sleep {
            until: Timestamp(1_000_000),
        },
    );
    let happened = happens(&mut busy, append());
    assert!(
        matches!(happened, Happening::Broken(StoreError::Closed)),
        "{happened:?}"
    );
}

#[test]
fn an_illegal_event_is_not_recorded() {
    let journal = MemoryJournal::new();
    let mut engine = engine(journal.clone(), &Rc::default()).lawful(State::default());
    let event = Event::Finished {
        address: "a".into(),
        began: Timestamp(1),
        outcome: Outcome::Done {
            verdict: Verdict::Computed,
            value: Json::Null,
        },
    };
    let happened = happens(&mut engine, Effect::Append(vec![event]));
    let illegal = matches!(happened, Happening::Broken(StoreError::Illegal { .. }));
    assert!(illegal, "{happened:?}");
    assert_eq!(journal.read().expect("reads").entries, []);
}
