//! One run as one file: a head line, then each entry of its journal as a line of JSON.
//!
//! The file holds what the journal holds, in which secrets are sealed; the key that sealed them and
//! the inbox stay where they are. The head line tells how many entries there are and the chain's last
//! link, so that a file that was cut, mixed up or altered by accident is refused.

use serde::{Deserialize, Serialize};

use super::chain::{self, Link};
use super::{Contents, Entry, StoreError, sqlite};
use crate::world::Timestamp;

/// Tells the file from any other JSON.
const KIND: &str = "r5flow run";
/// Rises when an older r5flow could misread a file.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct HeadLine {
    kind: String,
    format: u32,
    /// The format of the entries.
    journal: u32,
    run: String,
    entries: u64,
    chain: String,
}

#[derive(Serialize, Deserialize)]
struct EntryLine {
    seq: u64,
    at: i64,
    body: String,
}

/// A run as it was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    pub run: String,
    pub entries: Vec<Entry>,
}

impl Exported {
    /// # Errors
    /// [`StoreError::Damaged`]: what is certain is not all there was.
    pub fn of(run: &str, contents: Contents) -> Result<Exported, StoreError> {
        match contents.damage {
            Some(damage) => Err(StoreError::Damaged(damage)),
            None => Ok(Exported {
                run: run.to_owned(),
                entries: contents.entries,
            }),
        }
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let head = HeadLine {
            kind: KIND.into(),
            format: FORMAT,
            journal: sqlite::FORMAT,
            run: self.run.clone(),
            entries: self.entries.len() as u64,
            chain: hex(&self.link()),
        };
        let mut text = line(&head);
        for entry in &self.entries {
            text.push_str(&line(&EntryLine {
                seq: entry.seq,
                at: entry.at.0,
                body: entry.body.clone(),
            }));
        }
        text
    }

    /// Reads a file's text, and checks all of it.
    ///
    /// # Errors
    /// [`StoreError::BadExport`] says what is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Exported, StoreError> {
        let mut lines = text.lines();
        let head = lines.next().unwrap_or_default();
        // A newer format may look different in everything but these two fields.
        let loose: serde_json::Value = serde_json::from_str(head).unwrap_or_default();
        if loose["kind"] != KIND {
            return Err(bad("it is no file that `r5flow runs export` wrote".into()));
        }
        for (name, supported) in [("format", FORMAT), ("journal", sqlite::FORMAT)] {
            match loose[name].as_u64() {
                Some(found) if found > u64::from(supported) => {
                    return Err(bad(format!(
                        "it was written by a newer r5flow ({name} {found}, this one reads up to {supported}); update r5flow"
                    )));
                }
                _ => {}
            }
        }
        let head: HeadLine =
            serde_json::from_str(head).map_err(|e| bad(format!("line 1 cannot be read: {e}")))?;
        let mut entries = Vec::new();
        for (at, line) in lines.enumerate() {
            let number = at + 2;
            let entry: EntryLine = serde_json::from_str(line)
                .map_err(|e| bad(format!("line {number} cannot be read: {e}")))?;
            if entry.seq != entries.len() as u64 + 1 {
                return Err(bad(format!(
                    "line {number} holds entry {} where entry {} belongs",
                    entry.seq,
                    entries.len() + 1
                )));
            }
            entries.push(Entry {
                seq: entry.seq,
                at: Timestamp(entry.at),
                body: entry.body,
            });
        }
        if entries.len() as u64 != head.entries {
            return Err(bad(format!(
                "it tells of {} entries and holds {}",
                head.entries,
                entries.len()
            )));
        }
        let exported = Exported {
            run: head.run,
            entries,
        };
        match hex(&exported.link()) == head.chain {
            true => Ok(exported),
            false => Err(bad("its entries are not those that were exported".into())),
        }
    }

    fn link(&self) -> Link {
        let genesis = chain::genesis(&self.run);
        self.entries
            .iter()
            .fold(genesis, |link, entry| chain::next(&link, entry))
    }
}

fn hex(link: &Link) -> String {
    blake3::Hash::from_bytes(*link).to_hex().to_string()
}

fn bad(detail: String) -> StoreError {
    StoreError::BadExport { detail }
}

fn line(value: &impl Serialize) -> String {
    match serde_json::to_string(value) {
        Ok(text) => format!("{text}\n"),
        Err(error) => unreachable!("invariant: these are texts and numbers: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exported() -> Exported {
        let entry = |seq: u64| Entry {
            seq,
            at: Timestamp(1000 + seq as i64),
            body: format!(r#"{{"event":"step","text":"line\nbreak \u{{e4}} {seq}"}}"#),
        };
        Exported {
            run: "0198c0de-0000-7000-8000-000000000001".into(),
            entries: (1..=4).map(entry).collect(),
        }
    }

    fn refused(text: &str) -> String {
        match Exported::parse(text) {
            Err(StoreError::BadExport { detail }) => detail,
            other => panic!("{other:?} of {text}"),
        }
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        assert_eq!(Exported::parse(&exported().text()), Ok(exported()));
    }

    #[test]
    fn every_cut_every_lost_line_and_every_altered_byte_is_refused() {
        let text = exported().text();
        for end in 0..text.len() - 1 {
            refused(&text[..end]);
        }
        let lines: Vec<&str> = text.lines().collect();
        for gone in 0..lines.len() {
            let mut rest = lines.clone();
            rest.remove(gone);
            refused(&rest.join("\n"));
        }
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
            let altered = String::from_utf8(bytes).expect("still text");
            assert_ne!(Exported::parse(&altered), Ok(exported()), "byte {at}");
            refused(&altered);
        }
    }

    #[test]
    fn what_is_newer_or_something_else_says_so() {
        let text = exported().text();
        let newer = text.replacen("\"format\":1", "\"format\":2", 1);
        assert_eq!(
            refused(&newer),
            "it was written by a newer r5flow (format 2, this one reads up to 1); update r5flow"
        );
        let newer = text.replacen("\"journal\":1", "\"journal\":9", 1);
        assert!(refused(&newer).contains("journal 9"));
        assert_eq!(
            refused("{}"),
            "it is no file that `r5flow runs export` wrote"
        );
    }
}
