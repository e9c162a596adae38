//! The state directory, `.r5flow/`: runs, environment locks, the key of the secrets.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::lock;
use super::{EnvLock, Exported, Key, LockInfo, RunFolder, StoreError};

/// Readable by its owner only, and ignored by git.
///
/// ```text
/// .r5flow/.gitignore
///         key              256 random bits, for the digests of secrets
///         env/<name>.lock  who runs in an environment
///         runs/<run id>/   one folder a run
///         sim/             what the simulator keeps
/// ```
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Opens the directory, and creates it when it is not there.
    pub fn open(path: impl Into<PathBuf>) -> Result<StateDir, StoreError> {
        let state = StateDir { path: path.into() };
        for dir in [state.path.clone(), state.runs(), state.path.join("env")] {
            create_private_dir(&dir)?;
        }
        let ignore = state.path.join(".gitignore");
        if !ignore.exists() {
            fs::write(&ignore, "*\n").map_err(|e| StoreError::io("write", &ignore, &e))?;
        }
        Ok(state)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the simulator keeps its state; created when asked for.
    pub fn sim(&self) -> Result<PathBuf, StoreError> {
        let path = self.path.join("sim");
        create_private_dir(&path)?;
        Ok(path)
    }

    /// Makes a new, empty run. The id must be the text of a UUID.
    pub fn create_run(&self, id: &str) -> Result<RunFolder, StoreError> {
        RunFolder::create(&self.runs(), checked_id(id)?)
    }

    /// Makes a run of what was exported elsewhere. It can be read, and taken over.
    ///
    /// # Errors
    /// [`StoreError::RunExists`].
    pub fn import_run(&self, exported: &Exported) -> Result<RunFolder, StoreError> {
        checked_id(&exported.run)?;
        RunFolder::import(&self.runs(), exported)
    }

    /// Opens a run for reading; [`RunFolder::committer`] opens it for appending.
    pub fn open_run(&self, id: &str) -> Result<RunFolder, StoreError> {
        RunFolder::open(&self.runs(), checked_id(id)?)
    }

    /// The ids of all runs, newest first.
    pub fn list_runs(&self) -> Result<Vec<String>, StoreError> {
        let runs = self.runs();
        let fail = |e: &std::io::Error| StoreError::io("read", &runs, e);
        let mut ids = Vec::new();
        for entry in fs::read_dir(&runs).map_err(|e| fail(&e))? {
            let entry = entry.map_err(|e| fail(&e))?;
            let name = entry.file_name();
            if !entry.path().is_dir() {
                continue;
            }
            if let Some(id) = name.to_str().filter(|name| checked_id(name).is_ok()) {
                ids.push(id.to_owned());
            }
        }
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(ids)
    }

    /// The one run whose id begins with `start`; `None` when there is none, or more than one.
    pub fn find_run(&self, start: &str) -> Result<Option<String>, StoreError> {
        let mut fitting = self
            .list_runs()?
            .into_iter()
            .filter(|id| id.starts_with(start));
        let first = fitting.next();
        Ok(first.filter(|_| fitting.next().is_none()))
    }

    /// Holds an environment for this process until the lock is dropped or the process dies.
    pub fn lock(&self, env: &str, info: LockInfo) -> Result<EnvLock, StoreError> {
        lock::acquire(&self.lock_path(env), info)
    }

    /// Who holds an environment now. `None`: nobody does, or who did died.
    pub fn holder(&self, env: &str) -> Result<Option<LockInfo>, StoreError> {
        lock::held_by(&self.lock_path(env))
    }

    /// Holds an environment although another process does, which must be fenced off by
    /// [`RunFolder::take_over`].
    pub fn take_over_lock(&self, env: &str, info: LockInfo) -> Result<EnvLock, StoreError> {
        lock::replace(&self.lock_path(env), info)
    }

    /// The key of this directory's secrets; drawn from `random` at the first call.
    pub fn key(&self, random: &mut dyn FnMut(&mut [u8])) -> Result<Key, StoreError> {
        let path = self.path.join("key");
        if let Some(key) = read_key(&path)? {
            return Ok(key);
        }
        let mut bytes = [0u8; 32];
        random(&mut bytes);
        let draft = self.path.join(format!(".key-{}", std::process::id()));
        write_private(&draft, &bytes)?;
        // A link, unlike a rename, leaves the key of a process that was quicker in place.
        let linked = fs::hard_link(&draft, &path);
        let _ = fs::remove_file(&draft);
        match linked {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(StoreError::io("create", &path, &e));
            }
            _ => sync_dir(&self.path)?,
        }
        read_key(&path)?.ok_or_else(|| StoreError::Io {
            doing: "read",
            path,
            detail: "it vanished again".into(),
        })
    }

    fn runs(&self) -> PathBuf {
        self.path.join("runs")
    }

    fn lock_path(&self, env: &str) -> PathBuf {
        self.path
            .join("env")
            .join(format!("{}.lock", file_name(env)))
    }
}

fn checked_id(id: &str) -> Result<&str, StoreError> {
    match uuid::Uuid::try_parse(id) {
        Ok(uuid) if uuid.to_string() == id => Ok(id),
        _ => Err(StoreError::BadRunId(id.into())),
    }
}

/// Any text as a file's name: what is not plainly safe becomes `%` and two digits.
fn file_name(text: &str) -> String {
    let mut name = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte as char),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name
}

fn read_key(path: &Path) -> Result<Option<Key>, StoreError> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::io("open", path, &e)),
        Ok(file) => file
            .take(64)
            .read_to_end(&mut bytes)
            .map_err(|e| StoreError::io("read", path, &e))?,
    };
    match <[u8; 32]>::try_from(bytes.as_slice()) {
        Ok(bytes) => Ok(Some(Key::new(bytes))),
        Err(_) => Err(StoreError::Io {
            doing: "use",
            path: path.to_owned(),
            detail: format!(
                "expected 32 bytes, found {}; restore it: without it the secrets of recorded runs cannot be compared",
                bytes.len()
            ),
        }),
    }
}

fn create_private_dir(path: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(|e| StoreError::io("create", path, &e))
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .map_err(|e| StoreError::io("write", path, &e))
}

/// Replaces a file at once: a reader, or a crash, sees the old content or the new.
pub(super) fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    write_private(&draft, bytes)?;
    fs::rename(&draft, path).map_err(|e| StoreError::io("write", path, &e))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Makes renames and new names in a directory durable.
pub(super) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| StoreError::io("write", path, &e))
}
