//! Which version of each library: the lowest that everybody's requirements allow.
//!
//! Nothing rises by itself: a version is higher than the lowest one only because somebody asks for it, or
//! because it is locked so. Versions only ever rise while this looks for them, so it comes to an end.

use std::collections::{BTreeMap, BTreeSet};

use semver::{Version, VersionReq};

use super::content::Content;
use super::manifest::{Dependency, Manifest, Source};

/// Where libraries are found.
pub trait Shelf {
    /// The versions that can be had from a source, the lowest first.
    ///
    /// # Errors
    /// Nobody answers, or nothing is there; for people.
    fn versions(&self, name: &str, source: &Source) -> Result<Vec<Version>, String>;

    /// One version of a library.
    ///
    /// # Errors
    /// It cannot be had, or is not what a library may be; for people.
    fn fetch(&self, name: &str, source: &Source, version: &Version) -> Result<Fetched, String>;
}

/// A library as it comes from its source.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub content: Content,
    pub manifest: Manifest,
    pub tag: Option<String>,
    pub revision: Option<String>,
}

/// What this r5flow is, for libraries that need a newer one.
#[derive(Clone, Debug)]
pub struct Here {
    pub r5flow: Version,
    /// The revision of each service's description.
    pub catalog: BTreeMap<String, String>,
}

impl Here {
    /// # Errors
    /// The library needs something newer, for people.
    pub fn serves(
        &self,
        library: &str,
        version: &Version,
        manifest: &Manifest,
    ) -> Result<(), String> {
        if let Some(wanted) = &manifest.r5flow
            && !wanted.matches(&self.r5flow)
        {
            return Err(format!(
                "`{library}` {version} needs r5flow {wanted}, and this is {}; update r5flow, or use another version of \
                 the library",
                self.r5flow
            ));
        }
        for (service, least) in &manifest.catalog {
            match self.catalog.get(service) {
                None => {
                    return Err(format!(
                        "`{library}` {version} needs the service `{service}`, which this catalogue lacks; bring it with \
                         `--catalog`"
                    ));
                }
                Some(here) if here < least => {
                    return Err(format!(
                        "`{library}` {version} needs the description of `{service}` of {least} or later, and the catalogue \
                         here is of {here}; update r5flow, or make a newer one with `r5flow catalog build`"
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// A library that was chosen.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub version: Version,
    pub source: Source,
    pub fetched: Fetched,
}

/// Why no versions could be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Versions that are good, and not together, or not here.
    Together(String),
    /// Something cannot be had, or is not what a library may be.
    Broken(String),
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Unfit::Together(why) | Unfit::Broken(why)) = self;
        f.write_str(why)
    }
}

/// Somebody's wish for a library.
#[derive(Clone, Debug)]
struct Wish {
    /// A library with its version; of the project itself, nobody.
    by: Option<(String, Version)>,
    dependency: Dependency,
}

impl std::fmt::Display for Wish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.by {
            None => write!(f, "this project"),
            Some((name, version)) => write!(f, "`{name}` {version}"),
        }
    }
}

/// Chooses a version of every library that the project needs, and of those that these need.
///
/// `floors` are versions below which a library is not taken where that can be avoided: what is locked.
///
/// # Errors
/// Wishes that no version fulfils, libraries in a circle, a library that cannot be had; for people.
pub fn select(
    project: &Manifest,
    floors: &BTreeMap<String, Version>,
    here: &Here,
    shelf: &dyn Shelf,
) -> Result<BTreeMap<String, Chosen>, Unfit> {
    let mut selecting = Selecting {
        floors,
        here,
        shelf,
        versions: BTreeMap::new(),
        chosen: BTreeMap::new(),
    };
    loop {
        let wishes = wishes(project, &selecting.chosen);
        let mut moved = false;
        for (name, wishes) in &wishes {
            moved |= selecting.choose(name, wishes)?;
        }
        if !moved {
            selecting.chosen.retain(|name, _| wishes.contains_key(name));
            no_circle(project, &selecting.chosen).map_err(Unfit::Together)?;
            return Ok(selecting.chosen);
        }
    }
}

/// Who wants what, as far as the project leads.
fn wishes(project: &Manifest, chosen: &BTreeMap<String, Chosen>) -> BTreeMap<String, Vec<Wish>> {
    let mut wishes: BTreeMap<String, Vec<Wish>> = BTreeMap::new();
    let mut open: Vec<Option<&str>> = vec![None];
    let mut seen = BTreeSet::new();
    while let Some(next) = open.pop() {
        let (by, manifest) = match next {
            None => (None, project),
            Some(name) => match chosen.get(name) {
                Some(c) => (
                    Some((name.to_owned(), c.version.clone())),
                    &c.fetched.manifest,
                ),
                None => continue,
            },
        };
        for (name, dependency) in &manifest.dependencies {
            wishes.entry(name.clone()).or_default().push(Wish {
                by: by.clone(),
                dependency: dependency.clone(),
            });
            if seen.insert(name.as_str()) {
                open.push(Some(name));
            }
        }
    }
    for list in wishes.values_mut() {
        list.sort_by(|a, b| a.by.cmp(&b.by));
    }
    wishes
}

struct Selecting<'s> {
    floors: &'s BTreeMap<String, Version>,
    here: &'s Here,
    shelf: &'s dyn Shelf,
    versions: BTreeMap<String, Vec<Version>>,
    chosen: BTreeMap<String, Chosen>,
}

impl Selecting<'_> {
    /// Takes the lowest version that fits; whether it is another one than before.
    fn choose(&mut self, name: &str, wishes: &[Wish]) -> Result<bool, Unfit> {
        let Some(first) = wishes.first() else {
            return Ok(false);
        };
        let source = &first.dependency.source;
        if let Some(other) = wishes.iter().find(|w| w.dependency.source != *source) {
            return Err(Unfit::Together(format!(
                "two libraries are called `{name}`: {first} takes it from {source}, and {other} from {}; one name is \
                 one library",
                other.dependency.source
            )));
        }
        if !self.versions.contains_key(name) {
            self.versions.insert(
                name.to_owned(),
                self.shelf.versions(name, source).map_err(Unfit::Broken)?,
            );
        }
        let all = &self.versions[name];
        let reached = self.chosen.get(name).map(|c| &c.version);
        let fits = |v: &&Version| wishes.iter().all(|w| w.dependency.version.matches(v));
        let mut fitting: Vec<&Version> = all.iter().filter(fits).collect();
        fitting.retain(|v| reached.is_none_or(|r| *v >= r));
        let floor = self.floors.get(name);
        let above = fitting.iter().find(|v| floor.is_none_or(|f| **v >= f));
        let Some(version) = above.or(fitting.first()).map(|v| (*v).clone()) else {
            return Err(Unfit::Together(conflict(name, wishes, all, reached)));
        };
        if reached == Some(&version) {
            return Ok(false);
        }
        let fetched = self
            .shelf
            .fetch(name, source, &version)
            .map_err(Unfit::Broken)?;
        self.here
            .serves(name, &version, &fetched.manifest)
            .map_err(Unfit::Together)?;
        let chosen = Chosen {
            version,
            source: source.clone(),
            fetched,
        };
        self.chosen.insert(name.to_owned(), chosen);
        Ok(true)
    }
}

fn conflict(name: &str, wishes: &[Wish], all: &[Version], reached: Option<&Version>) -> String {
    let asked: Vec<String> = wishes
        .iter()
        .map(|w| format!("{w} asks for {}", plain(&w.dependency.version)))
        .collect();
    let list = |versions: &[&Version]| {
        versions
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let there = match all {
        [] => "there is none at all".to_owned(),
        all => {
            let newest: Vec<&Version> = all.iter().rev().take(8).rev().collect();
            let more = if all.len() > newest.len() { "… " } else { "" };
            format!("there are {more}{}", list(&newest))
        }
    };
    let reached = reached
        .filter(|_| wishes.len() == 1)
        .map(|v| format!(" (a library on the way here asked for {v} at least)"))
        .unwrap_or_default();
    format!(
        "no version of `{name}` suits everybody: {}; {there}{reached}. Ask for another version in `r5flow.toml`, or \
         wait until the library that holds it back has moved on",
        asked.join(", ")
    )
}

/// `^1` as people write it.
fn plain(wanted: &VersionReq) -> String {
    match *wanted == VersionReq::STAR {
        true => "any version".into(),
        false => wanted.to_string(),
    }
}

fn no_circle(project: &Manifest, chosen: &BTreeMap<String, Chosen>) -> Result<(), String> {
    if let Some(own) = project
        .name
        .as_ref()
        .filter(|own| chosen.contains_key(*own))
    {
        return Err(format!(
            "a library is called `{own}`, as this project is; one name is one library, so rename one of the two, or \
             take the circle apart if the project needs itself"
        ));
    }
    let mut done = BTreeSet::new();
    for name in chosen.keys() {
        let mut way = Vec::new();
        walk(name, chosen, &mut way, &mut done)?;
    }
    Ok(())
}

fn walk<'c>(
    name: &'c str,
    chosen: &'c BTreeMap<String, Chosen>,
    way: &mut Vec<&'c str>,
    done: &mut BTreeSet<&'c str>,
) -> Result<(), String> {
    if let Some(at) = way.iter().position(|n| *n == name) {
        let mut circle: Vec<String> = way[at..].iter().map(|n| format!("`{n}`")).collect();
        circle.push(format!("`{name}`"));
        return Err(format!(
            "these libraries need each other in a circle: {}; what they share belongs in a library of its own",
            circle.join(" → ")
        ));
    }
    if done.contains(name) {
        return Ok(());
    }
    way.push(name);
    if let Some(library) = chosen.get(name) {
        for next in library.fetched.manifest.dependencies.keys() {
            walk(next, chosen, way, done)?;
        }
    }
    way.pop();
    done.insert(name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::content::MANIFEST;

    /// Libraries by name: versions with what they depend on.
    struct Made(BTreeMap<&'static str, Vec<(&'static str, &'static str)>>);

    fn git(name: &str) -> String {
        format!("git = \"https://example.com/{name}\"")
    }

    fn needs(wanted: &str) -> String {
        let lines = wanted.split_whitespace().filter_map(|w| w.split_once('@'));
        let lines: String = lines
            .map(|(name, version)| {
                format!("{name} = {{ {}, version = \"{version}\" }}\n", git(name))
            })
            .collect();
        format!("[dependencies]\n{lines}")
    }

    fn project(wanted: &str) -> Manifest {
        Manifest::parse(&needs(wanted)).expect("a manifest")
    }

    impl Shelf for Made {
        fn versions(&self, name: &str, _: &Source) -> Result<Vec<Version>, String> {
            let all = self.0.get(name).ok_or_else(|| format!("no `{name}`"))?;
            Ok(all
                .iter()
                .map(|(v, _)| Version::parse(v).expect("a version"))
                .collect())
        }

        fn fetch(&self, name: &str, _: &Source, version: &Version) -> Result<Fetched, String> {
            let (_, wanted) = self.0[name]
                .iter()
                .find(|(v, _)| *v == version.to_string())
                .expect("it is there");
            let text = format!(
                "name = \"{name}\"\nversion = \"{version}\"\n{}",
                needs(wanted)
            );
            let manifest = Manifest::parse(&text).expect("a manifest");
            let content = Content::new(BTreeMap::from([(MANIFEST.to_owned(), text.into_bytes())]))?;
            Ok(Fetched {
                content,
                manifest,
                tag: None,
                revision: None,
            })
        }
    }

    fn here() -> Here {
        Here {
            r5flow: Version::new(0, 1, 0),
            catalog: BTreeMap::from([("compute".to_owned(), "20250101".to_owned())]),
        }
    }

    fn chosen(made: &Made, wanted: &str, floors: &[(&str, &str)]) -> Result<String, String> {
        let floors = floors
            .iter()
            .map(|(n, v)| ((*n).to_owned(), Version::parse(v).expect("a version")));
        let found = select(&project(wanted), &floors.collect(), &here(), made)
            .map_err(|e| e.to_string())?;
        let list: Vec<String> = found
            .iter()
            .map(|(name, c)| format!("{name} {}", c.version))
            .collect();
        Ok(list.join(", "))
    }

    fn made() -> Made {
        Made(BTreeMap::from([
            ("a", vec![("1.0.0", ""), ("1.1.0", "b@^1.2"), ("2.0.0", "")]),
            (
                "b",
                vec![
                    ("1.0.0", ""),
                    ("1.2.0", ""),
                    ("1.3.0", "c@*"),
                    ("2.0.0", ""),
                ],
            ),
            ("c", vec![("0.1.0", "")]),
            ("d", vec![("1.0.0", "a@^2")]),
            ("x", vec![("1.0.0", "y@^1")]),
            ("y", vec![("1.0.0", "x@^1")]),
        ]))
    }

    #[test]
    fn the_lowest_version_that_everybody_allows_is_taken() {
        let made = made();
        for (wanted, floors, found) in [
            ("a@^1", &[][..], "a 1.0.0"),
            ("a@^1.1", &[], "a 1.1.0, b 1.2.0"),
            ("a@^1.1 b@^1", &[], "a 1.1.0, b 1.2.0"),
            ("a@^1", &[("a", "1.1.0")], "a 1.1.0, b 1.2.0"),
            (
                "a@^1",
                &[("a", "1.1.0"), ("b", "1.3.0")],
                "a 1.1.0, b 1.3.0, c 0.1.0",
            ),
            ("a@^1", &[("a", "2.0.0")], "a 1.0.0"),
            ("", &[], ""),
        ] {
            assert_eq!(
                chosen(&made, wanted, floors).as_deref(),
                Ok(found),
                "{wanted}"
            );
        }
    }

    #[test]
    fn a_conflict_tells_who_asks_for_what_and_what_there_is() {
        let told = chosen(&made(), "a@^1 d@^1", &[]).expect_err("a conflict");
        assert!(
            told.starts_with(
                "no version of `a` suits everybody: this project asks for ^1, `d` 1.0.0 asks for ^2; there are 1.0.0, \
                 1.1.0, 2.0.0"
            ),
            "{told}"
        );
        let told = chosen(&made(), "a@^3", &[]).expect_err("no such version");
        assert!(
            told.contains("this project asks for ^3; there are"),
            "{told}"
        );
    }

    #[test]
    fn a_circle_is_told_from_end_to_end() {
        let told = chosen(&made(), "x@^1", &[]).expect_err("a circle");
        assert!(told.contains("`x` → `y` → `x`"), "{told}");
    }

    #[test]
    fn one_name_is_one_library() {
        let mut project = project("a@^1.1");
        let other = project_with("b = { git = \"https://example.org/b\", version = \"^1\" }");
        project.dependencies.extend(other.dependencies);
        let told = select(&project, &BTreeMap::new(), &here(), &made())
            .expect_err("two of a name")
            .to_string();
        assert!(told.contains("two libraries are called `b`"), "{told}");
        let mut named = self::project("a@^1");
        named.name = Some("a".into());
        let told = select(&named, &BTreeMap::new(), &here(), &made())
            .expect_err("its own name")
            .to_string();
        assert!(told.contains("as this project is"), "{told}");
    }

    fn project_with(line: &str) -> Manifest {
        Manifest::parse(&format!("[dependencies]\n{line}\n")).expect("a manifest")
    }

    #[test]
    fn what_a_library_needs_must_be_here() {
        let needs = |text: &str| {
            let manifest = Manifest::parse(text).expect("a manifest");
            here().serves("a", &Version::new(1, 0, 0), &manifest)
        };
        assert_eq!(
            needs("r5flow = \">=0.1\"\n[catalog]\ncompute = \"20250101\""),
            Ok(())
        );
        for (text, told) in [
            (
                "r5flow = \">=0.2\"",
                "needs r5flow >=0.2, and this is 0.1.0",
            ),
            ("[catalog]\ncompute = \"20250102\"", "is of 20250101"),
            ("[catalog]\nnovel = \"1\"", "which this catalogue lacks"),
        ] {
            let why = needs(text).expect_err("too new");
            assert!(why.contains(told), "{why}");
        }
    }
}
