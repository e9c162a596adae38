//! Brings libraries from outside: folders, git as a child process, copies in the project and in the cache.
//!
//! What is used is always what `r5flow.lock` says, by its hash, from wherever it comes: the project's own
//! copy, the cache, its source. What may be taken into the lock is asked of the sources.

mod copies;
mod git;
mod remote;
mod scratch;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub use copies::{VENDOR, vendor, written};
pub use git::Limits;
pub use remote::Remote;

use semver::Version;

use crate::package::content::{Content, MANIFEST};
use crate::package::lock::{LOCK, Lock, Locked};
use crate::package::manifest::{At, Manifest, Source};
use crate::package::select::Here;
use crate::package::{Disk, Files, Refused, place};

/// Where a project and its libraries are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of `r5flow.toml`.
    pub root: PathBuf,
    /// `None`: nobody said where it could be.
    pub cache: Option<PathBuf>,
    pub here: Here,
    pub limits: Limits,
}

impl Places {
    /// # Errors
    /// Nobody said where the cache could be.
    pub fn cache(&self) -> Result<&Path, String> {
        self.cache.as_deref().ok_or_else(|| {
            "there is no place for the cache of libraries: neither R5FLOW_CACHE, XDG_CACHE_HOME nor HOME is set".into()
        })
    }

    /// The manifest of the project; without the file, an empty one.
    ///
    /// # Errors
    /// It cannot be read, or is wrong.
    pub fn manifest(&self) -> Result<Manifest, String> {
        match self.text(MANIFEST)? {
            Some(text) => Manifest::parse(&text).map_err(|why| format!("`{MANIFEST}`: {why}")),
            None => Ok(Manifest::default()),
        }
    }

    /// The lock of the project; without the file, an empty one.
    ///
    /// # Errors
    /// It cannot be read, or is wrong.
    pub fn lock(&self) -> Result<Lock, String> {
        match self.text(LOCK)? {
            Some(text) => Lock::parse(&text).map_err(|why| format!("`{LOCK}`: {why}")),
            None => Ok(Lock::default()),
        }
    }

    /// The text of one of the project's own files, when it is there.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn text(&self, name: &str) -> Result<Option<String>, String> {
        match std::fs::read_to_string(self.root.join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(format!("`{name}` cannot be read: {e}")),
        }
    }

    /// The content of a locked library: the project's own copy, else the cache, else its source.
    ///
    /// # Errors
    /// It cannot be had, or is not what is locked.
    pub fn content(&self, name: &str, locked: &Locked) -> Result<Content, String> {
        match copies::vendored(&self.root, name, &locked.content)? {
            Some(content) => Ok(content),
            None => self.beyond(name, locked),
        }
    }

    /// The same, without the project's own copies.
    ///
    /// # Errors
    /// It cannot be had, or is not what is locked.
    pub fn beyond(&self, name: &str, locked: &Locked) -> Result<Content, String> {
        let git = match &locked.source {
            Source::Folder(path) => {
                let content = copies::folder(&self.root.join(path))
                    .map_err(|why| format!("the folder `{path}`: {why}"))?;
                return match content.hash() == locked.content {
                    true => Ok(content),
                    false => Err(format!(
                        "the folder `{path}` changed since it was locked; `r5flow lib update {name}` takes it as it is now"
                    )),
                };
            }
            Source::Git(git) => git,
        };
        let cache = self.cache()?;
        if let Some(content) = copies::cached(cache, &locked.content)? {
            return Ok(content);
        }
        let content = self.fetched(git, locked)?;
        if content.hash() != locked.content {
            return Err(format!(
                "what {} gives for `{name}` {} is not what was locked: {} instead of {}",
                locked.source,
                locked.version,
                content.hash(),
                locked.content
            ));
        }
        copies::keep(cache, &content)?;
        Ok(content)
    }

    /// Brings the locked commit. By its tag where there is one, so that a tag that was moved is noticed.
    fn fetched(
        &self,
        git: &crate::package::manifest::Git,
        locked: &Locked,
    ) -> Result<Content, String> {
        let told = |why: String| format!("{}: {why}", locked.source);
        let commit = locked.revision.as_deref().unwrap_or_default();
        let repository = git::Repository::new(&git.url, &self.root, self.cache()?, self.limits)?;
        let tag = match &git.at {
            At::Branch(_) | At::Revision(_) => None,
            At::Versions | At::Tag(_) => locked.tag.as_deref(),
        };
        if let Some(tag) = tag {
            let refs = repository.refs().map_err(told)?;
            remote::unmoved(&locked.source, tag, commit, &refs)?;
        }
        let wanted = git::Wanted {
            name: tag.map_or_else(|| commit.to_owned(), |tag| format!("refs/tags/{tag}")),
            commit,
            folder: git.folder.as_deref(),
        };
        repository.content(&wanted).map_err(told)
    }

    /// The manifest of a locked library, which must be the one that is locked, and be served here.
    ///
    /// # Errors
    /// It is another library or version, or needs what is not here.
    pub fn manifest_of(
        &self,
        name: &str,
        locked: &Locked,
        content: &Content,
    ) -> Result<Manifest, String> {
        let (called, version, manifest) =
            Manifest::of_library(content.get(MANIFEST).unwrap_or_default())?;
        if called != name || version != locked.version {
            return Err(format!(
                "`{LOCK}` says `{name}` {}, and its content `{called}` {version}; run `r5flow lib update {name}`",
                locked.version
            ));
        }
        self.here.serves(name, &version, &manifest)?;
        Ok(manifest)
    }

    /// Whether the source of a locked library still gives what is locked: the same commit for the tag, and the same
    /// content for the commit. A note, when nobody answers.
    ///
    /// # Errors
    /// It gives something else.
    pub fn asked(&self, locked: &Locked) -> Result<Option<String>, String> {
        let Source::Git(git) = &locked.source else {
            return Ok(None);
        };
        let answer = git::Repository::new(&git.url, &self.root, self.cache()?, self.limits)
            .and_then(|r| r.refs());
        if let Err(why) = answer {
            return Ok(Some(format!("its source was not asked: {why}")));
        }
        match self.fetched(git, locked)?.hash() == locked.content {
            true => Ok(None),
            false => Err(format!(
                "{} has another content than `{LOCK}` says, although the commit is the same: somebody wrote the lock by \
                 hand; `r5flow lib remove`, then `add`, makes it anew",
                locked.source
            )),
        }
    }
}

/// A library in use.
#[derive(Clone, Debug)]
struct Library {
    version: Version,
    content: Content,
    manifest: Manifest,
}

/// The files of a project, those of its libraries among them. Nothing is looked at before it is asked for, and
/// everything once.
#[derive(Clone, Debug)]
pub struct Project(Rc<Opened>);

#[derive(Debug)]
struct Opened {
    places: Places,
    /// Whether the project's own copies are what is used.
    copies: bool,
    said: OnceCell<Result<(Manifest, Lock), String>>,
    libraries: RefCell<BTreeMap<String, Result<Rc<Library>, String>>>,
}

impl Project {
    pub fn new(places: Places) -> Project {
        Project(Rc::new(Opened {
            places,
            copies: true,
            said: OnceCell::new(),
            libraries: RefCell::default(),
        }))
    }

    /// The project as if its files said so; its own copies are of other versions then.
    pub fn with(places: Places, manifest: Manifest, lock: Lock) -> Project {
        Project(Rc::new(Opened {
            places,
            copies: false,
            said: Ok((manifest, lock)).into(),
            libraries: RefCell::default(),
        }))
    }

    fn said(&self) -> Result<&(Manifest, Lock), String> {
        let places = &self.0.places;
        let said = self
            .0
            .said
            .get_or_init(|| Ok((places.manifest()?, places.lock()?)));
        said.as_ref().map_err(Clone::clone)
    }

    fn library(&self, name: &str) -> Result<Rc<Library>, String> {
        if let Some(known) = self.0.libraries.borrow().get(name) {
            return known.clone();
        }
        let opened = self.open(name).map(Rc::new);
        self.0
            .libraries
            .borrow_mut()
            .insert(name.to_owned(), opened.clone());
        opened
    }

    fn open(&self, name: &str) -> Result<Library, String> {
        let (manifest, lock) = self.said()?;
        let locked = lock.wanted(manifest, name)?;
        let content = match self.0.copies {
            true => self.0.places.content(name, locked)?,
            false => self.0.places.beyond(name, locked)?,
        };
        let manifest = self.0.places.manifest_of(name, locked, &content)?;
        Ok(Library {
            version: locked.version.clone(),
            content,
            manifest,
        })
    }
}

impl Files for Project {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let Some((library, file)) = place::library(path) else {
            return Disk.read(path);
        };
        let library = self.library(library)?;
        let text = library
            .content
            .get(file)
            .ok_or("the library has no such file")?;
        Ok(text.as_bytes().to_vec())
    }

    fn may_use(&self, from: Option<&str>, library: &str, module: &str) -> Result<(), Refused> {
        let home = from
            .map(|from| self.library(from))
            .transpose()
            .map_err(Refused::Unavailable)?;
        let needed = match &home {
            Some(home) => &home.manifest.dependencies,
            None => &self.said().map_err(Refused::Unavailable)?.0.dependencies,
        };
        let Some(asked) = needed.get(library).map(|dependency| &dependency.version) else {
            return Err(Refused::NotNeeded(needed.keys().cloned().collect()));
        };
        let name = library;
        let library = self.library(name).map_err(Refused::Unavailable)?;
        if !asked.matches(&library.version) {
            let who = from.unwrap_or("this project");
            return Err(Refused::Unavailable(format!(
                "`{who}` asks for `{name}` {asked}, and `{LOCK}` holds {}; run `r5flow lib update {name}`",
                library.version
            )));
        }
        match library.manifest.exports(module) {
            true => Ok(()),
            false => Err(Refused::NotExported(library.manifest.exports.clone())),
        }
    }
}

/// A name that nobody has yet.
fn random_name() -> String {
    let mut name = [0u8; 8];
    crate::world::random_bytes(&mut name);
    name.iter().map(|b| format!("{b:02x}")).collect()
}
