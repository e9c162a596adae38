//! `r5flow lib verify`

use super::Files;
use super::args::Show;
use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::package::lock::Locked;
use crate::report::head;
use crate::report::libraries::{OtherRevision, Verified};

pub fn verify(args: &Show, settings: &Settings) -> Result<Exit, Failure> {
    let files = Files::here(settings)?;
    let terminal = &settings.terminal;
    if args.json {
        terminal.line(head("lib verify"))?;
    }
    let mut wrong = 0;
    let missing = files
        .manifest
        .dependencies
        .keys()
        .filter(|name| !files.lock.libraries.contains_key(*name));
    let names = files.lock.libraries.keys().chain(missing);
    for name in names {
        let found = match files.lock.wanted(&files.manifest, name) {
            Ok(locked) => one(&files, name, locked),
            Err(why) => Verified::wrong(name, why),
        };
        wrong += usize::from(found.wrong.is_some());
        match args.json {
            true => terminal.line(found.json())?,
            false => terminal.print(&found.text(terminal.out))?,
        }
    }
    for (service, here) in &files.places.here.catalog {
        let Some(locked) = files.lock.catalog.get(service).filter(|l| *l != here) else {
            continue;
        };
        let other = OtherRevision {
            service,
            locked,
            here,
        };
        match args.json {
            true => terminal.line(other.json())?,
            false => terminal.print(&other.text())?,
        }
    }
    Ok(match wrong {
        0 => Exit::Done,
        _ => Exit::Failed,
    })
}

fn one(files: &Files, name: &str, locked: &Locked) -> Verified {
    let content = match files.places.content(name, locked) {
        Ok(content) => content,
        Err(why) => return Verified::wrong(name, why),
    };
    let manifest = files.places.manifest_of(name, locked, &content);
    let note = match manifest.and_then(|_| files.places.asked(locked)) {
        Ok(note) => note,
        Err(why) => return Verified::wrong(name, why),
    };
    Verified {
        name: name.to_owned(),
        version: Some(locked.version.to_string()),
        wrong: None,
        note,
    }
}
