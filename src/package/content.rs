//! What a library holds: its manifest, its modules, its hooks. Nothing else of its folder counts.
//!
//! A library is a set of texts under plain names, and its hash is made of just these. The names are never
//! trusted to be harmless: what a name may be is decided here, for every way on which a library comes.

use std::collections::BTreeMap;

use super::LARGEST;

/// The file that says what a library is.
pub const MANIFEST: &str = "r5flow.toml";
/// So many modules and hooks one library may have.
pub const MOST_FILES: usize = 1000;
/// So many bytes they may have together.
pub const MOST_BYTES: usize = 16 << 20;
/// So many files of any kind may stand in its folder.
pub const MOST_ENTRIES: usize = 50_000;

/// Something in the folder of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the folder, with `/`.
    pub path: String,
    pub kind: Kind,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    /// A symbolic link.
    Link,
    /// Another repository inside of this one.
    Submodule,
    /// A pipe, a device: reading it may have no end.
    Other,
}

/// Which of the entries belong to the library, by their places in the list.
///
/// # Errors
/// Something that no library may hold, for people.
pub fn belonging(entries: &[Entry]) -> Result<Vec<usize>, String> {
    if entries.len() > MOST_ENTRIES {
        return Err(format!(
            "it has more than {MOST_ENTRIES} files; name the folder in it that is the library"
        ));
    }
    let mut found = Vec::new();
    let mut bytes = 0u64;
    for (at, entry) in entries.iter().enumerate() {
        let path = &entry.path;
        let parts: Vec<&str> = path.split('/').collect();
        if parts.iter().any(|part| is_hostile(part)) {
            return Err(format!(
                "`{}` is no name for a file of a library",
                path.escape_debug()
            ));
        }
        if parts.iter().any(|part| part.starts_with('.')) {
            continue;
        }
        match entry.kind {
            Kind::Link => {
                return Err(format!(
                    "`{path}` is a symbolic link, and a library holds plain files only"
                ));
            }
            Kind::Submodule => {
                return Err(format!(
                    "`{path}` is a submodule, and a library holds plain files only"
                ));
            }
            Kind::Other if belongs(path) => {
                return Err(format!(
                    "`{path}` is no plain file, and a library holds plain files only"
                ));
            }
            Kind::File if belongs(path) => {}
            Kind::File | Kind::Other => continue,
        }
        if entry.bytes > LARGEST as u64 {
            return Err(format!("`{path}` is larger than {} MiB", LARGEST >> 20));
        }
        bytes += entry.bytes;
        found.push(at);
    }
    if found.len() > MOST_FILES {
        return Err(format!(
            "it has {} modules and hooks, and {MOST_FILES} are the most",
            found.len()
        ));
    }
    if bytes > MOST_BYTES as u64 {
        return Err(format!(
            "its modules and hooks are larger than {} MiB together",
            MOST_BYTES >> 20
        ));
    }
    Ok(found)
}

/// A name that would be another place than it looks like on some machine.
fn is_hostile(part: &str) -> bool {
    part.is_empty()
        || part == "."
        || part == ".."
        || part.eq_ignore_ascii_case(".git")
        || part.contains(['\\', ':', '\0'])
}

fn belongs(path: &str) -> bool {
    let copies = path.starts_with("vendor/");
    path == MANIFEST || !copies && (path.ends_with(".r5flow") || path.ends_with(".rhai"))
}

/// The texts of a library, by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    files: BTreeMap<String, String>,
}

impl Content {
    /// # Errors
    /// A name or a size that no library may have, or bytes that are no text.
    pub fn new(files: BTreeMap<String, Vec<u8>>) -> Result<Content, String> {
        let entries: Vec<Entry> = files
            .iter()
            .map(|(path, bytes)| Entry {
                path: path.clone(),
                kind: Kind::File,
                bytes: bytes.len() as u64,
            })
            .collect();
        belonging(&entries)?;
        let mut folded: BTreeMap<String, String> = BTreeMap::new();
        let mut texts = BTreeMap::new();
        for (path, bytes) in files {
            plain(&path)?;
            alone(&path, &mut folded)?;
            let text = String::from_utf8(bytes).map_err(|_| format!("`{path}` is not text"))?;
            texts.insert(path, text);
        }
        match texts.contains_key(MANIFEST) {
            true => Ok(Content { files: texts }),
            false => Err(format!("it has no `{MANIFEST}`")),
        }
    }

    pub fn get(&self, file: &str) -> Option<&str> {
        self.files.get(file).map(String::as_str)
    }

    pub fn files(&self) -> &BTreeMap<String, String> {
        &self.files
    }

    /// The modules, as they are named in a manifest: without their ending.
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        self.files
            .keys()
            .filter_map(|path| path.strip_suffix(".r5flow"))
    }

    /// What it is called by: a digest of all names and texts.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (path, text) in &self.files {
            for part in [path, text] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
        format!("blake3:{}", hasher.finalize().to_hex())
    }
}

/// Names that stand for devices on Windows, with any ending.
const DEVICES: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8",
    "com9", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// Letters, digits, `_`, `-` and `.`: the same name on every file system.
fn plain(path: &str) -> Result<(), String> {
    let fits = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        part.chars().all(known) && !part.starts_with('.') && !part.ends_with('.')
    };
    let stem = |part: &str| part.split('.').next().unwrap_or_default().to_lowercase();
    if let Some(part) = path.split('/').find(|part| DEVICES.contains(&&*stem(part))) {
        return Err(format!(
            "`{path}` is no name for a file of a library: `{part}` is a device on Windows"
        ));
    }
    match path.split('/').all(fits) && belongs(path) {
        true => Ok(()),
        false => Err(format!(
            "`{}` is no name for a file of a library: letters, digits, `_`, `-` and `.` are",
            path.escape_debug()
        )),
    }
}

/// No two names, of folders either, may differ in capital letters only.
fn alone(path: &str, folded: &mut BTreeMap<String, String>) -> Result<(), String> {
    let ends = path
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([path.len()]);
    for end in ends {
        let name = &path[..end];
        let first = folded
            .entry(name.to_lowercase())
            .or_insert_with(|| name.to_owned());
        if first != name {
            return Err(format!(
                "`{first}` and `{name}` differ in capital letters only, which some file systems cannot tell apart"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> Entry {
        Entry {
            path: path.into(),
            kind: Kind::File,
            bytes: 1,
        }
    }

    fn content(paths: &[&str]) -> Result<Content, String> {
        let files = paths.iter().map(|path| ((*path).to_owned(), b"x".to_vec()));
        Content::new(files.chain([(MANIFEST.to_owned(), Vec::new())]).collect())
    }

    #[test]
    fn modules_hooks_and_the_manifest_belong() {
        let paths = [
            "README.md",
            "a.r5flow",
            "b/c.rhai",
            "r5flow.toml",
            "b/r5flow.toml",
            ".github/x.r5flow",
            "vendor/a.r5flow",
        ];
        let entries: Vec<Entry> = paths.into_iter().map(entry).collect();
        assert_eq!(belonging(&entries), Ok(vec![1, 2, 3]));
    }

    #[test]
    fn links_submodules_and_names_that_lead_elsewhere_are_refused() {
        for path in [
            "../a.r5flow",
            "a/../../b",
            "/etc/passwd",
            ".git/config",
            "a/.GIT/hooks/x",
            "a\\b.r5flow",
            "c:x.r5flow",
            "a//b",
        ] {
            assert!(belonging(&[entry(path)]).is_err(), "{path}");
        }
        for (kind, word) in [
            (Kind::Link, "symbolic link"),
            (Kind::Submodule, "submodule"),
            (Kind::Other, "no plain file"),
        ] {
            let entry = Entry {
                kind,
                ..entry("a.r5flow")
            };
            let why = belonging(&[entry]).expect_err("no such thing");
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn sizes_and_numbers_are_bounded() {
        let large = Entry {
            bytes: LARGEST as u64 + 1,
            ..entry("a.r5flow")
        };
        assert!(
            belonging(&[large])
                .expect_err("too large")
                .contains("larger than 4 MiB")
        );
        let many: Vec<Entry> = (0..=MOST_FILES)
            .map(|n| entry(&format!("{n}.r5flow")))
            .collect();
        assert!(
            belonging(&many)
                .expect_err("too many")
                .contains("1000 are the most")
        );
        let heavy: Vec<Entry> = (0..5)
            .map(|n| Entry {
                bytes: LARGEST as u64,
                ..entry(&format!("{n}.r5flow"))
            })
            .collect();
        assert!(
            belonging(&heavy)
                .expect_err("too heavy")
                .contains("16 MiB together")
        );
    }

    #[test]
    fn names_that_differ_in_case_only_are_refused() {
        for pair in [["a.r5flow", "A.r5flow"], ["lib/a.r5flow", "Lib/b.r5flow"]] {
            let why = content(&pair).expect_err("two names");
            assert!(why.contains("capital letters"), "{why}");
        }
        for path in ["ä.r5flow", "aux.r5flow", "hooks/NUL.rhai", "com1/a.r5flow"] {
            assert!(content(&[path]).is_err(), "{path}");
        }
        assert!(content(&["a.txt"]).is_err());
    }

    #[test]
    fn the_hash_is_of_names_and_texts() {
        let hash = |paths: &[&str]| content(paths).expect("a content").hash();
        assert_eq!(
            hash(&["a.r5flow", "b.r5flow"]),
            hash(&["b.r5flow", "a.r5flow"])
        );
        assert_ne!(hash(&["a.r5flow"]), hash(&["b.r5flow"]));
        assert!(hash(&[]).starts_with("blake3:"));
    }
}
