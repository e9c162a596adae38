//! A folder of the cache for work that is under way: held while somebody works in it, and gone afterwards.
//!
//! A process that is killed cannot clean up, but the system takes its locks away. Whoever comes next removes
//! what nobody holds, and leaves alone what another process still works on.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The folder of all work that is under way.
const HOME: &str = "fetching";
/// The file in it that is held while folders are made and removed.
const DOOR: &str = ".door";
/// The file in each folder that is held while somebody works there.
const HELD: &str = "held";

pub struct Scratch {
    path: PathBuf,
    _held: File,
}

impl Scratch {
    /// # Errors
    /// The folder cannot be made.
    pub fn new(cache: &Path) -> Result<Scratch, String> {
        let home = std::path::absolute(cache)
            .map_err(|e| format!("`{}`: {e}", cache.display()))?
            .join(HOME);
        let path = home.join(super::random_name());
        let failed = |e: io::Error| format!("`{}` cannot be made: {e}", path.display());
        std::fs::create_dir_all(&home).map_err(failed)?;
        let door = held(&home.join(DOOR)).map_err(failed)?;
        abandoned(&home).iter().for_each(|folder| remove(folder));
        std::fs::create_dir(&path).map_err(failed)?;
        let scratch = held(&path.join(HELD)).map_err(failed)?;
        drop(door);
        Ok(Scratch {
            path,
            _held: scratch,
        })
    }

    /// A place in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// How much stands in it.
    pub fn bytes(&self) -> u64 {
        let mut open = vec![self.path.clone()];
        let mut bytes = 0;
        while let Some(folder) = open.pop() {
            // What goes away while it is counted counts no more.
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.metadata() {
                    Ok(meta) if meta.is_dir() => open.push(entry.path()),
                    Ok(meta) => bytes += meta.len(),
                    Err(_) => {}
                }
            }
        }
        bytes
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// A file that is held until it is dropped. A file system without locks holds nothing, and tells so when it is asked.
fn held(path: &Path) -> io::Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    match file.lock() {
        Err(e) if e.kind() != io::ErrorKind::Unsupported => Err(e),
        _ => Ok(file),
    }
}

/// The folders in which nobody works any more.
fn abandoned(home: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(home).into_iter().flatten().flatten();
    let folders = all
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name != DOOR));
    folders
        .filter(|folder| match File::open(folder.join(HELD)) {
            Ok(file) => match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
            },
            // Made and held behind the door, so it was left half removed.
            Err(e) => e.kind() == io::ErrorKind::NotFound,
        })
        .collect()
}

fn remove(folder: &Path) {
    // What cannot be removed is in the cache, where it harms nobody and is met again.
    let _ = std::fs::remove_dir_all(folder);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_behind_goes_and_what_is_held_stays() {
        let cache = tempfile::tempdir().expect("a folder");
        let working = Scratch::new(cache.path()).expect("scratch");
        std::fs::write(working.path("pack"), "x").expect("a file");
        let home = cache.path().join(HOME);
        // One died with its lock file, one before or after it had one.
        std::fs::create_dir_all(home.join("dead/git/objects")).expect("folders");
        std::fs::write(home.join("dead").join(HELD), "").expect("a file");
        std::fs::create_dir(home.join("bare")).expect("a folder");
        let other = Scratch::new(cache.path()).expect("scratch");
        assert!(!home.join("dead").exists() && !home.join("bare").exists());
        assert_eq!(working.bytes(), 1);
        let (one, two) = (working.path.clone(), other.path.clone());
        drop((working, other));
        assert!(!one.exists() && !two.exists());
    }
}
