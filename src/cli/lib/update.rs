//! `r5flow lib update`

use std::collections::BTreeMap;

use semver::Version;

use super::args::Update;
use super::{Files, refused};
use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::diag::nearest;
use crate::fetch::Remote;
use crate::package::select::{Chosen, Shelf, select};

pub fn update(args: &Update, settings: &Settings) -> Result<Exit, Failure> {
    let files = Files::here(settings)?;
    let known = || {
        files
            .manifest
            .dependencies
            .keys()
            .chain(files.lock.libraries.keys())
    };
    for name in &args.names {
        if !known().any(|k| k == name) {
            let failure = Failure::usage(format!("the project needs no library `{name}`"));
            return Err(match nearest(name, known().map(String::as_str)) {
                Some(near) => failure.help(format!("did you mean `{near}`?")),
                None => failure,
            });
        }
    }
    let names: Vec<String> = match args.names.is_empty() {
        true => known().cloned().collect(),
        false => args.names.clone(),
    };
    let remote = Remote::new(&files.places, files.lock.libraries.clone()).anew(names.clone());
    let chosen = raised(&files, &names, args.names.is_empty(), &remote).map_err(refused)?;
    files.write_lock(&files.text, files.locked(chosen), settings)
}

/// The lowest versions that everybody allows, with the named libraries as new as everybody allows.
fn raised(
    files: &Files,
    names: &[String],
    all: bool,
    remote: &Remote<'_>,
) -> Result<BTreeMap<String, Chosen>, String> {
    let choose = |floors: &BTreeMap<String, Version>| {
        select(&files.manifest, floors, &files.places.here, remote)
    };
    let mut floors = files.floors();
    let mut chosen = choose(&floors)?;
    let mut done: Vec<String> = Vec::new();
    loop {
        let wanted = |name: &&String| (all || names.contains(name)) && !done.contains(name);
        let Some(name) = chosen.keys().find(wanted).cloned() else {
            return Ok(chosen);
        };
        done.push(name.clone());
        let now = &chosen[&name];
        let (version, source) = (now.version.clone(), now.source.clone());
        let higher: Vec<Version> = remote
            .versions(&name, &source)?
            .into_iter()
            .filter(|v| *v > version)
            .collect();
        for version in higher.into_iter().rev() {
            let mut tried = floors.clone();
            tried.insert(name.clone(), version.clone());
            // A version that cannot be had together with the others is passed over.
            if let Ok(found) = choose(&tried)
                && found.get(&name).is_some_and(|c| c.version == version)
            {
                chosen = found;
                floors = tried;
                break;
            }
        }
    }
}
