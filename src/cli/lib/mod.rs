//! `r5flow lib`: one file a command.

mod add;
pub mod args;
mod diff;
pub mod edit;
mod list;
mod remove;
mod update;
mod vendor;
mod verify;

use std::collections::BTreeMap;

use args::{Lib, LibCommand};

use super::failure::{Exit, Failure};
use super::settings::Settings;
use crate::fetch::{Places, VENDOR, written};
use crate::package::content::MANIFEST;
use crate::package::lock::{LOCK, Lock, Locked};
use crate::package::manifest::Manifest;
use crate::package::select::{Chosen, Shelf, select};
use crate::report::libraries::{Changes, Note};

pub fn lib(args: &Lib, settings: &Settings) -> Result<Exit, Failure> {
    match &args.command {
        LibCommand::Add(args) => add::add(args, settings),
        LibCommand::Remove(args) => remove::remove(args, settings),
        LibCommand::Update(args) => update::update(args, settings),
        LibCommand::List(args) => list::list(args, settings),
        LibCommand::Vendor(args) => vendor::vendor(args, settings),
        LibCommand::Verify(args) => verify::verify(args, settings),
        LibCommand::Diff(args) => diff::diff(args, settings),
    }
}

/// A library that cannot be had, or is not what it must be.
fn refused(why: String) -> Failure {
    Failure::new(Exit::Failed, why)
}

/// Tells what a command changed: notes to whoever looks on, or all to a machine.
fn tell(
    command: &str,
    changes: &Changes,
    json: bool,
    settings: &Settings,
) -> Result<Exit, Failure> {
    let terminal = &settings.terminal;
    if json {
        let mut lines = changes.json(command).into_iter();
        lines.try_for_each(|line| terminal.line(line))?;
    } else {
        for note in &changes.notes {
            terminal.tell(&note.text());
        }
        terminal.print(&changes.text())?;
    }
    Ok(Exit::Done)
}

/// The project's files as they are.
struct Files {
    places: Places,
    text: String,
    manifest: Manifest,
    lock: Lock,
}

impl Files {
    fn here(settings: &Settings) -> Result<Files, Failure> {
        let places = settings.places()?;
        let text = places.text(MANIFEST).map_err(Failure::usage)?;
        let Some(text) = text else {
            return Err(Failure::usage(format!("there is no `{MANIFEST}` here"))
                .help("go to the folder of the project, or make one with `r5flow init`"));
        };
        Ok(Files {
            manifest: places.manifest().map_err(Failure::usage)?,
            lock: places.lock().map_err(Failure::usage)?,
            places,
            text,
        })
    }

    /// The versions that are locked: below them nothing is taken without need.
    fn floors(&self) -> BTreeMap<String, semver::Version> {
        let all = self.lock.libraries.iter();
        all.map(|(name, locked)| (name.clone(), locked.version.clone()))
            .collect()
    }

    /// A lock with what was chosen.
    fn locked(&self, chosen: BTreeMap<String, Chosen>) -> Lock {
        let libraries = chosen.into_iter().map(|(name, chosen)| {
            let content = chosen.fetched.content.hash();
            let locked = Locked {
                version: chosen.version,
                source: chosen.source,
                tag: chosen.fetched.tag,
                revision: chosen.fetched.revision,
                content,
            };
            (name, locked)
        });
        Lock {
            catalog: self.places.here.catalog.clone(),
            libraries: libraries.collect(),
        }
    }

    /// Chooses anew for a manifest, writes both files, and gives what became of the lock. Nothing is written
    /// before everything is known.
    fn write(
        &self,
        text: &str,
        manifest: &Manifest,
        shelf: &dyn Shelf,
    ) -> Result<Changes, Failure> {
        let chosen = select(manifest, &self.floors(), &self.places.here, shelf)
            .map_err(|why| refused(why.to_string()))?;
        self.write_lock(text, self.locked(chosen))
    }

    fn write_lock(&self, text: &str, lock: Lock) -> Result<Changes, Failure> {
        self.unchanged()?;
        let root = &self.places.root;
        if text != self.text {
            written(&root.join(MANIFEST), text).map_err(refused)?;
        }
        written(&root.join(LOCK), &lock.text().map_err(refused)?).map_err(refused)?;
        let mut changes = Changes::between(&self.lock, &lock);
        changes.manifest = text != self.text;
        if !changes.libraries.is_empty() && root.join(VENDOR).exists() {
            changes.notes.push(Note::Copies(VENDOR));
        }
        Ok(changes)
    }

    /// What another command wrote meanwhile is not written over.
    fn unchanged(&self) -> Result<(), Failure> {
        let text = self.places.text(MANIFEST).map_err(Failure::usage)?;
        let lock = self.places.lock().map_err(Failure::usage)?;
        match text.as_ref() == Some(&self.text) && lock == self.lock {
            true => Ok(()),
            false => Err(refused(format!(
                "`{MANIFEST}` or `{LOCK}` was changed while this looked for libraries, and nothing was written; say it again"
            ))),
        }
    }
}
