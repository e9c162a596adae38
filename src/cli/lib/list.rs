//! `r5flow lib list`

use super::args::Show;
use super::{Files, refused};
use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::package::content::MANIFEST;
use crate::package::interface::interface;
use crate::package::manifest::Manifest;
use crate::report::libraries::{Row, json, table};

pub fn list(args: &Show, settings: &Settings) -> Result<Exit, Failure> {
    let files = Files::here(settings)?;
    let missing = files
        .manifest
        .dependencies
        .keys()
        .filter(|name| !files.lock.libraries.contains_key(*name));
    let mut rows: Vec<Row> = missing.map(|name| Row::missing(name)).collect();
    for (name, locked) in &files.lock.libraries {
        let content = files.places.content(name, locked).map_err(refused)?;
        let text = content.get(MANIFEST).unwrap_or_default();
        let (_, _, manifest) = Manifest::of_library(text).map_err(refused)?;
        let offers = |module: String| {
            let offered = interface(&content, &module);
            (module, offered)
        };
        let exports = manifest.exports.into_iter().map(offers).collect();
        rows.push(Row {
            name: name.clone(),
            version: Some(locked.version.to_string()),
            source: locked.source.to_string(),
            direct: files.manifest.dependencies.contains_key(name),
            exports,
        });
    }
    let terminal = &settings.terminal;
    match args.json {
        true => json(&rows)
            .into_iter()
            .try_for_each(|line| terminal.line(line))?,
        false => terminal.print(&table(&rows))?,
    }
    Ok(Exit::Done)
}
