//! `r5flow lib vendor`

use std::collections::BTreeMap;

use super::{Files, refused};
use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::fetch::{self, VENDOR};
use crate::report::count;

pub fn vendor(settings: &Settings) -> Result<Exit, Failure> {
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
    let libraries = match contents.len() {
        1 => "1 library".to_owned(),
        n => format!("{n} libraries"),
    };
    let texts = contents.values().map(|c| c.files().len()).sum();
    settings.terminal.line(format_args!(
        "{libraries}, {}, in {VENDOR}",
        count(texts, "file")
    ))?;
    Ok(Exit::Done)
}
