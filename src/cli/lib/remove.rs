//! `r5flow lib remove`

use super::args::Remove;
use super::{Files, edit, tell};
use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::diag::nearest;
use crate::fetch::Remote;

pub fn remove(args: &Remove, settings: &Settings) -> Result<Exit, Failure> {
    let files = Files::here(settings)?;
    let mut manifest = files.manifest.clone();
    if manifest.dependencies.remove(&args.name).is_none() {
        let failure = Failure::usage(format!("the project names no library `{}`", args.name));
        let near = nearest(&args.name, manifest.dependencies.keys().map(String::as_str));
        return Err(match near {
            Some(near) => failure.help(format!("did you mean `{near}`?")),
            None => failure,
        });
    }
    let text = edit::without(&files.text, &args.name).map_err(Failure::usage)?;
    let remote = Remote::new(&files.places, files.lock.libraries.clone()).frozen();
    let changes = files.write(&text, &manifest, &remote)?;
    tell("lib remove", &changes, args.show.json, settings)
}
