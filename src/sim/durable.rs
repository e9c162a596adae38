//! The simulated cloud that survives its process: a log of the calls that change something, replayed
//! when it is opened.
//!
//! One line a record: sixteen hexadecimal digits of a checksum, a space, JSON. A record is written
//! before its answer is given, and not synced: it survives the process, not the machine. A last line
//! that is cut short was never answered and is dropped; damage anywhere else is an error.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Call, Reply, Scenario, Sim};
use crate::catalog::Catalog;
use crate::world::Timestamp;

/// Why the simulated cloud cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    #[error("the simulator's log {path} cannot be {what}: {why}")]
    Io {
        path: String,
        what: &'static str,
        why: String,
    },
    #[error(
        "the simulator's log {path} is damaged in line {line}; delete the directory to start over with an empty cloud"
    )]
    Damaged { path: String, line: usize },
    #[error(
        "the simulator's log {path} was written for another scenario; use that one, or delete the directory to start over"
    )]
    OtherScenario { path: String },
    #[error("the simulator's server failed: {0}")]
    Server(String),
}

/// Something that answers calls as Google Cloud would.
pub trait Cloud {
    /// # Errors
    /// The call could not be recorded; it has not taken effect.
    fn call(&mut self, call: &Call, now: Timestamp) -> Result<Reply, SimError>;

    /// See [`Sim::approved`].
    ///
    /// # Errors
    /// As for [`Cloud::call`].
    fn approve(&mut self, now: Timestamp) -> Result<(), SimError>;

    /// Time has passed in which nothing was asked to change; a cloud that is opened again goes on
    /// from here.
    ///
    /// # Errors
    /// As for [`Cloud::call`].
    fn passed(&mut self, now: Timestamp) -> Result<(), SimError>;

    fn sim(&self) -> &Sim;

    fn sim_mut(&mut self) -> &mut Sim;
}

impl Cloud for Sim {
    fn call(&mut self, call: &Call, now: Timestamp) -> Result<Reply, SimError> {
        Ok(self.handle(call, now))
    }

    fn approve(&mut self, now: Timestamp) -> Result<(), SimError> {
        self.approved(now);
        Ok(())
    }

    fn passed(&mut self, now: Timestamp) -> Result<(), SimError> {
        self.advance(now);
        Ok(())
    }

    fn sim(&self) -> &Sim {
        self
    }

    fn sim_mut(&mut self) -> &mut Sim {
        self
    }
}

/// The first line of a log.
#[derive(Serialize, Deserialize)]
struct Head {
    r5flow_sim: u32,
    scenario: String,
    start: i64,
}

#[derive(Serialize, Deserialize)]
struct Record {
    at: i64,
    #[serde(flatten)]
    event: Event,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    Call(Call),
    Approved(bool),
    Passed(bool),
}

/// The format of the log.
const FORMAT: u32 = 1;

/// A [`Sim`] whose changes are in a file.
pub struct Durable {
    sim: Sim,
    file: File,
    path: PathBuf,
    /// Length of the file up to the last whole record.
    length: u64,
}

impl Durable {
    /// Opens the cloud in `dir`, or makes one that begins at `start`. Gives the latest moment in its
    /// log: no call may come earlier.
    ///
    /// # Errors
    /// A directory that cannot be used, a damaged log, or one of another scenario.
    pub fn open(
        dir: &Path,
        catalog: Catalog,
        scenario: Scenario,
        start: Timestamp,
    ) -> Result<(Durable, Timestamp), SimError> {
        let path = dir.join("cloud.log");
        let io = |what: &'static str| {
            let path = path.display().to_string();
            move |e: std::io::Error| SimError::Io {
                path,
                what,
                why: e.to_string(),
            }
        };
        std::fs::create_dir_all(dir).map_err(io("created"))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io("opened"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io("read"))?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |p| p + 1);
        file.set_len(whole as u64).map_err(io("cut"))?;
        file.seek(SeekFrom::Start(whole as u64))
            .map_err(io("read"))?;
        let records = read_lines(&bytes[..whole], &path)?;
        let print = fingerprint(&scenario);
        let (start, fresh) = match records.first() {
            Some(line) => (read_head(line, &print, &path)?, false),
            None => (start, true),
        };
        let mut durable = Durable {
            sim: Sim::new(catalog, scenario, start),
            file,
            path: path.clone(),
            length: whole as u64,
        };
        if fresh {
            let head = Head {
                r5flow_sim: FORMAT,
                scenario: print,
                start: start.0,
            };
            durable.append(&head)?;
        }
        let latest = durable.replay(&records, start)?;
        Ok((durable, latest))
    }

    fn replay(&mut self, lines: &[&[u8]], start: Timestamp) -> Result<Timestamp, SimError> {
        let mut latest = start;
        for (i, line) in lines.iter().enumerate().skip(1) {
            let record: Record = serde_json::from_slice(line).map_err(|_| SimError::Damaged {
                path: self.path.display().to_string(),
                line: i + 1,
            })?;
            let at = Timestamp(record.at);
            match record.event {
                Event::Call(call) => {
                    self.sim.handle(&call, at);
                }
                Event::Approved(_) => self.sim.approved(at),
                Event::Passed(_) => self.sim.advance(at),
            }
            latest = latest.max(at);
        }
        Ok(latest)
    }

    fn append(&mut self, record: &impl Serialize) -> Result<(), SimError> {
        let fail = |what: &'static str, why: String, path: &Path| SimError::Io {
            path: path.display().to_string(),
            what,
            why,
        };
        let json =
            serde_json::to_vec(record).map_err(|e| fail("written", e.to_string(), &self.path))?;
        let mut line = checksum(&json).into_bytes();
        line.push(b' ');
        line.extend_from_slice(&json);
        line.push(b'\n');
        if let Err(e) = self.file.write_all(&line) {
            // Half a line must not stand before the next one.
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::Start(self.length));
            return Err(fail("written", e.to_string(), &self.path));
        }
        self.length += line.len() as u64;
        Ok(())
    }
}

impl Cloud for Durable {
    fn call(&mut self, call: &Call, now: Timestamp) -> Result<Reply, SimError> {
        let now = now.max(self.sim.now());
        if self.sim.mutates(call) {
            self.append(&Record {
                at: now.0,
                event: Event::Call(call.clone()),
            })?;
        }
        Ok(self.sim.handle(call, now))
    }

    fn approve(&mut self, now: Timestamp) -> Result<(), SimError> {
        let now = now.max(self.sim.now());
        self.append(&Record {
            at: now.0,
            event: Event::Approved(true),
        })?;
        self.sim.approved(now);
        Ok(())
    }

    fn passed(&mut self, now: Timestamp) -> Result<(), SimError> {
        let now = now.max(self.sim.now());
        self.append(&Record {
            at: now.0,
            event: Event::Passed(true),
        })?;
        self.sim.advance(now);
        Ok(())
    }

    fn sim(&self) -> &Sim {
        &self.sim
    }

    fn sim_mut(&mut self) -> &mut Sim {
        &mut self.sim
    }
}

fn checksum(json: &[u8]) -> String {
    blake3::hash(json).to_hex()[..16].to_string()
}

fn fingerprint(scenario: &Scenario) -> String {
    let json = serde_json::to_vec(scenario).unwrap_or_default();
    blake3::hash(&json).to_hex()[..32].to_string()
}

/// The JSON of every line whose checksum holds.
fn read_lines<'a>(bytes: &'a [u8], path: &Path) -> Result<Vec<&'a [u8]>, SimError> {
    let mut out = Vec::new();
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let parts = line.split_at_checked(17);
        match parts {
            Some((sum, json)) if sum[..16] == *checksum(json).as_bytes() && sum[16] == b' ' => {
                out.push(json)
            }
            _ => {
                return Err(SimError::Damaged {
                    path: path.display().to_string(),
                    line: i + 1,
                });
            }
        }
    }
    Ok(out)
}

fn read_head(line: &[u8], scenario: &str, path: &Path) -> Result<Timestamp, SimError> {
    let path = path.display().to_string();
    match serde_json::from_slice::<Head>(line) {
        Ok(head) if head.r5flow_sim != FORMAT || head.scenario != scenario => {
            Err(SimError::OtherScenario { path })
        }
        Ok(head) => Ok(Timestamp(head.start)),
        Err(_) => Err(SimError::Damaged { path, line: 1 }),
    }
}
