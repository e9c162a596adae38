//! An engine for tests that breaks at a named place.

use std::pin::Pin;

use r5flow::journal::Event;
use r5flow::run::{Effect, Embedded, Engine, Happening, Reply, TaskId};
use r5flow::store::StoreError;
use r5flow::world::Timestamp;

/// An engine that breaks where it is told to.
pub struct Stopping {
    pub inner: Embedded,
    pub stop: String,
    /// The task whose intent is durable.
    pub opened: Option<TaskId>,
    /// The task at whose next reply everything ends.
    pub last: Option<TaskId>,
    pub dead: bool,
}

impl Engine for Stopping {
    fn begin(&mut self, task: TaskId, effect: Effect) {
        let (how, step) = self.stop.split_once(':').unwrap_or(("", ""));
        match &effect {
            Effect::Append(events) => {
                for event in events
                    .iter()
                    .filter(|e| e.address().is_some_and(|a| &**a == step))
                {
                    match (how, event) {
                        ("done", Event::Finished { .. }) => self.last = Some(task),
                        ("open" | "unsent", Event::Intent { .. }) => self.opened = Some(task),
                        _ => {}
                    }
                }
            }
            Effect::Send { .. } if self.opened == Some(task) => match how {
                "unsent" => {
                    self.dead = true;
                    return;
                }
                _ => self.last = Some(task),
            },
            _ => {}
        }
        self.inner.begin(task, effect);
    }

    fn next(&mut self) -> Pin<Box<dyn Future<Output = (Happening, Timestamp)> + '_>> {
        Box::pin(async move {
            if self.dead {
                return (Happening::Broken(StoreError::Closed), Timestamp(0));
            }
            let (happening, at) = self.inner.next().await;
            match &happening {
                Happening::Reply(task, Reply::Appended | Reply::Answered(_))
                    if self.last == Some(*task) =>
                {
                    (Happening::Broken(StoreError::Closed), at)
                }
                _ => (happening, at),
            }
        })
    }
}
