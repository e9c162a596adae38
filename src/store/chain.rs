//! The chain hash of a journal, and the head record that says how long the journal must be.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Entry, StoreError};

/// blake3 over the previous link, the number, the moment and the body.
pub type Link = [u8; 32];

/// The link before the first entry; differs from run to run, so that rows of one journal do not
/// pass for another's.
pub fn genesis(run: &str) -> Link {
    blake3::derive_key("r5flow journal chain v1", run.as_bytes())
}

pub fn next(previous: &Link, entry: &Entry) -> Link {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous);
    hasher.update(&entry.seq.to_le_bytes());
    hasher.update(&entry.at.0.to_le_bytes());
    hasher.update(entry.body.as_bytes());
    *hasher.finalize().as_bytes()
}

/// How long a journal is at least, and the link there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub count: u64,
    pub link: Link,
}

/// 20 digits, a blank, 64 hexadecimal digits, a line end: always the same length, so that a
/// rewrite in place never leaves a remainder and stays within one disk sector.
const HEAD_LENGTH: usize = 20 + 1 + 64 + 1;

impl Head {
    fn text(&self) -> String {
        format!(
            "{:020} {}\n",
            self.count,
            blake3::Hash::from_bytes(self.link).to_hex()
        )
    }

    fn parse(text: &str) -> Option<Head> {
        if text.len() != HEAD_LENGTH {
            return None;
        }
        let (count, link) = text.trim_end().split_once(' ')?;
        Some(Head {
            count: count.parse().ok()?,
            link: *blake3::Hash::from_hex(link).ok()?.as_bytes(),
        })
    }

    /// `Ok(None)` when there is no file; the inner error text says why a file is no head record.
    pub fn read(path: &Path) -> Result<Option<Result<Head, String>>, StoreError> {
        let mut text = Vec::new();
        match File::open(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("open", path, &e)),
            Ok(file) => file
                .take(HEAD_LENGTH as u64 + 1)
                .read_to_end(&mut text)
                .map_err(|e| StoreError::io("read", path, &e))?,
        };
        let head = std::str::from_utf8(&text).ok().and_then(Head::parse);
        Ok(Some(head.ok_or_else(|| {
            format!("`{}` is no head record", path.display())
        })))
    }
}

/// The head record's file, kept open by the one who appends.
pub struct HeadFile {
    file: File,
    path: PathBuf,
}

impl HeadFile {
    /// Opens the file, and creates it durably when there is none.
    pub fn open(path: &Path, head: Head) -> Result<HeadFile, StoreError> {
        let fresh = !path.exists();
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let file = options
            .open(path)
            .map_err(|e| StoreError::io("open", path, &e))?;
        let mut opened = HeadFile {
            file,
            path: path.to_owned(),
        };
        opened.write(head)?;
        if fresh {
            opened
                .file
                .sync_all()
                .map_err(|e| StoreError::io("write", path, &e))?;
        }
        Ok(opened)
    }

    /// Rewrites the record in place. Not synced: after a power loss an older record stands there,
    /// and that one is true as well.
    pub fn write(&mut self, head: Head) -> Result<(), StoreError> {
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(head.text().as_bytes()))
            .map_err(|e| StoreError::io("write", &self.path, &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Timestamp;

    #[test]
    fn every_part_of_an_entry_moves_the_link() {
        let entry = Entry {
            seq: 1,
            at: Timestamp(5),
            body: "{}".into(),
        };
        let base = next(&genesis("a"), &entry);
        assert_ne!(base, next(&genesis("b"), &entry));
        for other in [
            Entry {
                seq: 2,
                ..entry.clone()
            },
            Entry {
                at: Timestamp(6),
                ..entry.clone()
            },
            Entry {
                body: "[]".into(),
                ..entry.clone()
            },
        ] {
            assert_ne!(base, next(&genesis("a"), &other));
        }
    }

    #[test]
    fn head_survives_its_text() {
        let head = Head {
            count: 42,
            link: genesis("x"),
        };
        assert_eq!(head.text().len(), HEAD_LENGTH);
        assert_eq!(Head::parse(&head.text()), Some(head));
        assert_eq!(Head::parse(&head.text()[1..]), None);
    }
}
