//! `r5flow doc`

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::args::Doc;
use super::failure::{Exit, Failure};
use super::flow;
use super::settings::Settings;
use crate::catalog::Catalog;
use crate::package::STDLIB;
use crate::report::reference::{self, Module};
use crate::report::{count, head};

/// The ending of a flow's file.
const FLOW: &str = "r5flow";

pub fn doc(args: &Doc, settings: &Settings) -> Result<Exit, Failure> {
    let wanted = match args.stdlib {
        true => library(),
        false => found(&args.paths)?,
    };
    let modules = read(&wanted, args.missing, settings)?;
    let Some(folder) = &args.out else {
        return print(&modules, args.json, settings);
    };
    let pages: BTreeMap<PathBuf, String> = reference::pages(&modules)
        .into_iter()
        .map(|page| (folder.join(page.file), page.text))
        .collect();
    let changed = changed(&pages)?;
    let mut left = made(folder)?;
    left.retain(|path| !pages.contains_key(path));
    if args.check {
        for path in changed.iter().chain(&left) {
            let line = format!("{} would change", path.display());
            settings.terminal.line(line)?;
        }
        return Ok(match changed.is_empty() && left.is_empty() {
            true => Exit::Done,
            false => Exit::Changes,
        });
    }
    for path in &changed {
        write(path, &pages[path]).map_err(|e| unwritten(path, &e))?;
    }
    for path in &left {
        std::fs::remove_file(path).map_err(|e| unwritten(path, &e))?;
    }
    let (count, folder) = (count(pages.len(), "page"), folder.display());
    settings.terminal.tell(&format!("{count} in {folder}\n"));
    Ok(Exit::Done)
}

/// The pages that are not there as they should be.
fn changed(pages: &BTreeMap<PathBuf, String>) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for (path, right) in pages {
        if text(path)?.as_deref() != Some(right) {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn print(modules: &[Module], json: bool, settings: &Settings) -> Result<Exit, Failure> {
    if !json {
        settings.terminal.print(&reference::document(modules))?;
        return Ok(Exit::Done);
    }
    settings.terminal.line(head("doc"))?;
    for module in modules {
        settings.terminal.line(module.json())?;
    }
    Ok(Exit::Done)
}

/// The files of modules, by the names of their pages.
type Wanted = BTreeMap<String, String>;

fn library() -> Wanted {
    let name = |path: &str| {
        let name = path.trim_start_matches("stdlib/");
        name.trim_end_matches(".r5flow").to_owned()
    };
    let all = STDLIB.iter();
    all.map(|(path, _)| (name(path), (*path).to_owned()))
        .collect()
}

/// The flows at these places.
fn found(places: &[PathBuf]) -> Result<Wanted, Failure> {
    let mut wanted = Wanted::new();
    for place in places {
        let kind = std::fs::metadata(place).map_err(|e| unread(place, &e))?;
        let mut files = Vec::new();
        if kind.is_dir() {
            below(place, &mut files)?;
        } else {
            files.push(place.clone());
        }
        for file in files {
            let within = file.strip_prefix(place).unwrap_or(&file);
            let name = match within.as_os_str().is_empty() {
                true => Path::new(file.file_name().unwrap_or_default()),
                false => within,
            };
            let name = page_name(name)?;
            let path = plain(&file)?;
            if let Some(other) = wanted
                .insert(name.clone(), path.clone())
                .filter(|o| *o != path)
            {
                let message = format!("`{other}` and `{path}` would both be `{name}`");
                return Err(Failure::usage(message).help("name one folder above both"));
            }
        }
    }
    match wanted.is_empty() {
        true => Err(Failure::usage("there is no flow at these places").help(
            "a flow's name ends in `.r5flow`; `r5flow doc --stdlib` is the standard library",
        )),
        false => Ok(wanted),
    }
}

/// Every flow below a folder; what is hidden, and links to folders, are passed by.
fn below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let fail = |e| unread(folder, &e);
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(fail)?);
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if kind.is_dir() && !hidden {
            below(&path, files)?;
        } else if (kind.is_file() || kind.is_symlink())
            && path.extension().is_some_and(|e| e == FLOW)
        {
            files.push(path);
        }
    }
    Ok(())
}

/// `red5/group` for `red5/group.r5flow`.
fn page_name(path: &Path) -> Result<String, Failure> {
    let parts: Result<Vec<String>, Failure> = path
        .with_extension("")
        .iter()
        .map(|p| words(Path::new(p)))
        .collect();
    let name = parts?.join("/");
    match name.eq_ignore_ascii_case("readme") {
        true => Err(Failure::usage(format!(
            "the page of `{}` would stand in the place of the index",
            path.display()
        ))),
        false => Ok(name),
    }
}

/// The path as modules are told apart by it.
fn plain(path: &Path) -> Result<String, Failure> {
    let clean: PathBuf = path
        .components()
        .filter(|c| *c != std::path::Component::CurDir)
        .collect();
    words(&clean)
}

fn words(path: &Path) -> Result<String, Failure> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::usage(format!("the name of `{}` is not UTF-8", path.display())))
}

/// Reads and checks every module; all findings are told before the command ends.
fn read(wanted: &Wanted, missing: bool, settings: &Settings) -> Result<Vec<Module>, Failure> {
    let catalog = settings.catalog()?;
    let mut modules = Vec::new();
    let mut last: Option<Failure> = None;
    for (name, path) in wanted {
        match one(name, path, missing, &catalog, settings) {
            Ok(module) => modules.push(module),
            Err(failure) => {
                if let Some(before) = last.replace(failure) {
                    settings.terminal.blame(&before);
                }
            }
        }
    }
    last.map_or(Ok(modules), Err)
}

fn one(
    name: &str,
    path: &str,
    missing: bool,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<Module, Failure> {
    let (program, parsed) = flow::read(path, &settings.project()?)?;
    let checked = flow::check(&program, parsed, catalog);
    flow::refuse_errors(&checked, settings)?;
    if missing {
        for (span, what) in reference::undocumented(program.root()) {
            let place = program.sources.place(span);
            settings
                .terminal
                .tell(&format!("{place}: {what} has no comment\n"));
        }
    }
    Ok(reference::module(name, &checked, catalog))
}

/// The pages below a folder that the command made before. A folder with an index of its own
/// is another reference.
fn made(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|e| unread(folder, &e))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| unread(folder, &e))?;
        let (path, kind) = (
            entry.path(),
            entry.file_type().map_err(|e| unread(folder, &e))?,
        );
        let index = path.join(reference::INDEX);
        if kind.is_dir() && !text(&index)?.is_some_and(|t| t.starts_with(reference::INDEX_MARK)) {
            found.extend(made(&path)?);
        } else if kind.is_file()
            && path.extension().is_some_and(|e| e == "md")
            && text(&path)?.is_some_and(|t| t.starts_with(reference::MARK))
        {
            found.push(path);
        }
    }
    Ok(found)
}

/// The text of a page that is there.
fn text(path: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unread(path, &e)),
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}

fn unread(path: &Path, why: &std::io::Error) -> Failure {
    Failure::usage(format!("`{}` cannot be read: {why}", path.display()))
}

fn unwritten(path: &Path, why: &std::io::Error) -> Failure {
    Failure::usage(format!("`{}` cannot be written: {why}", path.display()))
}
