//! `r5flow.toml`: what a project or a library is called, what it exports, what it needs.

use std::collections::BTreeMap;

use semver::{Version, VersionReq};
use serde::Deserialize;

use super::content::MANIFEST;
use super::stdlib::STDLIB;

/// What the file says of libraries; tables of other rooms are theirs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    pub name: Option<String>,
    pub version: Option<Version>,
    /// The modules that others may use, without their ending.
    pub exports: Vec<String>,
    /// Which r5flow it needs.
    pub r5flow: Option<VersionReq>,
    /// For each service the least revision of its description.
    pub catalog: BTreeMap<String, String>,
    pub dependencies: BTreeMap<String, Dependency>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Dependency {
    pub source: Source,
    pub version: VersionReq,
}

/// Where a library comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Folder(String),
    Git(Git),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Git {
    pub url: String,
    /// The folder of the repository that is the library; else the whole.
    pub folder: Option<String>,
    pub at: At,
}

/// What is taken of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// The tags that are versions.
    Versions,
    Tag(String),
    Branch(String),
    Revision(String),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let git = match self {
            Source::Folder(path) => return write!(f, "the folder {path}"),
            Source::Git(git) => git,
        };
        write!(f, "{}", git.url)?;
        if let Some(folder) = &git.folder {
            write!(f, ", folder {folder}")?;
        }
        match &git.at {
            At::Versions => Ok(()),
            At::Tag(tag) => write!(f, ", tag {tag}"),
            At::Branch(branch) => write!(f, ", branch {branch}"),
            At::Revision(revision) => write!(f, ", revision {revision}"),
        }
    }
}

/// The file as it is written.
#[derive(Default, Deserialize)]
struct Written {
    name: Option<String>,
    version: Option<String>,
    #[serde(default)]
    exports: Vec<String>,
    r5flow: Option<String>,
    #[serde(default)]
    catalog: BTreeMap<String, String>,
    #[serde(default)]
    dependencies: BTreeMap<String, WrittenDependency>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDependency {
    path: Option<String>,
    git: Option<String>,
    folder: Option<String>,
    version: Option<String>,
    tag: Option<String>,
    branch: Option<String>,
    revision: Option<String>,
}

impl Manifest {
    /// # Errors
    /// What is wrong with the text, for people.
    pub fn parse(text: &str) -> Result<Manifest, String> {
        let written: Written = toml::from_str(text).map_err(|e| mistake(&e))?;
        if let Some(name) = &written.name {
            is_name(name)?;
        }
        for module in &written.exports {
            is_module(module)?;
        }
        let dependencies = written.dependencies.into_iter().map(|(name, dependency)| {
            is_name(&name)?;
            let read = dependency
                .read()
                .map_err(|why| format!("the dependency `{name}`: {why}"))?;
            Ok((name, read))
        });
        Ok(Manifest {
            name: written.name,
            version: written.version.as_deref().map(version).transpose()?,
            exports: written.exports,
            r5flow: written.r5flow.as_deref().map(requirement).transpose()?,
            catalog: written.catalog,
            dependencies: dependencies.collect::<Result<_, String>>()?,
        })
    }

    /// The manifest of a library, with the name and version that every library has.
    ///
    /// # Errors
    /// What is wrong with the text, or missing in it.
    pub fn of_library(text: &str) -> Result<(String, Version, Manifest), String> {
        let manifest = Manifest::parse(text).map_err(|why| format!("its `{MANIFEST}`: {why}"))?;
        match (&manifest.name, &manifest.version) {
            (Some(name), Some(version)) => Ok((name.clone(), version.clone(), manifest)),
            _ => Err(format!(
                "its `{MANIFEST}` says no `name` and `version`, so it is no library"
            )),
        }
    }

    pub fn exports(&self, module: &str) -> bool {
        self.exports.iter().any(|exported| exported == module)
    }
}

impl WrittenDependency {
    fn read(self) -> Result<Dependency, String> {
        let version = match &self.version {
            Some(text) => requirement(text)?,
            None => VersionReq::STAR,
        };
        let refs = [
            self.tag.map(At::Tag),
            self.branch.map(At::Branch),
            self.revision.map(At::Revision),
        ];
        let mut refs: Vec<At> = refs.into_iter().flatten().collect();
        if refs.len() > 1 {
            return Err("name one of `tag`, `branch` and `revision`".into());
        }
        let source = match (self.path, self.git) {
            (Some(path), None) if refs.is_empty() && self.folder.is_none() => Source::Folder(path),
            (Some(_), None) => {
                return Err("a folder has no `tag`, `branch`, `revision` and `folder`".into());
            }
            (None, Some(url)) => {
                let at = refs.pop().unwrap_or(At::Versions);
                if at == At::Versions && self.version.is_none() {
                    return Err(
                        "say a `version` such as \"^1\", or a `tag`, `branch` or `revision`".into(),
                    );
                }
                let folder = self.folder;
                Source::Git(Git { url, folder, at }.checked()?)
            }
            _ => return Err("say where it comes from: `path` or `git`".into()),
        };
        Ok(Dependency { source, version })
    }
}

impl Git {
    /// # Errors
    /// A part that git would take for something else, for people.
    pub fn checked(self) -> Result<Git, String> {
        is_address(&self.url)?;
        if let Some(folder) = &self.folder {
            let fits = |part: &str| {
                !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':'])
            };
            if !folder.split('/').all(fits) {
                return Err(format!(
                    "`{}` is no folder inside of a repository",
                    folder.escape_debug()
                ));
            }
        }
        match &self.at {
            At::Versions => {}
            At::Tag(name) | At::Branch(name) => is_ref(name)?,
            At::Revision(id) => is_revision(id)?,
        }
        Ok(self)
    }
}

/// Whether git may be asked for this: https, ssh, or a place on this machine, and nothing that git reads as an
/// option or as a program.
///
/// # Errors
/// Why not, for people.
pub fn is_address(url: &str) -> Result<(), String> {
    let shown = url.escape_debug();
    if url.is_empty() || url.starts_with('-') {
        return Err(format!(
            "`{shown}` is no address of a repository: git would read it as an option"
        ));
    }
    if url.chars().any(|c| c.is_control() || c == ' ') {
        return Err(format!(
            "`{shown}` is no address of a repository: it has blanks"
        ));
    }
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', ':', '@']) => {
            (scheme.to_ascii_lowercase(), rest)
        }
        _ => (String::new(), url),
    };
    if url.contains("::") && scheme.is_empty() {
        return Err(format!(
            "`{shown}` names a transport that runs programs; https, ssh and folders are taken"
        ));
    }
    let host = rest.split('/').next().unwrap_or_default();
    let behind_user = host.rsplit('@').next().unwrap_or_default();
    if !scheme.is_empty()
        && scheme != "file"
        && (behind_user.is_empty() || behind_user.starts_with('-'))
    {
        return Err(format!("`{shown}` names no host"));
    }
    match scheme.as_str() {
        "https" if host.contains('@') => Err(
            "the address holds a user or a password, and it is written into files that everybody reads; let git's \
             credential helper give them"
                .into(),
        ),
        "ssh" if host.split('@').next().is_some_and(|user| user.contains(':') && host.contains('@')) => {
            Err("the address holds a password, and it is written into files that everybody reads".into())
        }
        "" if behind_user.starts_with('-') => Err(format!("`{shown}` names no host")),
        "" | "https" | "ssh" | "file" => Ok(()),
        other => Err(format!(
            "`{}` is no way to fetch a library; https, ssh and folders are taken",
            other.escape_debug()
        )),
    }
}

/// Whether an address is a path of this machine, and no URL.
pub fn is_path(url: &str) -> bool {
    !url.split('/').next().unwrap_or_default().contains(':')
}

/// Whether an address is a place on this machine.
pub fn is_local(url: &str) -> bool {
    is_path(url) || url.to_ascii_lowercase().starts_with("file:")
}

/// A tag or branch that git cannot read as something else.
fn is_ref(name: &str) -> Result<(), String> {
    let known =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | '+');
    let odd = name.is_empty()
        || name.starts_with(['-', '/', '.'])
        || name.contains("..")
        || name.ends_with(['/', '.']);
    match !odd && !name.contains("@{") && name.chars().all(known) {
        true => Ok(()),
        false => Err(format!(
            "`{}` is no name of a tag or a branch",
            name.escape_debug()
        )),
    }
}

/// A whole id of a commit.
///
/// # Errors
/// It is none, for people.
pub fn is_revision(id: &str) -> Result<(), String> {
    let hex = id
        .chars()
        .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    match hex && matches!(id.len(), 40 | 64) {
        true => Ok(()),
        false => Err(format!(
            "`{}` is no whole id of a commit: 40 or 64 digits of 0-9 and a-f",
            id.escape_debug()
        )),
    }
}

/// # Errors
/// It is no name of a library, for people.
pub fn is_name(name: &str) -> Result<(), String> {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || name.len() > 64 || !name.chars().all(known) {
        return Err(format!(
            "`{}` is no name of a library: small letters, digits, `-` and `_`, a letter first, 64 at most",
            name.escape_debug()
        ));
    }
    let reserved = STDLIB.iter().any(|(path, _)| {
        path.strip_prefix("stdlib/")
            .is_some_and(|p| p.starts_with(&format!("{name}/")))
    });
    match reserved {
        true => Err(format!(
            "`{name}` is a part of the standard library, so no library can have this name"
        )),
        false => Ok(()),
    }
}

fn is_module(module: &str) -> Result<(), String> {
    let fits = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        !part.is_empty() && part.chars().all(known)
    };
    match module.split('/').all(fits) {
        true => Ok(()),
        false => Err(format!(
            "`exports` names `{}`, which is no module: write it as a flow uses it, without `./` and its ending",
            module.escape_debug()
        )),
    }
}

/// What is wrong with a text of TOML, with the line where it is, unless nobody could read that.
pub(super) fn mistake(error: &toml::de::Error) -> String {
    const READABLE: usize = 1000;
    let text = error.to_string();
    match text.trim_end() {
        text if text.len() <= READABLE => text.to_owned(),
        _ => error.message().to_owned(),
    }
}

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text)
        .map_err(|e| format!("`{}` is no version such as 1.0.0: {e}", text.escape_debug()))
}

/// # Errors
/// It asks for no version, for people.
pub fn requirement(text: &str) -> Result<VersionReq, String> {
    VersionReq::parse(text).map_err(|e| {
        format!(
            "`{}` asks for no version; write such as \"^1\" or \">=1.2, <3\": {e}",
            text.escape_debug()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIT: &str = "git = \"https://example.com/red5.git\"";

    #[test]
    fn a_manifest_says_who_it_is_and_what_it_needs() {
        let text = format!(
            "name = \"shop\"\nversion = \"1.2.0\"\nexports = [\"image\", \"net/front\"]\nr5flow = \">=0.1\"\nmarks = false\n\
             [catalog]\ncompute = \"20250101\"\n[environments.live]\nprotected = true\n\
             [dependencies]\nred = {{ {GIT}, version = \"^1\" }}\nblue = {{ path = \"../blue\" }}\n"
        );
        let manifest = Manifest::parse(&text).expect("a manifest");
        assert!(manifest.exports("net/front") && !manifest.exports("net"));
        assert_eq!(
            manifest.dependencies["blue"].source,
            Source::Folder("../blue".into())
        );
        assert_eq!(
            manifest.dependencies["red"].version,
            VersionReq::parse("^1").expect("one")
        );
    }

    #[test]
    fn what_a_dependency_cannot_be_is_told() {
        let wrong = [
            ("red = { version = \"^1\" }".to_owned(), "`path` or `git`"),
            (format!("red = {{ {GIT} }}"), "say a `version`"),
            (
                format!("red = {{ {GIT}, tag = \"a\", branch = \"b\" }}"),
                "name one of",
            ),
            (
                format!("red = {{ {GIT}, revision = \"abc\" }}"),
                "no whole id",
            ),
            (
                format!("red = {{ {GIT}, branch = \"--upload-pack=x\" }}"),
                "no name of a tag",
            ),
            (
                format!("red = {{ {GIT}, tag = \"1\", folder = \"../x\" }}"),
                "no folder inside",
            ),
            (
                "red = { path = \"../x\", tag = \"1\" }".into(),
                "a folder has no",
            ),
            (
                "red = { path = \"../x\", verison = \"1\" }".into(),
                "verison",
            ),
            ("Red = { path = \"../x\" }".into(), "no name of a library"),
            ("red5 = { path = \"../x\" }".into(), "standard library"),
            (format!("red = {}", "[".repeat(100_000)), "recursion"),
        ];
        for (line, told) in wrong {
            let why = Manifest::parse(&format!("[dependencies]\n{line}\n")).expect_err(told);
            assert!(why.contains(told) && why.len() < 2000, "{told}: {why}");
        }
    }

    #[test]
    fn git_is_asked_for_addresses_only() {
        let good = [
            "https://example.com/a.git",
            "ssh://git@example.com:22/a",
            "git@example.com:a/b.git",
            "file:///srv/a.git",
            "../a.git",
            "/srv/a",
        ];
        for url in good {
            assert_eq!(is_address(url), Ok(()), "{url}");
        }
        let bad = [
            "--upload-pack=touch /tmp/x",
            "-x",
            "",
            "ext::sh -c x",
            "ext::sh",
            "fd::7",
            "http://example.com/a",
            "git://example.com/a",
            "https://me:secret@example.com/a",
            "https://token@example.com/a",
            "ssh://-oProxyCommand=x/a",
            "ssh://git@-oProxyCommand=x/a",
            "ssh://git:secret@example.com/a",
            "-oProxyCommand=x:a",
            "git@-oProxyCommand=x:a",
            "https:///a",
            "a\nb",
        ];
        for url in bad {
            assert!(is_address(url).is_err(), "{url}");
        }
    }
}
