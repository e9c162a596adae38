//! `r5flow lib update`

use std::collections::BTreeMap;

use semver::Version;

use super::args::Update;
use super::{Files, refused, tell};
use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::diag::nearest;
use crate::fetch::Remote;
use crate::package::select::{Chosen, Shelf, Unfit, select};
use crate::report::libraries::Note;

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
    let mut raising = Raising {
        files: &files,
        remote: &remote,
        floors: files.floors(),
        passed_over: Vec::new(),
    };
    let wanted = |name: &str| names.iter().any(|n| n == name) || args.names.is_empty();
    let chosen = raising
        .raised(&wanted)
        .map_err(|why| refused(why.to_string()))?;
    let passed_over = raising
        .passed_over
        .into_iter()
        .map(|(library, version, why)| Note::PassedOver {
            library,
            version,
            why,
        });
    let notes: Vec<Note> = passed_over.collect();
    let mut changes = files.write_lock(&files.text, files.locked(chosen))?;
    changes.notes.splice(0..0, notes);
    tell("lib update", &changes, args.show.json, settings)
}

/// The lowest versions that everybody allows, with some libraries as new as everybody allows.
struct Raising<'a> {
    files: &'a Files,
    remote: &'a Remote<'a>,
    floors: BTreeMap<String, Version>,
    /// The newest versions that do not go together with the rest, each with why.
    passed_over: Vec<(String, Version, String)>,
}

impl Raising<'_> {
    fn choose(
        &self,
        floors: &BTreeMap<String, Version>,
    ) -> Result<BTreeMap<String, Chosen>, Unfit> {
        select(
            &self.files.manifest,
            floors,
            &self.files.places.here,
            self.remote,
        )
    }

    fn raised(&mut self, wanted: &dyn Fn(&str) -> bool) -> Result<BTreeMap<String, Chosen>, Unfit> {
        let mut chosen = self.choose(&self.floors)?;
        let mut done: Vec<String> = Vec::new();
        loop {
            let next = |name: &&String| wanted(name) && !done.contains(name);
            let Some(name) = chosen.keys().find(next).cloned() else {
                return Ok(chosen);
            };
            if let Some(found) = self.newest(&name, &chosen[&name])? {
                chosen = found;
            }
            done.push(name);
        }
    }

    /// The choice with the newest version of a library that goes together with the rest.
    fn newest(
        &mut self,
        name: &str,
        now: &Chosen,
    ) -> Result<Option<BTreeMap<String, Chosen>>, Unfit> {
        let all = self
            .remote
            .versions(name, &now.source)
            .map_err(Unfit::Broken)?;
        for version in all.into_iter().rev().take_while(|v| *v > now.version) {
            let mut tried = self.floors.clone();
            tried.insert(name.to_owned(), version.clone());
            match self.choose(&tried) {
                Ok(found) if found.get(name).is_some_and(|c| c.version == version) => {
                    self.floors = tried;
                    return Ok(Some(found));
                }
                // Somebody asks for other versions; the newest of them is worth a word.
                Ok(found) => {
                    if version.pre.is_empty() && !self.passed_over.iter().any(|(n, ..)| n == name) {
                        let why = self.asked(name, &version, &found);
                        self.passed_over.push((name.to_owned(), version, why));
                    }
                }
                Err(Unfit::Together(why)) => self.passed_over.push((name.to_owned(), version, why)),
                Err(broken) => return Err(broken),
            }
        }
        Ok(None)
    }
    /// Who asks for other versions of a library than this one.
    fn asked(&self, name: &str, version: &Version, chosen: &BTreeMap<String, Chosen>) -> String {
        let others = chosen
            .iter()
            .map(|(other, c)| (format!("`{other}` {}", c.version), &c.fetched.manifest));
        let asking: Vec<String> =
            std::iter::once(("this project".to_owned(), &self.files.manifest))
                .chain(others)
                .filter_map(|(who, manifest)| {
                    let wanted = &manifest.dependencies.get(name)?.version;
                    (!wanted.matches(version)).then(|| format!("{who} asks for {wanted}"))
                })
                .collect();
        asking.join(", ")
    }
}
