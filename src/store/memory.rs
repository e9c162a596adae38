//! A journal in memory, for tests and estimates.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::committer::in_order;
use super::{Ack, Contents, Entry, Journal, StoreError};

/// Everything appended is "durable" at once. Clones share the entries, so that a test can drop one
/// runner and resume with the next.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal {
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl MemoryJournal {
    pub fn new() -> Self {
        Self::default()
    }

    /// A journal that starts with these entries, as after a resume.
    pub fn with(entries: Vec<Entry>) -> Self {
        MemoryJournal {
            entries: Arc::new(Mutex::new(entries)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for MemoryJournal {
    fn append(&self, entries: Vec<Entry>) -> Ack {
        let mut stored = self.lock();
        let checked = in_order(&entries, stored.len() as u64 + 1);
        if checked.is_ok() {
            stored.extend(entries);
        }
        let answer = checked.map(|after| after - 1);
        Box::pin(std::future::ready(answer))
    }

    fn read(&self) -> Result<Contents, StoreError> {
        Ok(Contents {
            entries: self.lock().clone(),
            damage: None,
        })
    }
}
