//! Copies of libraries on this machine: a folder, the project's own copies, the cache.
//!
//! The cache holds one file for each content, called by its hash. A copy is only as good as its hash says,
//! every time it is used.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::scratch::Scratch;
use crate::package::LARGEST;
use crate::package::content::{self, Content, Entry, Kind, MOST_BYTES, MOST_ENTRIES};

/// Where a project keeps copies of its libraries, for machines that reach nobody.
pub const VENDOR: &str = "vendor/r5flow";

/// What a folder holds; names that begin with a dot are left out.
///
/// # Errors
/// It cannot be read, or is no library.
pub fn folder(path: &Path) -> Result<Content, String> {
    let unread =
        |path: &Path, e: std::io::Error| format!("`{}` cannot be read: {e}", path.display());
    let mut entries = Vec::new();
    let mut open = vec![(path.to_owned(), String::new())];
    while let Some((folder, prefix)) = open.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|e| unread(&folder, e))? {
            let entry = entry.map_err(|e| unread(&folder, e))?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let meta =
                std::fs::symlink_metadata(entry.path()).map_err(|e| unread(&entry.path(), e))?;
            let name = format!("{prefix}{name}");
            let kind = match meta.file_type() {
                kind if kind.is_symlink() => Kind::Link,
                kind if kind.is_file() => Kind::File,
                _ => Kind::Other,
            };
            match meta.is_dir() {
                true => open.push((entry.path(), format!("{name}/"))),
                false => entries.push(Entry {
                    path: name,
                    kind,
                    bytes: meta.len(),
                }),
            }
            if entries.len() + open.len() > MOST_ENTRIES {
                return Err(format!("it has more than {MOST_ENTRIES} files"));
            }
        }
    }
    let mut files = BTreeMap::new();
    for at in content::belonging(&entries)? {
        let name = entries[at].path.clone();
        let file = path.join(&name);
        let bytes = bounded(&file, LARGEST as u64 + 1).map_err(|e| unread(&file, e))?;
        files.insert(name, bytes);
    }
    Content::new(files)
}

fn bounded(file: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)?
        .take(most)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The file of the cache for a content.
#[derive(Serialize, Deserialize)]
struct Packed {
    r5flow_library: u32,
    files: BTreeMap<String, String>,
}

const FORMAT: u32 = 1;

fn file_of(cache: &Path, hash: &str) -> PathBuf {
    cache
        .join("libraries")
        .join(format!("{}.json", hash.trim_start_matches("blake3:")))
}

/// The content with this hash, when the cache has it.
///
/// # Errors
/// What stands there is something else.
pub fn cached(cache: &Path, hash: &str) -> Result<Option<Content>, String> {
    let file = file_of(cache, hash);
    let bytes = match bounded(&file, 2 * MOST_BYTES as u64 + LARGEST as u64) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(format!("`{}` cannot be read: {e}", file.display())),
    };
    let packed: Result<Packed, _> = serde_json::from_slice(&bytes);
    let content = packed
        .ok()
        .filter(|p| p.r5flow_library == FORMAT)
        .and_then(|packed| {
            let files = packed
                .files
                .into_iter()
                .map(|(name, text)| (name, text.into_bytes()));
            Content::new(files.collect()).ok()
        });
    match content.filter(|content| content.hash() == hash) {
        Some(content) => Ok(Some(content)),
        None => Err(format!(
            "the copy in the cache was changed, and is not what was locked. Remove `{}`; it is fetched again",
            file.display()
        )),
    }
}

/// Puts a content into the cache.
///
/// # Errors
/// The cache cannot be written.
pub fn keep(cache: &Path, content: &Content) -> Result<(), String> {
    let packed = Packed {
        r5flow_library: FORMAT,
        files: content.files().clone(),
    };
    let text = serde_json::to_string(&packed).map_err(|e| e.to_string())?;
    let file = file_of(cache, &content.hash());
    let folder = cache.join("libraries");
    std::fs::create_dir_all(&folder)
        .map_err(|e| format!("`{}` cannot be made: {e}", folder.display()))?;
    replaced(&file, &Scratch::new(cache)?.path("copy"), &text)
}

/// Writes a file as a whole: nobody ever sees a part of it.
///
/// # Errors
/// It cannot be written.
pub fn written(file: &Path, text: &str) -> Result<(), String> {
    let fresh = file.with_extension(format!("{}.new", super::random_name()));
    replaced(file, &fresh, text)
}

fn replaced(file: &Path, fresh: &Path, text: &str) -> Result<(), String> {
    let done = std::fs::write(fresh, text).and_then(|()| std::fs::rename(fresh, file));
    done.map_err(|e| {
        let _ = std::fs::remove_file(fresh);
        format!("`{}` cannot be written: {e}", file.display())
    })
}

/// The project's own copy of a library, when it keeps copies.
///
/// # Errors
/// It is not what is locked.
pub fn vendored(root: &Path, name: &str, hash: &str) -> Result<Option<Content>, String> {
    let path = root.join(VENDOR).join(name);
    if std::fs::symlink_metadata(&path).is_err() {
        return Ok(None);
    }
    real(root, &path)?;
    let content = folder(&path).map_err(|why| format!("`{}`: {why}", path.display()))?;
    match content.hash() == hash {
        true => Ok(Some(content)),
        false => Err(format!(
            "the copy in `{}` is not what `r5flow.lock` says: somebody changed it, or the lock moved on. \
             `r5flow lib vendor` writes it anew",
            path.display()
        )),
    }
}

/// Writes the project's own copies, and removes those of libraries that it needs no more.
///
/// # Errors
/// They cannot be written, or would leave the project.
pub fn vendor(root: &Path, libraries: &BTreeMap<String, Content>) -> Result<(), String> {
    let home = root.join(VENDOR);
    real(root, &home)?;
    let failed =
        |path: &Path, e: std::io::Error| format!("`{}` cannot be written: {e}", path.display());
    if home.exists() {
        std::fs::remove_dir_all(&home).map_err(|e| failed(&home, e))?;
    }
    for (name, content) in libraries {
        for (file, text) in content.files() {
            let path = home.join(name).join(file);
            let folder = path.parent().unwrap_or(&home);
            std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
            std::fs::write(&path, text).map_err(|e| failed(&path, e))?;
        }
    }
    if libraries.is_empty() {
        return Ok(());
    }
    // The hash is of bytes: no git may change the ends of lines.
    let attributes = home.join(".gitattributes");
    std::fs::write(&attributes, "* -text\n").map_err(|e| failed(&attributes, e))
}

/// No part of the way from the project to this place may be a link that leads elsewhere.
fn real(root: &Path, path: &Path) -> Result<(), String> {
    let mut here = root.to_owned();
    for part in path.strip_prefix(root).unwrap_or(path).components() {
        here.push(part);
        if std::fs::symlink_metadata(&here).is_ok_and(|meta| meta.is_symlink()) {
            return Err(format!(
                "`{}` is a symbolic link, and copies of libraries stay in the project",
                here.display()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &str) -> Content {
        let manifest = "name = \"a\"\nversion = \"1.0.0\"\n";
        let files = [("r5flow.toml", manifest), ("x/m.r5flow", text)];
        let files = files
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        Content::new(files.collect()).expect("a content")
    }

    #[test]
    fn a_copy_is_as_good_as_its_hash() {
        let cache = tempfile::tempdir().expect("a folder");
        let content = content("let a = 1\n");
        let hash = content.hash();
        assert_eq!(cached(cache.path(), &hash), Ok(None));
        keep(cache.path(), &content).expect("kept");
        assert_eq!(cached(cache.path(), &hash), Ok(Some(content)));
        let file = file_of(cache.path(), &hash);
        let text = std::fs::read_to_string(&file).expect("a text");
        for bad in [
            text.replace("a = 1", "a = 2"),
            text[..text.len() / 2].to_owned(),
            text.replace("x/m", "../m"),
            "{}".into(),
        ] {
            std::fs::write(&file, bad).expect("written");
            let why = cached(cache.path(), &hash).expect_err("changed");
            assert!(why.contains("was changed"), "{why}");
        }
    }

    #[test]
    fn the_project_s_own_copies_are_what_is_locked() {
        let root = tempfile::tempdir().expect("a folder");
        let content = content("let a = 1\n");
        let hash = content.hash();
        vendor(
            root.path(),
            &BTreeMap::from([("a".to_owned(), content.clone())]),
        )
        .expect("copies");
        assert_eq!(vendored(root.path(), "a", &hash), Ok(Some(content)));
        assert_eq!(vendored(root.path(), "b", &hash), Ok(None));
        std::fs::write(root.path().join(VENDOR).join("a/more.r5flow"), "").expect("a file");
        assert!(vendored(root.path(), "a", &hash).is_err());
        vendor(root.path(), &BTreeMap::new()).expect("none");
        assert!(!root.path().join(VENDOR).exists());
    }

    #[cfg(unix)]
    #[test]
    fn copies_never_leave_the_project_by_a_link() {
        let root = tempfile::tempdir().expect("a folder");
        let elsewhere = tempfile::tempdir().expect("a folder");
        std::fs::write(elsewhere.path().join("precious"), "").expect("a file");
        std::os::unix::fs::symlink(elsewhere.path(), root.path().join("vendor")).expect("a link");
        let all = BTreeMap::from([("a".to_owned(), content(""))]);
        let why = vendor(root.path(), &all).expect_err("a link");
        assert!(why.contains("symbolic link"), "{why}");
        assert_eq!(
            std::fs::read_dir(elsewhere.path())
                .expect("a folder")
                .count(),
            1
        );
    }
}
