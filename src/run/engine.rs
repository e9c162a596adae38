//! The seam between the core and whatever carries its effects out.

use std::future::Future;
use std::pin::Pin;

use super::core::Core;
use super::effect::{Effect, Reply, TaskId};
use super::end::End;
use crate::journal::Event;
use crate::store::StoreError;
use crate::world::Timestamp;

/// What an engine reports.
#[derive(Debug)]
pub enum Happening {
    Reply(TaskId, Reply),
    /// Nothing but gates is left, and nobody is expected to answer them now.
    GatesOnly,
    /// Somebody wants the run to stop: nothing new is sent.
    Stop,
    /// The journal cannot be written any more; nothing may depend on what it did not take.
    Broken(StoreError),
}

/// Carries effects out: on this process's own threads, or on a distributed engine.
pub trait Engine {
    /// Begins an effect; its reply comes with `next`.
    fn begin(&mut self, task: TaskId, effect: Effect);
    /// The next thing that happens, and when.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = (Happening, Timestamp)> + '_>>;
}

/// Sees a run while it runs.
pub trait Observer {
    /// Everything that a node waits for is there.
    fn began(&self, _task: TaskId, _address: &str, _at: Timestamp) {}
    /// A step waits for something that is no event; `None`: not any more.
    fn waits(&self, _address: &str, _for_what: Option<&str>, _at: Timestamp) {}
    /// An event is durable.
    fn recorded(&self, _event: &Event, _at: Timestamp) {}
}

/// Drives a core to its end.
pub async fn drive(
    core: &mut Core<'_>,
    engine: &mut dyn Engine,
    now: Timestamp,
) -> Result<End, StoreError> {
    let mut effects = core.start(now);
    let mut now = now;
    loop {
        for (task, effect) in effects {
            engine.begin(task, effect);
        }
        if !core.is_busy() {
            effects = core.finale(now);
            if effects.is_empty() {
                return Ok(core.end());
            }
            continue;
        }
        let (happening, at) = engine.next().await;
        now = at;
        effects = match happening {
            Happening::Reply(task, reply) => core.on(task, reply, at),
            Happening::GatesOnly => core.leave_gates(at),
            Happening::Stop => core.stop(at),
            Happening::Broken(error) => return Err(error),
        };
    }
}
