//! Find and read modules: the flow itself, the files it uses, and the standard library.
//!
//! `use ./x` and `use ../x` are files beside the one that says so; every other path names a module
//! of the standard library, which is part of the binary.

mod stdlib;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
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
    /// The path by which it is found: a file's, or `stdlib/red5/stream_manager.r5flow`.
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
            .get(&beside(&self.module(module).path, file))
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
        let path = module_path(from, &wanted.text);
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

    fn hooks_of(&mut self, index: usize) {
        let module = &self.program.modules[index];
        let wanted: Vec<(ast::Name, String)> = module
            .file
            .items
            .iter()
            .filter_map(|item| match item {
                ast::Item::Hook(ast::HookDef {
                    body: ast::HookBody::File(file),
                    ..
                }) => Some((file.clone(), beside(&module.path, &file.text))),
                _ => None,
            })
            .collect();
        for (name, path) in wanted {
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
            "the standard library has {}; a file of your own is `./name`",
            known
                .map(|n| format!("`{n}`"))
                .collect::<Vec<_>>()
                .join(", ")
        )),
    }
}

/// The path of the module that `from` calls `wanted`.
fn module_path(from: &str, wanted: &str) -> String {
    if wanted.starts_with('.') {
        return beside(from, &format!("{wanted}.r5flow"));
    }
    format!("stdlib/{wanted}.r5flow")
}

/// A path relative to the folder of `from`, without `.` and needless `..`.
fn beside(from: &str, relative: &str) -> String {
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    let mut clean = PathBuf::new();
    for part in folder.join(relative).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(clean.components().next_back(), Some(Component::Normal(_))) =>
            {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean.to_string_lossy().into_owned()
}

/// A place at the very start of a module.
pub fn start_of(source: SourceId) -> Span {
    Span::new(source, 0, 0)
}
