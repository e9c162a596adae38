//! What can go wrong in the store, worded for people.

use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};

use super::{Damage, LockInfo};

/// An error of the store; cloneable, since one failed commit answers many appends.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StoreError {
    #[error("the disk that holds `{}` is full; nothing recorded so far is lost: free some space and resume", path.display())]
    Full { path: PathBuf },
    #[error("`{}` cannot be written: {detail}; make it writable, or name another place with `--state`", path.display())]
    ReadOnly { path: PathBuf, detail: String },
    #[error("could not {doing} `{}`: {detail}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        detail: String,
    },
    #[error("`{}` was written by a newer r5flow (format {found}, this one reads up to {supported}); update r5flow", path.display())]
    Newer {
        path: PathBuf,
        found: u32,
        supported: u32,
    },
    #[error("there is no run `{0}` here; `r5flow runs` lists those there are")]
    NoSuchRun(String),
    #[error("a run `{0}` exists already")]
    RunExists(String),
    #[error("`{0}` is no run id; expected the form 0198c0de-0000-7000-8000-000000000000")]
    BadRunId(String),
    #[error(
        "the journal is damaged: {0}; nothing may be added to it: restore the run's whole folder, or start anew after looking at what it created"
    )]
    Damaged(Damage),
    #[error("entry {got} was to be added where entry {expected} belongs")]
    OutOfOrder { expected: u64, got: u64 },
    #[error(
        "another process took this run over (epoch {epoch}); this one sends nothing more and records nothing more"
    )]
    TakenOver { epoch: u64 },
    #[error("{what} cannot follow what the journal holds, and was not recorded")]
    Illegal { what: String },
    #[error("{detail}")]
    BadExport { detail: String },
    #[error(
        "this journal belongs to {recorded}, and was opened in {here}; if the other copy will never run again, `resume --take-over`"
    )]
    Elsewhere { recorded: String, here: String },
    #[error("held by {0}")]
    Held(Box<LockInfo>),
    #[error("the journal was closed")]
    Closed,
}

impl StoreError {
    pub(crate) fn io(doing: &'static str, path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        let path = path.to_owned();
        match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => StoreError::Full { path },
            Kind::ReadOnlyFilesystem | Kind::PermissionDenied => StoreError::ReadOnly {
                path,
                detail: error.to_string(),
            },
            _ => StoreError::Io {
                doing,
                path,
                detail: error.to_string(),
            },
        }
    }

    pub(crate) fn sql(doing: &'static str, path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_owned();
        let detail = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full { path },
            // The index of the log could not grow: SQLite does not call that a full disk.
            Some(ErrorCode::SystemIoFailure)
                if extended(error) == Some(ffi::SQLITE_IOERR_SHMSIZE) =>
            {
                StoreError::Full { path }
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                StoreError::ReadOnly { path, detail }
            }
            _ => StoreError::Io {
                doing,
                path,
                detail,
            },
        }
    }
}

fn extended(error: &rusqlite::Error) -> Option<i32> {
    match error {
        rusqlite::Error::SqliteFailure(code, _) => Some(code.extended_code),
        _ => None,
    }
}
