//! Clocks: the machine's, and one that jumps to the next thing that happens.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::Timestamp;

pub type Sleeping<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Who is asked for the time.
pub trait Clock {
    fn now(&self) -> Timestamp;
    fn sleep_until(&self, until: Timestamp) -> Sleeping<'_>;
    /// Jumps to the next moment that somebody sleeps for; says whether there was one. A clock that
    /// runs by itself never jumps.
    fn jump(&self) -> bool {
        false
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep_until(&self, until: Timestamp) -> Sleeping<'_> {
        Box::pin(async move {
            // In pieces: a laptop that slept must find out soon after it woke.
            loop {
                let left = until.since(Timestamp::now());
                if left.0 <= 0 {
                    return;
                }
                tokio::time::sleep(left.std().min(std::time::Duration::from_secs(10))).await;
            }
        })
    }
}

/// A clock that stands still until it is told to jump.
#[derive(Clone, Debug, Default)]
pub struct VirtualClock {
    inner: Rc<Timers>,
}

#[derive(Debug, Default)]
struct Timers {
    now: Cell<Timestamp>,
    next: Cell<u64>,
    waiting: RefCell<BTreeMap<(Timestamp, u64), Waker>>,
}

impl VirtualClock {
    pub fn new(start: Timestamp) -> Self {
        let clock = VirtualClock::default();
        clock.inner.now.set(start);
        clock
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.inner.now.get()
    }

    fn sleep_until(&self, until: Timestamp) -> Sleeping<'_> {
        let id = self.inner.next.get();
        self.inner.next.set(id + 1);
        Box::pin(Timer {
            timers: Rc::clone(&self.inner),
            key: (until, id),
        })
    }

    fn jump(&self) -> bool {
        let first = self.inner.waiting.borrow_mut().pop_first();
        match first {
            Some(((at, _), waker)) => {
                self.inner.now.set(self.inner.now.get().max(at));
                waker.wake();
                true
            }
            None => false,
        }
    }
}

struct Timer {
    timers: Rc<Timers>,
    key: (Timestamp, u64),
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.timers.now.get() >= self.key.0 {
            return Poll::Ready(());
        }
        let mut waiting = self.timers.waiting.borrow_mut();
        waiting.insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.timers.waiting.borrow_mut().remove(&self.key);
    }
}
