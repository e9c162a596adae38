//! Find and read modules: the flow itself, the files it uses, libraries, and the standard library.
//!
//! `use ./x` and `use ../x` are files beside the one that says so; every other path names a module
//! of the standard library, which is part of the binary, or of a library that the project needs.

pub mod content;
pub mod interface;
pub mod lock;
pub mod manifest;
pub mod place;
pub mod select;
mod stdlib;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::diag::{Code, Diagnostic};
use crate::source::{Source, SourceId, SourceMap, Span};
use crate::syntax::{self, ast};

pub use stdlib::STDLIB;

/// Which module of a [`Program`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(pub u16);

/// The largest text that is read as a flow, in bytes: forty thousand lines. Bulk belongs in inputs.
pub const LARGEST: usize = 4 << 20;

/// Where texts come from: the file system, or the copy that a run stored.
pub trait Files {
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;

    /// Whether a module of a library may be used from another library, or from the project itself. What a
    /// run stored was asked for before it was stored.
    ///
    /// # Errors
    /// Why not.
    fn may_use(&self, _from: Option<&str>, _library: &str, _module: &str) -> Result<(), Refused> {
        Ok(())
    }
}

/// Why a module of a library cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nobody said that it is needed; these libraries are.
    NotNeeded(Vec<String>),
    /// The library has it for itself; these are for others.
    NotExported(Vec<String>),
    /// The library cannot be had.
    Unavailable(String),
}

/// The file system, relative to the working directory.
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        use std::io::Read;
        let mut text = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(LARGEST as u64 + 1).read_to_end(&mut text))
            .map_err(|e| e.to_string())?;
        Ok(text)
    }
}

/// Texts by name: what a run stored, or a test wrote.
impl Files for BTreeMap<String, String> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        match self.get(path) {
            Some(text) => Ok(text.clone().into_bytes()),
            None => Err("no such text".into()),
        }
    }
}

#[derive(Debug)]
pub struct Module {
    pub id: ModuleId,
    /// The path by which it is found: a file's, `stdlib/red5/stream_manager.r5flow`, or
    /// `lib:platform/image.r5flow`.
    pub path: String,
    pub source: Arc<Source>,
    pub file: ast::File,
    /// The module of each `use` of the file, in order; `None` when it could not be read.
    pub uses: Vec<Option<ModuleId>>,
}

/// A flow with everything it uses. The first module is the flow itself.
#[derive(Debug, Default)]
pub struct Program {
    pub sources: SourceMap,
    pub modules: Vec<Module>,
    /// Texts of hooks that stand in files of their own, by path.
    pub hook_files: BTreeMap<String, Arc<Source>>,
}

impl Program {
    pub fn module(&self, id: ModuleId) -> &Module {
        &self.modules[id.0 as usize]
    }

    pub fn root(&self) -> &Module {
        &self.modules[0]
    }

    /// The modules that the project itself uses, and not by way of a library.
    pub fn own(&self) -> BTreeSet<ModuleId> {
        let mut found = BTreeSet::new();
        let mut open = vec![ModuleId(0)];
        while let Some(id) = open.pop() {
            let module = self.module(id);
            if place::library(&module.path).is_none() && found.insert(id) {
                open.extend(module.uses.iter().flatten());
            }
        }
        found
    }

    /// The library that a text is a part of.
    pub fn library_of(&self, source: SourceId) -> Option<&str> {
        let module = self.modules.iter().find(|m| m.source.id == source)?;
        place::library(&module.path).map(|(name, _)| name)
    }

    /// Whether a text is written for others than this project: a library's, or the standard library's.
    pub fn is_shared(&self, source: SourceId) -> bool {
        let mut modules = self.modules.iter();
        modules.any(|m| {
            m.source.id == source
                && (m.path.starts_with("stdlib/") || place::library(&m.path).is_some())
        })
    }

    /// Every text by the path that finds it again: what a run stores of its program.
    pub fn texts(&self) -> BTreeMap<String, String> {
        self.sources
            .iter()
            .map(|source| (source.name.clone(), source.text.to_string()))
            .collect()
    }

    /// The text of a hook that is declared `from "file"` in a module.
    pub fn hook_file(&self, module: ModuleId, file: &str) -> Option<&Arc<Source>> {
        self.hook_files
            .get(&place::beside(&self.module(module).path, file)?)
    }
}

/// Reads and parses a flow and everything it uses; findings go along with what could be read.
pub fn load(path: &str, files: &dyn Files) -> Result<(Program, Vec<Diagnostic>), String> {
    let mut loader = Loader {
        files,
        program: Program::default(),
        by_path: BTreeMap::new(),
        findings: Vec::new(),
    };
    let text = loader.text(path)?;
    loader.module(path, text);
    let mut next = 0;
    while next < loader.program.modules.len() {
        loader.uses_of(next);
        loader.hooks_of(next);
        next += 1;
    }
    Ok((loader.program, loader.findings))
}

/// The bytes of a file as the text of a flow.
///
/// # Errors
/// It is too large, or no text.
pub fn decoded(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() > LARGEST {
        return Err(format!(
            "it is larger than {} MiB; what is so large belongs in the inputs",
            LARGEST >> 20
        ));
    }
    String::from_utf8(bytes).map_err(|e| {
        format!(
            "it is not text: the byte at offset {} is not UTF-8",
            e.utf8_error().valid_up_to()
        )
    })
}

struct Loader<'a> {
    files: &'a dyn Files,
    program: Program,
    by_path: BTreeMap<String, ModuleId>,
    findings: Vec<Diagnostic>,
}

impl Loader<'_> {
    fn text(&self, path: &str) -> Result<String, String> {
        if let Some((_, text)) = STDLIB.iter().find(|(name, _)| *name == path) {
            return Ok((*text).to_owned());
        }
        decoded(self.files.read(path)?)
    }

    fn module(&mut self, path: &str, text: String) -> ModuleId {
        let source = self.program.sources.add(path, text);
        let parsed = syntax::parse(&source);
        self.findings.extend(parsed.diagnostics);
        let id = ModuleId(self.program.modules.len() as u16);
        self.by_path.insert(path.to_owned(), id);
        self.program.modules.push(Module {
            id,
            path: path.to_owned(),
            source,
            file: parsed.file,
            uses: Vec::new(),
        });
        id
    }

    fn uses_of(&mut self, index: usize) {
        let module = &self.program.modules[index];
        let wanted: Vec<ast::Name> = module
            .file
            .items
            .iter()
            .filter_map(|item| match item {
                ast::Item::Use(used) => Some(used.path.clone()),
                _ => None,
            })
            .collect();
        let from = module.path.clone();
        let found = wanted.iter().map(|path| self.find(&from, path)).collect();
        self.program.modules[index].uses = found;
    }

    fn find(&mut self, from: &str, wanted: &ast::Name) -> Option<ModuleId> {
        let path = match self.path(from, wanted) {
            Ok(path) => path,
            Err(finding) => {
                self.findings.push(*finding);
                return None;
            }
        };
        if let Some(id) = self.by_path.get(&path) {
            return Some(*id);
        }
        if self.program.modules.len() >= u16::MAX as usize {
            return None;
        }
        match self.text(&path) {
            Ok(text) => Some(self.module(&path, text)),
            Err(reason) => {
                self.findings.push(missing(wanted, &path, &reason));
                None
            }
        }
    }

    /// The path of the module that `from` calls `wanted`.
    fn path(&self, from: &str, wanted: &ast::Name) -> Result<String, Box<Diagnostic>> {
        let text = &wanted.text;
        if text.starts_with('.') {
            return place::beside(from, &format!("{text}.r5flow"))
                .ok_or_else(|| leaves(wanted, from));
        }
        let standard = format!("stdlib/{text}.r5flow");
        let Some((library, module)) = text.split_once('/') else {
            return Ok(standard);
        };
        if manifest::is_name(library).is_err()
            || module.split('/').any(|part| part.starts_with('.'))
        {
            return Ok(standard);
        }
        let path = place::in_library(library, &format!("{module}.r5flow"));
        let home = place::library(from).map(|(name, _)| name);
        match self.files.may_use(home, library, module) {
            Ok(()) if self.files.read(&path).is_err() => Ok(standard),
            Ok(()) => Ok(path),
            Err(refused) => Err(refusal(wanted, home, library, &refused)),
        }
    }

    fn hooks_of(&mut self, index: usize) {
        let module = &self.program.modules[index];
        let from = module.path.clone();
        let wanted: Vec<ast::Name> = module
            .file
            .items
            .iter()
            .filter_map(|item| match item {
                ast::Item::Hook(ast::HookDef {
                    body: ast::HookBody::File(file),
                    ..
                }) => Some(file.clone()),
                _ => None,
            })
            .collect();
        for name in wanted {
            let Some(path) = place::beside(&from, &name.text) else {
                self.findings.push(*leaves(&name, &from));
                continue;
            };
            match self.text(&path) {
                Ok(text) => {
                    let source = self.program.sources.add(path.clone(), text);
                    self.program.hook_files.insert(path, source);
                }
                Err(reason) => self.findings.push(
                    Diagnostic::error(
                        Code::MISSING_MODULE,
                        name.span,
                        format!("the hook's file `{path}` cannot be read: {reason}"),
                    )
                    .help("the path is relative to the file that declares the hook"),
                ),
            }
        }
    }
}

/// A path that leads out of the library in which it is written, or past `use` into one.
fn leaves(wanted: &ast::Name, from: &str) -> Box<Diagnostic> {
    let finding = Diagnostic::error(
        Code::LEAVES_LIBRARY,
        wanted.span,
        match place::library(from) {
            Some((library, _)) => format!("`{}` leaves the library `{library}`", wanted.text),
            None => format!("`{}` is no file of this project", wanted.text),
        },
    );
    Box::new(finding.help(match place::library(from) {
        Some(_) => "a library sees its own files only; another library is named in its `r5flow.toml` and used by name",
        None => "what a library exports is taken with `use library/module`",
    }))
}

fn refusal(
    wanted: &ast::Name,
    home: Option<&str>,
    library: &str,
    refused: &Refused,
) -> Box<Diagnostic> {
    let list = |names: &[String]| {
        names
            .iter()
            .map(|n| format!("`{n}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let error = |code, message: String| Diagnostic::error(code, wanted.span, message);
    Box::new(match refused {
        Refused::NotNeeded(_) if home.is_none() => {
            return Box::new(missing(wanted, "", "").label(format!(
                "`{library}` is no library that `r5flow.toml` names"
            )));
        }
        Refused::NotNeeded(known) => {
            let home = home.unwrap_or_default();
            let finding = error(
                Code::NOT_NEEDED,
                format!(
                    "`{home}` uses the library `{library}`, which its `r5flow.toml` does not name"
                ),
            );
            finding.help(match known.is_empty() {
                true => format!("a library names what it needs; `{home}` names nothing"),
                false => format!(
                    "a library names what it needs; `{home}` names {}",
                    list(known)
                ),
            })
        }
        Refused::NotExported(exports) => {
            let finding = error(
                Code::NOT_EXPORTED,
                format!("`{library}` does not export `{}`", wanted.text),
            );
            let module = wanted.text.split_once('/').map_or("", |(_, module)| module);
            match crate::diag::nearest(module, exports.iter().map(String::as_str)) {
                _ if exports.is_empty() => finding.help(format!(
                    "`exports` of its `r5flow.toml` is empty: `{library}` offers nothing yet"
                )),
                Some(near) => {
                    let near = format!("{library}/{near}");
                    let finding = finding.help(format!("did you mean `{near}`?"));
                    finding.fix(wanted.span, near)
                }
                None => finding.help(format!("it exports {}", list(exports))),
            }
        }
        Refused::Unavailable(why) => error(
            Code::LIBRARY_UNAVAILABLE,
            format!("the library `{library}` cannot be used"),
        )
        .help(why.clone()),
    })
}

fn missing(wanted: &ast::Name, path: &str, reason: &str) -> Diagnostic {
    let finding = Diagnostic::error(
        Code::MISSING_MODULE,
        wanted.span,
        format!("no module `{}`", wanted.text),
    );
    if wanted.text.starts_with('.') {
        return finding
            .label(format!("`{path}`: {reason}"))
            .help("the path is relative to this file and is written without `.r5flow`");
    }
    let known = STDLIB
        .iter()
        .filter_map(|(name, _)| name.strip_prefix("stdlib/")?.strip_suffix(".r5flow"));
    let near = crate::diag::nearest(&wanted.text, known.clone());
    match near {
        Some(near) => finding
            .help(format!("did you mean `{near}`?"))
            .fix(wanted.span, near),
        None => finding.help(format!(
            "the standard library has {}; a file of your own is `./name`, and a library's module is \
             `library/module` once `r5flow lib add` brought it",
            known
                .map(|n| format!("`{n}`"))
                .collect::<Vec<_>>()
                .join(", ")
        )),
    }
}

/// A place at the very start of a module.
pub fn start_of(source: SourceId) -> Span {
    Span::new(source, 0, 0)
}
