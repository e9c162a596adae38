//! What other processes have to say to a run: answers to its gates, a cancel.
//!
//! A database of its own, since the journal belongs to the process that drives the run.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;
use crate::world::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboxKind {
    Approve,
    Deny,
    Cancel,
}

impl InboxKind {
    pub fn as_str(self) -> &'static str {
        match self {
            InboxKind::Approve => "approve",
            InboxKind::Deny => "deny",
            InboxKind::Cancel => "cancel",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [InboxKind::Approve, InboxKind::Deny, InboxKind::Cancel]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// One answer or wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxItem {
    /// What it answers, once: `<address>#<generation>`.
    pub key: String,
    pub kind: InboxKind,
    /// Who says so, and on which machine.
    pub by: String,
    pub host: String,
    pub note: String,
    pub at: Timestamp,
    /// The text that was shown to who answered; an answer to another text does not count.
    pub text_hash: String,
}

/// What became of a posted item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It is the first for its key.
    New,
    /// The same was said before, by this item.
    Already(InboxItem),
    /// The opposite was said before; that stands.
    Contrary(InboxItem),
}

pub struct Inbox {
    db: Mutex<Connection>,
    path: PathBuf,
}

impl Inbox {
    pub(super) fn open(path: &Path) -> Result<Inbox, StoreError> {
        let fail = |e: rusqlite::Error| StoreError::sql("open", path, &e);
        let db = Connection::open(path).map_err(fail)?;
        db.busy_timeout(Duration::from_secs(5)).map_err(fail)?;
        db.pragma_update(None, "synchronous", "FULL")
            .map_err(fail)?;
        db.execute_batch(
            "CREATE TABLE IF NOT EXISTS item (
                 number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
                 said_by TEXT NOT NULL, note TEXT NOT NULL, at INTEGER NOT NULL, text_hash TEXT NOT NULL,
                 host TEXT NOT NULL DEFAULT '')",
        )
        .map_err(fail)?;
        let tells_host = db.column_exists(None, "item", "host").map_err(fail)?;
        // One that an older r5flow made.
        if !tells_host {
            db.execute_batch("ALTER TABLE item ADD COLUMN host TEXT NOT NULL DEFAULT ''")
                .map_err(fail)?;
        }
        Ok(Inbox {
            db: Mutex::new(db),
            path: path.to_owned(),
        })
    }

    /// The first item for a key wins, whoever else posts at the same time.
    pub fn post(&self, item: &InboxItem) -> Result<Posted, StoreError> {
        let db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let fail = |e: rusqlite::Error| StoreError::sql("add to", &self.path, &e);
        let added = db
            .execute(
                "INSERT OR IGNORE INTO item (key, kind, said_by, note, at, text_hash, host)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    item.key,
                    item.kind.as_str(),
                    item.by,
                    item.note,
                    item.at.0,
                    item.text_hash,
                    item.host
                ],
            )
            .map_err(fail)?;
        if added == 1 {
            return Ok(Posted::New);
        }
        let first = db
            .query_row(
                &format!("SELECT {COLUMNS} FROM item WHERE key = ?1"),
                [&item.key],
                numbered,
            )
            .optional()
            .map_err(fail)?;
        match first {
            Some((_, first)) if first.kind == item.kind => Ok(Posted::Already(first)),
            Some((_, first)) => Ok(Posted::Contrary(first)),
            None => Err(fail(rusqlite::Error::QueryReturnedNoRows)),
        }
    }

    /// Items with a number above `after`, in the order in which they came, each with its number.
    pub fn poll(&self, after: i64) -> Result<Vec<(i64, InboxItem)>, StoreError> {
        let db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || {
            db.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM item WHERE number > ?1 ORDER BY number"
            ))?
            .query_map([after], numbered)?
            .collect::<Result<Vec<_>, _>>()
        };
        read().map_err(|e| StoreError::sql("read", &self.path, &e))
    }
}

const COLUMNS: &str = "number, key, kind, said_by, note, at, text_hash, host";

fn numbered(row: &Row<'_>) -> rusqlite::Result<(i64, InboxItem)> {
    let kind: String = row.get(2)?;
    let item = InboxItem {
        key: row.get(1)?,
        kind: InboxKind::parse(&kind).ok_or(rusqlite::Error::InvalidQuery)?,
        by: row.get(3)?,
        note: row.get(4)?,
        at: Timestamp(row.get(5)?),
        text_hash: row.get(6)?,
        host: row.get(7)?,
    };
    Ok((row.get(0)?, item))
}
