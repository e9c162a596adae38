//! `r5flow lib vendor`

use std::collections::BTreeMap;

use super::args::Show;
use super::{Files, refused};
use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::fetch::{self, VENDOR};
use crate::report::libraries::Kept;

pub fn vendor(args: &Show, settings: &Settings) -> Result<Exit, Failure> {
    let files = Files::here(settings)?;
    let mut contents = BTreeMap::new();
    for name in files.manifest.dependencies.keys() {
        files.lock.wanted(&files.manifest, name).map_err(refused)?;
    }
    for (name, locked) in &files.lock.libraries {
        let content = files.places.beyond(name, locked).map_err(refused)?;
        files
            .places
            .manifest_of(name, locked, &content)
            .map_err(refused)?;
        contents.insert(name.clone(), content);
    }
    fetch::vendor(&files.places.root, &contents).map_err(refused)?;
    let kept = Kept {
        libraries: contents.len(),
        files: contents.values().map(|c| c.files().len()).sum(),
        folder: VENDOR,
    };
    let terminal = &settings.terminal;
    match args.json {
        true => kept
            .json()
            .into_iter()
            .try_for_each(|line| terminal.line(line))?,
        false => terminal.print(&kept.text())?,
    }
    Ok(Exit::Done)
}
