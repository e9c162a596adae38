//! One journal as one SQLite database: creating, reading with every check, adding.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use super::chain::{self, Head, Link};
use super::{Contents, Damage, DamageKind, Entry, StoreError};
use crate::world::Timestamp;

/// The newest format this code reads and writes.
pub const FORMAT: u32 = 1;

/// What stands in the `meta` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    pub run: String,
    pub epoch: u64,
    /// The machine and folder to which the journal belongs.
    pub home: String,
    /// How many entries the journal was born with (copied at a take-over).
    pub born_with: u64,
}

/// Where one journal's files are.
#[derive(Clone, Debug)]
pub struct Files {
    pub database: PathBuf,
    pub head: PathBuf,
}

/// A journal as far as it could be read, and the link after its last good entry.
pub struct Scan {
    pub meta: Option<Meta>,
    pub contents: Contents,
    pub link: Link,
}

/// Creates the database with the entries in it, complete and synced, under a name that must be
/// free. No `-wal` remains.
pub fn create(path: &Path, meta: &Meta, entries: &[Entry]) -> Result<(), StoreError> {
    let fail = |e: rusqlite::Error| StoreError::sql("create", path, &e);
    let mut db = Connection::open(path).map_err(fail)?;
    db.pragma_update(None, "synchronous", "FULL")
        .map_err(fail)?;
    let tx = db.transaction().map_err(fail)?;
    tx.execute_batch(
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
         CREATE TABLE entry (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, body TEXT NOT NULL, chain BLOB NOT NULL);",
    )
    .map_err(fail)?;
    for (name, value) in [
        ("format", FORMAT.to_string()),
        ("run", meta.run.clone()),
        ("epoch", meta.epoch.to_string()),
        ("home", meta.home.clone()),
        ("born_with", entries.len().to_string()),
    ] {
        tx.execute("INSERT INTO meta VALUES (?1, ?2)", params![name, value])
            .map_err(fail)?;
    }
    let mut link = chain::genesis(&meta.run);
    for entry in entries {
        link = insert(&tx, &link, entry).map_err(fail)?;
    }
    tx.commit().map_err(fail)?;
    db.close().map_err(|(_, e)| fail(e))
}

/// Adds one row; the caller commits.
pub fn insert(db: &Connection, link: &Link, entry: &Entry) -> rusqlite::Result<Link> {
    let link = chain::next(link, entry);
    db.prepare_cached("INSERT INTO entry (seq, at, body, chain) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![entry.seq as i64, entry.at.0, entry.body, link])?;
    Ok(link)
}

/// So many pages of the write-ahead log are folded into the database at a time.
const LOG_PAGES: u32 = 256;
/// Bytes of the log before it is written from its beginning again: its head, and with each page that
/// page's head. A commit or two may come on top.
const LOG_ROOM: usize = 32 + (LOG_PAGES as usize + 16) * (24 + 4096);

/// Opens for appending: WAL, a sync at every commit.
pub fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let fail = |e: rusqlite::Error| StoreError::sql("open", path, &e);
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(fail)?;
    db.busy_timeout(Duration::from_secs(5)).map_err(fail)?;
    db.pragma_update(None, "journal_mode", "WAL")
        .map_err(fail)?;
    db.pragma_update(None, "synchronous", "FULL")
        .map_err(fail)?;
    db.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)
        .map_err(fail)?;
    // On a disk that is nearly full the log grows as it is needed.
    let _ = make_room(&log_of(path));
    Ok(db)
}

fn log_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", path.display()))
}

/// Gives the log its whole length at once: what is written over what is there needs one write to the
/// disk at a sync, what makes a file longer needs two. Zeros behind the last commit are no part of it.
/// Where there is no room, nothing is taken.
fn make_room(log: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(log)?;
    let length = file.metadata()?.len();
    let there = usize::try_from(length).unwrap_or(usize::MAX);
    let made = file.write_all(&vec![0; LOG_ROOM.saturating_sub(there)]);
    if made.is_err() {
        file.set_len(length)?;
    }
    made
}

/// Reads and checks everything: format, numbers, chain, and the head record.
///
/// Damage is part of the answer; an error is a place that cannot be read at all, or a newer format.
pub fn scan(files: &Files) -> Result<Scan, StoreError> {
    let mut scan = scan_once(files)?;
    // Another process may rewrite the head record at this moment: only what stays is damage.
    for _ in 0..2 {
        if scan.contents.damage.is_none() {
            break;
        }
        scan = scan_once(files)?;
    }
    Ok(scan)
}

/// The head record is read first, so that a journal that grows meanwhile is longer, never shorter.
fn scan_once(files: &Files) -> Result<Scan, StoreError> {
    let head = Head::read(&files.head)?;
    if !files.database.exists() {
        return Ok(unreadable(format!(
            "`{}` is missing",
            files.database.display()
        )));
    }
    let mut scan = match open_reader(&files.database).and_then(|db| read_rows(&db, files)) {
        Ok(scan) => scan,
        Err(ReadError::Sql(e)) if is_damage(&e) => unreadable(format!("the database says: {e}")),
        Err(ReadError::Sql(e)) => return Err(StoreError::sql("read", &files.database, &e)),
        Err(ReadError::Damage(detail)) => unreadable(detail),
        Err(ReadError::Store(e)) => return Err(e),
    };
    if scan.contents.damage.is_none() {
        scan.contents.damage = against_head(&scan, head, files);
    }
    Ok(scan)
}

enum ReadError {
    Sql(rusqlite::Error),
    Damage(String),
    Store(StoreError),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        ReadError::Sql(error)
    }
}

/// A reader takes part in the WAL like a writer, which needs a writable folder; in one that is not,
/// a database without a log is opened as immutable.
fn open_reader(path: &Path) -> Result<Connection, ReadError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).and_then(|db| {
        db.busy_timeout(Duration::from_secs(5))?;
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(db)
    });
    match db {
        Err(e)
            if matches!(
                e.sqlite_error_code(),
                Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
            ) =>
        {
            if log_of(path).metadata().is_ok_and(|m| m.len() > 0) {
                return Err(e.into());
            }
            let uri = format!("file:{}?immutable=1", uri_path(path));
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
                | OpenFlags::SQLITE_OPEN_URI
                | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Ok(Connection::open_with_flags(uri, flags)?)
        }
        other => Ok(other?),
    }
}

fn uri_path(path: &Path) -> String {
    path.to_string_lossy()
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23")
}

fn read_rows(db: &Connection, files: &Files) -> Result<Scan, ReadError> {
    let meta = read_meta(db, files)?;
    let mut link = chain::genesis(&meta.run);
    let mut contents = Contents::default();
    let mut statement = db.prepare("SELECT seq, at, body, chain FROM entry ORDER BY seq")?;
    let mut rows = statement.query([])?;
    loop {
        let after = contents.entries.len() as u64;
        let found = match rows.next() {
            Ok(Some(row)) => row_entry(row, after),
            Ok(None) => break,
            Err(e) if is_damage(&e) => {
                Err((DamageKind::Unreadable, format!("the database says: {e}")))
            }
            Err(e) => return Err(e.into()),
        };
        let checked = found.and_then(|(entry, recorded)| {
            let expected = chain::next(&link, &entry);
            if recorded != expected {
                let detail = format!(
                    "the chain hash of entry {} does not match its text",
                    entry.seq
                );
                return Err((DamageKind::Altered, detail));
            }
            link = expected;
            Ok(entry)
        });
        match checked {
            Ok(entry) => contents.entries.push(entry),
            Err((what, detail)) => {
                contents.damage = Some(Damage {
                    after_seq: after,
                    what,
                    detail,
                });
                break;
            }
        }
    }
    Ok(Scan {
        meta: Some(meta),
        contents,
        link,
    })
}

fn row_entry(row: &rusqlite::Row<'_>, after: u64) -> Result<(Entry, Link), (DamageKind, String)> {
    let altered = |e: rusqlite::Error| {
        (
            DamageKind::Altered,
            format!("entry {} cannot be read: {e}", after + 1),
        )
    };
    let seq: i64 = row.get(0).map_err(altered)?;
    if seq as u64 != after + 1 {
        return Err((
            DamageKind::Gap,
            format!("entry {} is followed by entry {seq}", after),
        ));
    }
    let entry = Entry {
        seq: seq as u64,
        at: Timestamp(row.get(1).map_err(altered)?),
        body: row.get(2).map_err(altered)?,
    };
    Ok((entry, row.get(3).map_err(altered)?))
}

fn read_meta(db: &Connection, files: &Files) -> Result<Meta, ReadError> {
    let mut statement = db.prepare("SELECT name, value FROM meta")?;
    let pairs = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<std::collections::BTreeMap<String, String>, _>>()?;
    let text = |name: &str| {
        pairs
            .get(name)
            .cloned()
            .ok_or_else(|| ReadError::Damage(format!("the journal does not tell its `{name}`")))
    };
    let count = |name: &str| {
        let value = text(name)?;
        value
            .parse::<u64>()
            .map_err(|_| ReadError::Damage(format!("the journal's `{name}` is `{value}`")))
    };
    let found = count("format")?;
    if found > u64::from(FORMAT) {
        return Err(ReadError::Store(StoreError::Newer {
            path: files.database.clone(),
            found: u32::try_from(found).unwrap_or(u32::MAX),
            supported: FORMAT,
        }));
    }
    Ok(Meta {
        run: text("run")?,
        epoch: count("epoch")?,
        home: text("home")?,
        born_with: count("born_with")?,
    })
}

/// What the head record says against a journal that is whole in itself.
fn against_head(scan: &Scan, head: Option<Result<Head, String>>, files: &Files) -> Option<Damage> {
    let entries = &scan.contents.entries;
    let count = entries.len() as u64;
    let meta = scan.meta.as_ref()?;
    let head = match head {
        Some(Ok(head)) => head,
        Some(Err(detail)) => {
            return Some(Damage {
                after_seq: 0,
                what: DamageKind::Altered,
                detail,
            });
        }
        // Created, and stopped before the head record was: nothing was added yet.
        None if count == meta.born_with => return None,
        None => {
            let detail = format!(
                "`{}` is missing, so nobody knows how long the journal was",
                files.head.display()
            );
            return Some(Damage {
                after_seq: meta.born_with.min(count),
                what: DamageKind::Altered,
                detail,
            });
        }
    };
    if head.count > count {
        let detail = format!("{} entries were recorded, {count} are there", head.count);
        return Some(Damage {
            after_seq: count,
            what: DamageKind::Shorter,
            detail,
        });
    }
    let link = entries[..head.count as usize]
        .iter()
        .fold(chain::genesis(&meta.run), |link, entry| {
            chain::next(&link, entry)
        });
    (link != head.link).then(|| Damage {
        after_seq: 0,
        what: DamageKind::Altered,
        detail: "the journal is not the one that the head record describes".into(),
    })
}

fn unreadable(detail: String) -> Scan {
    Scan {
        meta: None,
        contents: Contents {
            entries: Vec::new(),
            damage: Some(Damage {
                after_seq: 0,
                what: DamageKind::Unreadable,
                detail,
            }),
        },
        link: [0; 32],
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        // "Unknown" covers a missing table or column: the schema was altered.
        Some(code) => matches!(
            code,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown
        ),
        None => !matches!(error, rusqlite::Error::SqliteFailure(..)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_does_not_grow_with_what_is_added() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("journal-1.db");
        let meta = Meta {
            run: "r".into(),
            epoch: 1,
            home: "here".into(),
            born_with: 0,
        };
        create(&path, &meta, &[]).expect("creates");
        let db = open_writer(&path).expect("opens");
        let mut link = chain::genesis("r");
        for seq in 1..=3 * u64::from(LOG_PAGES) {
            let entry = Entry {
                seq,
                at: Timestamp(0),
                body: "x".repeat(200),
            };
            link = insert(&db, &link, &entry).expect("adds");
            let length = log_of(&path).metadata().map(|m| m.len());
            assert_eq!(length.expect("a log"), LOG_ROOM as u64);
        }
    }
}
