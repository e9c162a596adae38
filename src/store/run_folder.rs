//! One run's folder: its journal (one database per epoch), the head records, the inbox.
//!
//! ```text
//! runs/<run id>/current           the epoch that may append
//!               journal-<n>.db    the journal of epoch n; older ones are dead wood
//!               head-<n>          how long it must at least be
//!               inbox.db          answers and cancels from other processes
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use super::chain::{self, Head, HeadFile};
use super::sqlite::{self, Files, Meta};
use super::state_dir::{sync_dir, write_durably};
use super::{Committer, Contents, Entry, Exported, Inbox, StoreError};
use crate::world::Machine;

/// The home of a journal that came by a file.
const AS_EXPORTED: &str = "the place it was exported from";

/// A run's place in the state directory, as of one epoch.
#[derive(Clone, Debug)]
pub struct RunFolder {
    id: String,
    path: PathBuf,
    epoch: u64,
}

impl RunFolder {
    /// Builds the folder under a hidden name and moves it into place when it is complete.
    pub(super) fn create(runs: &Path, id: &str) -> Result<RunFolder, StoreError> {
        Self::build(runs, id, &home(&runs.join(id)), &[])
    }

    /// The folder of a run that was exported elsewhere: whoever goes on with it must take it over.
    pub(super) fn import(runs: &Path, exported: &Exported) -> Result<RunFolder, StoreError> {
        Self::build(runs, &exported.run, AS_EXPORTED, &exported.entries)
    }

    fn build(
        runs: &Path,
        id: &str,
        home: &str,
        entries: &[Entry],
    ) -> Result<RunFolder, StoreError> {
        let path = runs.join(id);
        if path.exists() {
            return Err(StoreError::RunExists(id.into()));
        }
        let building = runs.join(format!(".new-{id}"));
        let fail = |e: &std::io::Error| StoreError::io("create", &building, e);
        match fs::remove_dir_all(&building) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(fail(&e)),
            _ => {}
        }
        fs::create_dir(&building).map_err(|e| fail(&e))?;
        let draft = RunFolder {
            id: id.into(),
            path: building.clone(),
            epoch: 1,
        };
        let files = draft.files();
        sqlite::create(&files.database, &draft.meta(home.to_owned()), entries)?;
        let genesis = chain::genesis(id);
        HeadFile::open(
            &files.head,
            Head {
                count: entries.len() as u64,
                link: entries.iter().fold(genesis, |l, e| chain::next(&l, e)),
            },
        )?;
        draft.set_current(1)?;
        fs::rename(&building, &path).map_err(|e| fail(&e))?;
        sync_dir(runs)?;
        Ok(RunFolder { path, ..draft })
    }

    pub(super) fn open(runs: &Path, id: &str) -> Result<RunFolder, StoreError> {
        let path = runs.join(id);
        if !path.is_dir() {
            return Err(StoreError::NoSuchRun(id.into()));
        }
        let epoch = current(&path)?;
        let folder = RunFolder {
            id: id.into(),
            path,
            epoch,
        };
        if !folder.is_complete() {
            let _alone = folder.alone()?;
            folder.finish_take_over()?;
        }
        Ok(folder)
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Rises by one with every take-over, from 1.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Everything the journal tells, and its damage. May be called while another process writes.
    pub fn read(&self) -> Result<Contents, StoreError> {
        Ok(sqlite::scan(&self.files())?.contents)
    }

    /// Opens the journal for appending.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Elsewhere`] when the folder was copied or moved, and
    /// [`StoreError::TakenOver`].
    pub fn committer(&self) -> Result<Committer, StoreError> {
        Committer::start(self)
    }

    pub fn inbox(&self) -> Result<Inbox, StoreError> {
        Inbox::open(&self.path.join("inbox.db"))
    }

    /// Makes this process the owner: whoever held the run (alive but stopped, on another machine,
    /// or the copy this folder was made from) can add nothing from now on.
    ///
    /// The fence stands before the copy is made: what the old owner acknowledged before the fence
    /// is in the copy, and after the fence it acknowledges nothing.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], and an error when another process takes the run over at this moment.
    pub fn take_over(&self) -> Result<RunFolder, StoreError> {
        let _alone = self.alone()?;
        let contents = self.read()?;
        if let Some(damage) = contents.damage {
            return Err(StoreError::Damaged(damage));
        }
        let epoch = current(&self.path)? + 1;
        let folder = RunFolder {
            epoch,
            ..self.clone()
        };
        folder.set_current(epoch)?;
        folder.finish_take_over()?;
        Ok(folder)
    }

    /// Two take-overs at once must not claim the same epoch: the kernel lets one of them through.
    fn alone(&self) -> Result<fs::File, StoreError> {
        let path = self.path.join("take-over.lock");
        let fail = |e: &std::io::Error| StoreError::io("lock", &path, e);
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| fail(&e))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(StoreError::Io {
                doing: "take over",
                path: self.path.clone(),
                detail: "another process is taking it over at this moment".into(),
            }),
            Err(fs::TryLockError::Error(e)) => Err(fail(&e)),
        }
    }

    /// Makes the journal of a fenced epoch from the one before, if that did not happen yet.
    fn finish_take_over(&self) -> Result<(), StoreError> {
        if self.is_complete() {
            return Ok(());
        }
        let files = self.files();
        let before = RunFolder {
            epoch: self.epoch - 1,
            ..self.clone()
        };
        if !before.files().database.exists() {
            return Err(StoreError::Io {
                doing: "use",
                path: self.path.join("current"),
                detail: format!(
                    "it names epoch {}, and neither that journal nor the one before it is there; restore the run's whole folder",
                    self.epoch
                ),
            });
        }
        let scan = sqlite::scan(&before.files())?;
        if let Some(damage) = scan.contents.damage {
            return Err(StoreError::Damaged(damage));
        }
        let draft = self.path.join(format!(".journal-{}.db", self.epoch));
        let fail = |e: &std::io::Error| StoreError::io("create", &draft, e);
        match fs::remove_file(&draft) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(fail(&e)),
            _ => {}
        }
        let entries = &scan.contents.entries;
        sqlite::create(&draft, &self.meta(home(&self.path)), entries)?;
        fs::rename(&draft, &files.database).map_err(|e| fail(&e))?;
        HeadFile::open(
            &files.head,
            Head {
                count: entries.len() as u64,
                link: scan.link,
            },
        )?;
        sync_dir(&self.path)
    }

    /// Whether this epoch has a journal, or lost one.
    fn is_complete(&self) -> bool {
        let files = self.files();
        self.epoch == 1 || files.database.exists() || files.head.exists()
    }

    pub(super) fn files(&self) -> Files {
        Files {
            database: self.path.join(format!("journal-{}.db", self.epoch)),
            head: self.path.join(format!("head-{}", self.epoch)),
        }
    }

    /// Says [`StoreError::TakenOver`] when another epoch may append now.
    pub fn check_epoch(&self) -> Result<(), StoreError> {
        match current(&self.path)? {
            epoch if epoch == self.epoch => Ok(()),
            epoch => Err(StoreError::TakenOver { epoch }),
        }
    }

    pub(super) fn check_home(&self, meta: Option<&Meta>) -> Result<(), StoreError> {
        let here = home(&self.path);
        match meta {
            Some(meta) if meta.home != here => Err(StoreError::Elsewhere {
                recorded: meta.home.clone(),
                here,
            }),
            _ => Ok(()),
        }
    }

    fn meta(&self, home: String) -> Meta {
        Meta {
            run: self.id.clone(),
            epoch: self.epoch,
            home,
            born_with: 0,
        }
    }

    fn set_current(&self, epoch: u64) -> Result<(), StoreError> {
        write_durably(&self.path.join("current"), format!("{epoch}\n").as_bytes())
    }
}

fn current(path: &Path) -> Result<u64, StoreError> {
    let file = path.join("current");
    let text = fs::read_to_string(&file).map_err(|e| StoreError::io("read", &file, &e))?;
    match text.trim().parse() {
        Ok(epoch) if epoch > 0 => Ok(epoch),
        _ => Err(StoreError::Io {
            doing: "read",
            path: file,
            detail: format!("`{}` is no epoch", text.trim().escape_debug()),
        }),
    }
}

/// The machine and the folder, as one text: a copy of the folder has another home.
fn home(path: &Path) -> String {
    let parent = path.parent().unwrap_or(path);
    let absolute = fs::canonicalize(parent).unwrap_or_else(|_| parent.to_owned());
    let name = path.file_name().unwrap_or_default();
    format!("{}:{}", Machine::here().id, absolute.join(name).display())
}
