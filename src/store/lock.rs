//! One run at a time in an environment: a kernel lock, which frees itself on death.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::world::{Machine, Timestamp};

/// Who holds an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockInfo {
    pub run: String,
    pub pid: u32,
    pub host: String,
    pub boot_id: String,
    /// Milliseconds since 1970.
    pub started: i64,
}

impl LockInfo {
    /// This process as the holder.
    pub fn new(run: &str, machine: &Machine, started: Timestamp) -> Self {
        LockInfo {
            run: run.into(),
            pid: machine.pid,
            host: machine.host.clone(),
            boot_id: machine.boot_id.clone(),
            started: started.0,
        }
    }

    fn unknown() -> Self {
        LockInfo {
            run: "?".into(),
            pid: 0,
            host: "?".into(),
            boot_id: String::new(),
            started: 0,
        }
    }
}

impl std::fmt::Display for LockInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "run `{}` (process {} on {}, since {})",
            self.run,
            self.pid,
            self.host,
            Timestamp(self.started).rfc3339()
        )
    }
}

/// Held until dropped.
#[derive(Debug)]
pub struct EnvLock {
    _file: File,
    pub info: LockInfo,
}

pub(super) fn acquire(path: &Path, info: LockInfo) -> Result<EnvLock, StoreError> {
    loop {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|e| StoreError::io("open", path, &e))?;
        match file.try_lock() {
            Ok(()) if is_still(&file, path) => return fill(file, info, path),
            // Taken over between the opening and the locking: look again.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Held(Box::new(holder(&mut file))));
            }
            Err(TryLockError::Error(e)) => return Err(StoreError::io("lock", path, &e)),
        }
    }
}

/// Puts a fresh, locked file in the place of the old one; the old holder keeps a lock on a file
/// that nobody looks at any more.
pub(super) fn replace(path: &Path, info: LockInfo) -> Result<EnvLock, StoreError> {
    let draft = path.with_extension(format!("lock-{}", std::process::id()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&draft)
        .map_err(|e| StoreError::io("create", &draft, &e))?;
    file.try_lock().map_err(|e| match e {
        TryLockError::WouldBlock => StoreError::Held(Box::new(info.clone())),
        TryLockError::Error(e) => StoreError::io("lock", &draft, &e),
    })?;
    let lock = fill(file, info, &draft)?;
    fs::rename(&draft, path).map_err(|e| StoreError::io("write", path, &e))?;
    Ok(lock)
}

/// Who holds the lock now, if anybody does.
pub(super) fn held_by(path: &Path) -> Result<Option<LockInfo>, StoreError> {
    let mut file = match File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|e| StoreError::io("open", path, &e))?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(holder(&mut file))),
        Err(TryLockError::Error(e)) => Err(StoreError::io("lock", path, &e)),
    }
}

fn fill(mut file: File, info: LockInfo, path: &Path) -> Result<EnvLock, StoreError> {
    let text = serde_json::to_string(&info).unwrap_or_default();
    file.set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| file.write_all(text.as_bytes()))
        .map_err(|e| StoreError::io("write", path, &e))?;
    Ok(EnvLock { _file: file, info })
}

/// What the holder wrote; it may be just about to.
fn holder(file: &mut File) -> LockInfo {
    let mut text = String::new();
    let _ = file.take(16 * 1024).read_to_string(&mut text);
    serde_json::from_str(&text).unwrap_or_else(|_| LockInfo::unknown())
}

#[cfg(unix)]
fn is_still(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => a.ino() == b.ino() && a.dev() == b.dev(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_still(_: &File, _: &Path) -> bool {
    true
}
