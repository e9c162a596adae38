//! The sources of libraries, asked anew: which versions there are, and what is in them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use semver::Version;

use super::copies;
use super::git::{Refs, Repository, Wanted};
use super::{Locked, Places};
use crate::package::content::{Content, MANIFEST};
use crate::package::manifest::{At, Git, Manifest, Source, is_local, is_path};
use crate::package::select::{Fetched, Shelf};

/// Everything that can be fetched.
pub struct Remote<'p> {
    places: &'p Places,
    /// What is locked: a tag of it that moved is refused, and its branches stay where they are.
    locked: BTreeMap<String, Locked>,
    /// Libraries that are to be looked at anew.
    anew: Vec<String>,
    /// Nobody is asked; what is locked is all there is.
    frozen: bool,
    refs: RefCell<BTreeMap<String, Rc<Refs>>>,
    fetched: RefCell<BTreeMap<(Source, Version), Fetched>>,
}

/// A version and what git calls it.
struct Tagged {
    version: Version,
    tag: String,
    commit: String,
}

impl<'p> Remote<'p> {
    pub fn new(places: &'p Places, locked: BTreeMap<String, Locked>) -> Remote<'p> {
        Remote {
            places,
            locked,
            anew: Vec::new(),
            frozen: false,
            refs: RefCell::default(),
            fetched: RefCell::default(),
        }
    }

    /// The same, looking at these libraries anew.
    pub fn anew(self, names: Vec<String>) -> Remote<'p> {
        Remote {
            anew: names,
            ..self
        }
    }

    /// The same, asking nobody.
    pub fn frozen(self) -> Remote<'p> {
        Remote {
            frozen: true,
            ..self
        }
    }

    fn refs(&self, git: &Git) -> Result<Rc<Refs>, String> {
        if let Some(known) = self.refs.borrow().get(&git.url) {
            return Ok(Rc::clone(known));
        }
        let refs = Rc::new(
            self.repository(git)?
                .refs()
                .map_err(|why| format!("{}: {why}", git.url))?,
        );
        self.refs
            .borrow_mut()
            .insert(git.url.clone(), Rc::clone(&refs));
        Ok(refs)
    }

    fn repository(&self, git: &Git) -> Result<Repository, String> {
        Repository::new(
            &git.url,
            &self.places.root,
            self.places.cache()?,
            self.places.limits,
        )
    }

    /// What is locked under this name, when it comes from there and is not to be looked at anew.
    fn kept(&self, name: &str, source: &Source) -> Option<&Locked> {
        let kept = self.locked.get(name).filter(|l| l.source == *source);
        kept.filter(|_| self.frozen || !self.anew.iter().any(|n| n == name))
    }

    /// The versions among the tags, the lowest first.
    fn tagged(&self, git: &Git) -> Result<Vec<Tagged>, String> {
        let refs = self.refs(git)?;
        let mut all: Vec<Tagged> = refs
            .tags
            .iter()
            .filter_map(|(tag, commit)| {
                Some(Tagged {
                    version: version_of(tag, git)?,
                    tag: tag.clone(),
                    commit: commit.clone(),
                })
            })
            .collect();
        all.sort_by(|a, b| a.version.cmp(&b.version));
        Ok(all)
    }

    /// The commit that a source means, and the name by which it is fetched.
    fn meant(&self, name: &str, git: &Git, version: Option<&Version>) -> Result<Meant, String> {
        let source = Source::Git(git.clone());
        let refs = |what: &str, found: Option<&String>| {
            found
                .cloned()
                .ok_or_else(|| format!("{}: there is no {what}", git.url))
        };
        Ok(match (&git.at, version) {
            (At::Versions, Some(version)) => {
                let mut all = self.tagged(git)?;
                all.retain(|t| t.version == *version);
                let one = all.first();
                let other = all
                    .iter()
                    .find(|t| one.is_some_and(|one| t.commit != one.commit));
                if let (Some(one), Some(other)) = (one, other) {
                    return Err(format!(
                        "{}: the tags {} and {} are both version {version}, and name different commits; a version is \
                         published once: ask those who publish it which of them is right",
                        git.url, one.tag, other.tag
                    ));
                }
                let found = all.pop();
                let found =
                    found.ok_or_else(|| format!("{}: no tag is version {version}", git.url))?;
                Meant {
                    fetch: format!("refs/tags/{}", found.tag),
                    commit: found.commit,
                    tag: Some(found.tag),
                }
            }
            (At::Versions, None) => return Err(format!("`{name}`: which version is not said")),
            (At::Tag(tag), _) => Meant {
                commit: refs(&format!("tag `{tag}`"), self.refs(git)?.tags.get(tag))?,
                fetch: format!("refs/tags/{tag}"),
                tag: Some(tag.clone()),
            },
            (At::Branch(branch), _) => {
                match self.kept(name, &source).and_then(|l| l.revision.clone()) {
                    Some(commit) => Meant::commit(commit),
                    None => Meant {
                        commit: refs(
                            &format!("branch `{branch}`"),
                            self.refs(git)?.branches.get(branch),
                        )?,
                        fetch: format!("refs/heads/{branch}"),
                        tag: None,
                    },
                }
            }
            (At::Revision(commit), _) => Meant::commit(commit.clone()),
        })
    }

    /// What a source holds; of a repository with versions, one of them.
    ///
    /// # Errors
    /// It cannot be had, or is no library; for people.
    pub fn bring(
        &self,
        name: &str,
        source: &Source,
        version: Option<&Version>,
    ) -> Result<(String, Version, Fetched), String> {
        let told = |why: String| format!("{source}: {why}");
        let (content, tag, revision) = match source {
            Source::Folder(path) => (
                copies::folder(&self.places.root.join(path)).map_err(told)?,
                None,
                None,
            ),
            Source::Git(git) => {
                let meant = self.meant(name, git, version)?;
                let content = match self.cached(source, &meant)? {
                    Some(content) => content,
                    None => {
                        let wanted = Wanted {
                            name: meant.fetch,
                            commit: &meant.commit,
                            folder: git.folder.as_deref(),
                        };
                        let content = self.repository(git)?.content(&wanted).map_err(told)?;
                        copies::keep(self.places.cache()?, &content)?;
                        content
                    }
                };
                (content, meant.tag, Some(meant.commit))
            }
        };
        let (called, is, manifest) = library(&content).map_err(told)?;
        let manifest = beside(manifest, source).map_err(told)?;
        if let Some(version) = version.filter(|v| **v != is) {
            let tag = tag.unwrap_or_default();
            return Err(told(format!(
                "the tag {tag} says {version}, and its `{MANIFEST}` {is}; ask those who publish it for a right tag"
            )));
        }
        let fetched = Fetched {
            content,
            manifest,
            tag,
            revision,
        };
        Ok((called, is, fetched))
    }

    /// A copy in the cache of what is locked with just this commit.
    fn cached(&self, source: &Source, meant: &Meant) -> Result<Option<Content>, String> {
        let same = |l: &&Locked| l.source == *source && l.revision.as_ref() == Some(&meant.commit);
        match self.locked.values().find(same) {
            Some(locked) => copies::cached(self.places.cache()?, &locked.content),
            None => Ok(None),
        }
    }

    /// The newest version that a requirement allows.
    ///
    /// # Errors
    /// There is none, or nobody answers; for people.
    pub fn newest(&self, git: &Git, wanted: &semver::VersionReq) -> Result<Version, String> {
        let all = self.tagged(git)?;
        let newest = all.iter().rev().find(|t| wanted.matches(&t.version));
        newest.map(|t| t.version.clone()).ok_or_else(|| {
            format!(
                "{}: no tag is a version that {wanted} allows; a version is a tag such as 1.0.0 or v1.0.0",
                git.url
            )
        })
    }
}

/// A commit, and how it is fetched.
struct Meant {
    commit: String,
    fetch: String,
    tag: Option<String>,
}

impl Meant {
    fn commit(commit: String) -> Meant {
        Meant {
            fetch: commit.clone(),
            commit,
            tag: None,
        }
    }
}

impl Shelf for Remote<'_> {
    fn versions(&self, name: &str, source: &Source) -> Result<Vec<Version>, String> {
        let kept = self.kept(name, source);
        if let Some(locked) = kept.filter(|_| self.frozen) {
            return Ok(vec![locked.version.clone()]);
        }
        let Source::Git(git) = source else {
            return self.only(name, source);
        };
        if let Some(locked) = self.locked.get(name).filter(|l| l.source == *source)
            && let (Some(tag), Some(commit)) = (&locked.tag, &locked.revision)
        {
            unmoved(source, tag, commit, self.refs(git)?.as_ref())?;
        }
        match &git.at {
            At::Versions => Ok(self.tagged(git)?.into_iter().map(|t| t.version).collect()),
            _ => self.only(name, source),
        }
    }

    fn fetch(&self, name: &str, source: &Source, version: &Version) -> Result<Fetched, String> {
        let key = (source.clone(), version.clone());
        if let Some(known) = self.fetched.borrow().get(&key) {
            return Ok(known.clone());
        }
        let fetched = match self
            .kept(name, source)
            .filter(|l| self.frozen && l.version == *version)
        {
            Some(locked) => self.as_locked(name, locked)?,
            None => {
                let exact =
                    matches!(source, Source::Git(git) if git.at == At::Versions).then_some(version);
                let (called, _, fetched) = self.bring(name, source, exact)?;
                if called != name {
                    return Err(format!(
                        "{source} is the library `{called}`, and not `{name}`: name it so in `{MANIFEST}`"
                    ));
                }
                fetched
            }
        };
        self.fetched.borrow_mut().insert(key, fetched.clone());
        Ok(fetched)
    }
}

impl Remote<'_> {
    /// The version of a source that has just one.
    fn only(&self, name: &str, source: &Source) -> Result<Vec<Version>, String> {
        let (called, version, fetched) = self.bring(name, source, None)?;
        if called == name {
            self.fetched
                .borrow_mut()
                .insert((source.clone(), version.clone()), fetched);
        }
        Ok(vec![version])
    }

    fn as_locked(&self, name: &str, locked: &Locked) -> Result<Fetched, String> {
        let content = self.places.content(name, locked)?;
        let (_, _, manifest) = library(&content)?;
        Ok(Fetched {
            manifest: beside(manifest, &locked.source)?,
            content,
            tag: locked.tag.clone(),
            revision: locked.revision.clone(),
        })
    }
}

/// A content as a library: what it exports must be there.
fn library(content: &Content) -> Result<(String, Version, Manifest), String> {
    let (name, version, manifest) =
        Manifest::of_library(content.get(MANIFEST).unwrap_or_default())?;
    for module in &manifest.exports {
        if !content.modules().any(|there| there == module) {
            let near = crate::diag::nearest(module, content.modules());
            let near = near
                .map(|near| format!("; did it mean `{near}`?"))
                .unwrap_or_default();
            return Err(format!(
                "it exports `{module}`, and has no `{module}.r5flow`{near}"
            ));
        }
    }
    Ok((name, version, manifest))
}

/// A manifest whose places are seen from the project. What is fetched names no place that is only where it came
/// from, and what comes from elsewhere names none on this machine.
fn beside(mut manifest: Manifest, source: &Source) -> Result<Manifest, String> {
    for (name, dependency) in &mut manifest.dependencies {
        let place = match &mut dependency.source {
            Source::Folder(path) => path,
            Source::Git(git) if is_path(&git.url) => &mut git.url,
            Source::Git(git) if is_local(&git.url) && !comes_from_here(source) => &mut git.url,
            Source::Git(_) => continue,
        };
        match source {
            Source::Folder(home) => *place = place_of(home, place),
            Source::Git(git) if is_local(&git.url) && place.starts_with('/') => {}
            Source::Git(_) => {
                return Err(format!(
                    "it takes `{name}` from `{place}`, which is a place of whoever wrote it; a library that is fetched names \
                     repositories by their addresses"
                ));
            }
        }
    }
    Ok(manifest)
}

fn comes_from_here(source: &Source) -> bool {
    match source {
        Source::Folder(_) => true,
        Source::Git(git) => is_local(&git.url),
    }
}

/// A folder that a folder names, from where the first one is seen.
fn place_of(home: &str, path: &str) -> String {
    let mut parts: Vec<&str> = home
        .split('/')
        .filter(|p| !matches!(*p, "" | "."))
        .collect();
    for part in path.split('/').filter(|p| !matches!(*p, "" | ".")) {
        match (part, parts.last()) {
            ("..", Some(last)) if *last != ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    match (path.starts_with('/'), home.starts_with('/')) {
        (true, _) => path.to_owned(),
        (_, true) => format!("/{}", parts.join("/")),
        _ => parts.join("/"),
    }
}

/// A tag that is a version: `1.0.0`, `v1.0.0`, or either behind the last word of the folder or of the address and
/// `-`, `/` or `@`.
fn version_of(tag: &str, git: &Git) -> Option<Version> {
    let last = |path: &str| {
        path.trim_end_matches('/')
            .rsplit(['/', ':'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let address = last(&git.url);
    let names = [
        git.folder.as_deref().map(last),
        Some(address.trim_end_matches(".git").to_owned()),
    ];
    let named = names.iter().flatten().filter(|name| !name.is_empty());
    let behind = named.filter_map(|name| {
        tag.strip_prefix(name.as_str())?
            .strip_prefix(['-', '/', '@'])
    });
    [tag]
        .into_iter()
        .chain(behind)
        .find_map(|text| Version::parse(text.strip_prefix('v').unwrap_or(text)).ok())
}

/// A tag must name the commit that it named when it was locked.
pub fn unmoved(source: &Source, tag: &str, commit: &str, refs: &Refs) -> Result<(), String> {
    match refs.tags.get(tag) {
        Some(now) if now == commit => Ok(()),
        Some(now) => Err(format!(
            "the tag {tag} of {source} was moved: it was commit {commit} when it was locked, and is {now} now. A version \
             is published once: ask those who publish it what happened; `r5flow lib remove`, then `add`, takes another one"
        )),
        None => Err(format!(
            "the tag {tag} of {source} is gone: it was commit {commit} when it was locked. Ask those who publish it what \
             happened, or ask for another version in `{MANIFEST}`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_versions_in_a_few_forms() {
        for (tag, version) in [
            ("1.0.0", Some("1.0.0")),
            ("v1.2.3-rc.1", Some("1.2.3-rc.1")),
            ("platform-red5-1.0.0", Some("1.0.0")),
            ("red/v1.0.0", Some("1.0.0")),
            ("red@1.0.0", Some("1.0.0")),
            ("blue-1.0.0", None),
            ("1.0", None),
            ("latest", None),
            ("--upload-pack=x", None),
        ] {
            let git = Git {
                url: "git@example.com:teams/platform-red5.git".into(),
                folder: Some("libs/red".into()),
                at: At::Versions,
            };
            let found = version_of(tag, &git).map(|v| v.to_string());
            assert_eq!(found.as_deref(), version, "{tag}");
        }
    }

    #[test]
    fn what_is_fetched_names_no_place_of_this_machine() {
        let manifest = |line: &str| {
            Manifest::parse(&format!("[dependencies]\nb = {{ {line} }}\n")).expect("a manifest")
        };
        let home = |url: &str| {
            let git = Git {
                url: url.into(),
                folder: None,
                at: At::Versions,
            };
            Source::Git(git)
        };
        let from = |source: &Source, line: &str| {
            beside(manifest(line), source).map(|m| m.dependencies["b"].source.to_string())
        };
        let (far, near, folder) = (
            home("https://example.com/a"),
            home("/srv/a.git"),
            Source::Folder("../a".into()),
        );
        let address = "git = \"https://example.com/b\", version = \"^1\"";
        let absolute = "git = \"/srv/b.git\", version = \"^1\"";
        let relative = "git = \"../b.git\", version = \"^1\"";
        let file = "git = \"file:///srv/b.git\", version = \"^1\"";
        for source in [&far, &near, &folder] {
            assert_eq!(
                from(source, address).as_deref(),
                Ok("https://example.com/b")
            );
        }
        for line in [
            absolute,
            relative,
            file,
            "path = \"../b\"",
            "path = \"/srv/b\"",
        ] {
            assert!(from(&far, line).is_err(), "{line}");
        }
        assert_eq!(from(&near, absolute).as_deref(), Ok("/srv/b.git"));
        assert_eq!(from(&near, file).as_deref(), Ok("file:///srv/b.git"));
        assert!(from(&near, relative).is_err());
        assert!(from(&near, "path = \"../b\"").is_err());
        assert_eq!(from(&folder, relative).as_deref(), Ok("../b.git"));
        assert_eq!(from(&folder, file).as_deref(), Ok("file:///srv/b.git"));
    }

    #[test]
    fn folders_of_folders_are_seen_from_the_project() {
        for (home, path, found) in [
            ("../a", "../b", "../b"),
            ("../a", "b", "../a/b"),
            ("../../a", "../../b", "../../../b"),
            ("/x/a", "../b", "/x/b"),
            ("../a", "/b", "/b"),
        ] {
            assert_eq!(place_of(home, path), found, "{home} {path}");
        }
    }
}
