//! Where journals live, and what stands beside them: locks, the inbox, the key of the secrets.
//!
//! The store knows nothing of events. An [`Entry`] is a number, a moment and one JSON text; what
//! has been acknowledged is on the disk, and a journal that lost a part says so instead of passing
//! for a shorter one.

mod chain;
mod committer;
#[cfg(test)]
mod conformance;
mod error;
mod export;
mod inbox;
mod lock;
mod memory;
mod run_folder;
mod sqlite;
mod state_dir;
mod taint;
pub mod vault;

use std::future::Future;
use std::pin::Pin;

use crate::world::Timestamp;

pub use committer::Committer;
pub use error::StoreError;
pub use export::Exported;
pub use inbox::{Inbox, InboxItem, InboxKind, Posted};
pub use lock::{EnvLock, LockInfo};
pub use memory::MemoryJournal;
pub use run_folder::RunFolder;
pub use state_dir::StateDir;
pub use vault::{Key, UnknownSecret, Vault, VaultError, holds_marker};

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: u64,
    pub at: Timestamp,
    /// One JSON document.
    pub body: String,
}

/// Everything a journal still tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// All entries before the damage, or simply all.
    pub entries: Vec<Entry>,
    pub damage: Option<Damage>,
}

/// A journal that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The last entry that is certainly as it was written; 0 when none is.
    pub after_seq: u64,
    pub what: DamageKind,
    /// What was found and what was expected, for people.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// Entries that were acknowledged are gone from the end (a lost `-wal`, a cut file).
    Shorter,
    /// An entry is missing in the middle.
    Gap,
    /// An entry, or the head record, is not what was written.
    Altered,
    /// The file is no readable database.
    Unreadable,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.what {
            DamageKind::Shorter => "its end is missing",
            DamageKind::Gap => "an entry is missing",
            DamageKind::Altered => "it was altered",
            DamageKind::Unreadable => "it cannot be read",
        };
        write!(f, "{what} after entry {}: {}", self.after_seq, self.detail)
    }
}

/// Resolves to the number of the last entry once everything appended is durable.
pub type Ack = Pin<Box<dyn Future<Output = Result<u64, StoreError>> + Send>>;

/// A journal that grows at its end.
pub trait Journal: Send + Sync {
    /// Queues the entries at once, in the order of calls; the future tells when they are durable.
    /// Dropping the future does not take the entries back.
    fn append(&self, entries: Vec<Entry>) -> Ack;

    /// As [`Journal::append`], for entries on which nothing waits: they may become durable together
    /// with the next ones, or a moment later by themselves.
    fn append_soon(&self, entries: Vec<Entry>) -> Ack {
        self.append(entries)
    }

    /// Makes durable, before it returns, what was appended: for a caller that has nothing to do but wait.
    fn commit_here(&self) {}

    /// Says [`StoreError::TakenOver`] when another process owns the run by now: nothing may be sent
    /// in its name any more.
    fn still_ours(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Everything durable so far.
    fn read(&self) -> Result<Contents, StoreError>;
}
