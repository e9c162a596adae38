//! `r5flow lib add`

use std::path::Path;

use semver::{Comparator, Op, Version, VersionReq};

use super::args::Add;
use super::{Files, edit, refused, tell};
use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::fetch::Remote;
use crate::package::content::MANIFEST;
use crate::package::manifest::{At, Dependency, Git, Manifest, Source, requirement};

pub fn add(args: &Add, settings: &Settings) -> Result<Exit, Failure> {
    let files = Files::here(settings)?;
    let remote = Remote::new(&files.places, files.lock.libraries.clone());
    let (name, dependency) = wanted(args, &remote)?;
    if let Some(there) = files
        .manifest
        .dependencies
        .get(&name)
        .filter(|d| d.source != dependency.source)
    {
        let message = format!("`{name}` is here already, from {}", there.source);
        return Err(Failure::usage(message).help(format!("`r5flow lib remove {name}` first")));
    }
    let text = edit::with(&files.text, &name, &dependency).map_err(Failure::usage)?;
    let manifest =
        Manifest::parse(&text).map_err(|why| Failure::usage(format!("`{MANIFEST}`: {why}")))?;
    let changes = files.write(&text, &manifest, &remote)?;
    tell("lib add", &changes, args.show.json, settings)
}

/// The library's own name, and what the project will say of it.
fn wanted(args: &Add, remote: &Remote<'_>) -> Result<(String, Dependency), Failure> {
    let source = source(args)?;
    let said = args
        .version
        .as_deref()
        .map(requirement)
        .transpose()
        .map_err(Failure::usage)?;
    let (version, asked) = match &source {
        Source::Git(git) if git.at == At::Versions => {
            let asked = said.unwrap_or(VersionReq::STAR);
            let newest = remote.newest(git, &asked).map_err(refused)?;
            let asked = if asked == VersionReq::STAR {
                from(&newest)
            } else {
                asked
            };
            (Some(newest), asked)
        }
        _ => (None, VersionReq::STAR),
    };
    let (name, ..) = remote
        .bring("", &source, version.as_ref())
        .map_err(refused)?;
    Ok((
        name,
        Dependency {
            source,
            version: asked,
        },
    ))
}

/// Every version that is compatible with this one and not lower.
fn from(version: &Version) -> VersionReq {
    VersionReq {
        comparators: vec![Comparator {
            op: Op::Caret,
            major: version.major,
            minor: Some(version.minor),
            patch: Some(version.patch),
            pre: version.pre.clone(),
        }],
    }
}

fn source(args: &Add) -> Result<Source, Failure> {
    let refs = [
        args.tag.clone().map(At::Tag),
        args.branch.clone().map(At::Branch),
        args.revision.clone().map(At::Revision),
    ];
    let named = refs.into_iter().flatten().next();
    let of_git = named.is_some() || args.version.is_some() || args.folder.is_some();
    let plain = !args.source.starts_with('-') && !of_git;
    if plain && Path::new(&args.source).join(MANIFEST).is_file() {
        return Ok(Source::Folder(args.source.clone()));
    }
    if plain && Path::new(&args.source).is_dir() && !is_repository(Path::new(&args.source)) {
        return Err(Failure::usage(format!(
            "the folder `{}` has no `{MANIFEST}`, and is no git repository",
            args.source
        )));
    }
    let git = Git {
        url: args.source.clone(),
        folder: args.folder.clone(),
        at: named.unwrap_or(At::Versions),
    };
    git.checked().map(Source::Git).map_err(Failure::usage)
}

fn is_repository(folder: &Path) -> bool {
    folder.join(".git").exists() || folder.join("HEAD").is_file() && folder.join("objects").is_dir()
}
