//! A graph walked without a run: every node after those that it waits for, and growths grown as far
//! as the recorded values tell.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::super::effect::{Effect, Reply, TaskId};
use super::super::engine::{Engine, Happening, Observer};
use super::super::settings::{Mode, Settings};
use super::super::shared::Shared;
use super::super::step;
use super::super::step::cx::Cx;
use super::super::task::{Ask, Given, Port};
use crate::catalog::Catalog;
use crate::journal::State;
use crate::plan::{Graph, Memo, NodeId, Work};
use crate::world::Timestamp;

/// A program and what is known of its values.
pub struct Side<'p> {
    pub graph: Graph<'p>,
    pub memo: Memo,
}

/// Nobody watches a walk.
struct Unseen;

impl Observer for Unseen {}

pub struct Walk<'p> {
    pub shared: Rc<Shared<'p>>,
    order: Vec<NodeId>,
    seen: BTreeSet<NodeId>,
}

impl<'p> Walk<'p> {
    pub fn new(side: Side<'p>, past: State, catalog: Catalog, now: Timestamp) -> Self {
        let settings = Settings::new(Mode::Plan);
        let shared = Shared::new(
            side.graph,
            side.memo,
            past,
            catalog,
            settings,
            Rc::new(Unseen),
        );
        shared.now.set(now);
        let mut walk = Walk {
            shared: Rc::new(shared),
            order: Vec::new(),
            seen: BTreeSet::new(),
        };
        walk.sort();
        walk
    }

    fn sort(&mut self) {
        let sorted = self.shared.graph.borrow().sorted().unwrap_or_default();
        let left = sorted.into_iter().rev().filter(|n| !self.seen.contains(n));
        self.order = left.collect();
    }

    /// The next step or checkpoint, with what its protocol stands on.
    pub async fn next(&mut self, engine: &mut dyn Engine) -> Option<(Cx<'p>, Port)> {
        while let Some(node) = self.order.pop() {
            self.seen.insert(node);
            let work = self.shared.graph.borrow().node(node).work;
            match work {
                Work::Step(_) | Work::Checkpoint(_) => {
                    let port = Port::default();
                    let cx = Cx::new(Rc::clone(&self.shared), node, port.clone());
                    return Some((cx, port));
                }
                Work::For(..) | Work::If(..) | Work::Enter(_) => self.grow(engine, node).await,
                Work::Assert(_)
                | Work::Turn(_)
                | Work::TurnEnd(_)
                | Work::End
                | Work::Gather
                | Work::Settle
                | Work::Undo => {}
            }
        }
        None
    }

    async fn grow(&mut self, engine: &mut dyn Engine, node: NodeId) {
        let port = Port::default();
        let cx = Cx::new(Rc::clone(&self.shared), node, port.clone());
        let answer = carry(engine, &self.shared, &port, step::growth::grown(&cx)).await;
        let Some(Ok(Some(answer))) = answer else {
            return;
        };
        let grown = {
            let memo = self.shared.memo.borrow();
            let mut graph = self.shared.graph.borrow_mut();
            graph.expand(node, &answer, &memo)
        };
        if grown.is_ok() {
            self.sort();
        }
    }
}

/// Brings one protocol to its end on an engine; nothing is recorded, and nobody is asked. `None`:
/// the engine gave up.
pub async fn carry<T>(
    engine: &mut dyn Engine,
    shared: &Shared<'_>,
    port: &Port,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    loop {
        let polled = {
            let mut context = Context::from_waker(Waker::noop());
            future.as_mut().poll(&mut context)
        };
        if let Poll::Ready(value) = polled {
            return Some(value);
        }
        let given = match port.take_ask()? {
            Ask::Permit | Ask::Domains(_) | Ask::Flight(_) => Given::Granted,
            Ask::Effect(Effect::Append(_)) => Given::Reply(Reply::Appended),
            Ask::Effect(Effect::Inbox(_)) => Given::Reply(Reply::Inbox(None)),
            Ask::Effect(effect) => {
                engine.begin(TaskId(0), effect);
                let (happening, now) = engine.next().await;
                shared.now.set(now);
                match happening {
                    Happening::Reply(_, reply) => Given::Reply(reply),
                    Happening::GatesOnly | Happening::Stop | Happening::Broken(_) => return None,
                }
            }
        };
        port.give(given);
    }
}
