//! `r5flow init`

use std::path::Path;

use super::failure::{Exit, Failure};
use super::lib::args::Init;
use super::lib::edit;
use super::settings::Settings;
use crate::fetch::written;
use crate::package::content::MANIFEST;
use crate::package::manifest::is_name;

const IGNORED: &str = ".gitignore";
/// What git should not keep: runs, with their journals.
const STATE: &str = ".r5flow/";

pub fn init(args: &Init, settings: &Settings) -> Result<Exit, Failure> {
    let places = settings.places()?;
    let before = places.text(MANIFEST).map_err(Failure::usage)?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => folder_name(),
    };
    is_name(&name).map_err(|why| Failure::usage(why).help("say a name with `--name`"))?;
    let text = match &before {
        None => format!(
            "name = \"{name}\"\nversion = \"0.1.0\"\n\
             # The modules that other projects may use, without their ending.\nexports = []\n"
        ),
        Some(text) => edit::named(text, &name).map_err(Failure::usage)?,
    };
    let root = Path::new(".");
    let ignored = places
        .text(IGNORED)
        .map_err(Failure::usage)?
        .unwrap_or_default();
    let wanted = with_line(&ignored);
    let mut edits = Vec::new();
    if before.as_deref() != Some(text.as_str()) {
        edits.push((root.join(MANIFEST), text));
    }
    if wanted != ignored {
        edits.push((root.join(IGNORED), wanted));
    }
    let terminal = &settings.terminal;
    if edits.is_empty() {
        terminal.line(format_args!("this is a project already: {name}"))?;
    }
    for (file, text) in edits {
        written(&file, &text).map_err(|why| Failure::new(Exit::Failed, why))?;
        let file = file.strip_prefix(root).unwrap_or(&file);
        terminal.line(format_args!("wrote {}", file.display()))?;
    }
    Ok(Exit::Done)
}

/// The name of the working directory, as far as it can be one of a project.
fn folder_name() -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let name = here
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let kept = name.chars().map(|c| match c {
        'a'..='z' | '0'..='9' | '-' | '_' => c,
        _ => '-',
    });
    kept.collect::<String>().trim_matches('-').to_owned()
}

/// The lines with one more, where none says it already.
fn with_line(text: &str) -> String {
    let says = |line: &str| {
        matches!(
            line.trim(),
            ".r5flow" | ".r5flow/" | "/.r5flow" | "/.r5flow/"
        )
    };
    if text.lines().any(says) {
        return text.to_owned();
    }
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{text}{end}{STATE}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_ignored_once() {
        assert_eq!(with_line(""), ".r5flow/\n");
        assert_eq!(with_line("target"), "target\n.r5flow/\n");
        assert_eq!(with_line("/.r5flow\n"), "/.r5flow\n");
    }
}
