//! Where a module stands: beside the one that uses it, in a library, or in the standard library.
//!
//! A module of a library has a path of its own kind, `lib:NAME/…`, which no file has. It is the same for
//! every version and on every machine, so that a run finds the texts again that it stored.

use std::path::{Component, Path, PathBuf};

/// How the path of a library's module begins.
const LIBRARY: &str = "lib:";

/// The path of a file in a library.
pub fn in_library(library: &str, file: &str) -> String {
    format!("{LIBRARY}{library}/{file}")
}

/// The library, and the file in it, that a path names.
pub fn library(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix(LIBRARY)?.split_once('/')
}

/// A path relative to the folder of `from`, without `.` and needless `..`; `None` when it leaves the
/// library of `from`, or leads into one.
pub fn beside(from: &str, relative: &str) -> Option<String> {
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
    let clean = clean.to_string_lossy().into_owned();
    let package = |path: &str| library(path).map(|(name, _)| name.to_owned());
    let stays = package(from) == package(&clean)
        && (package(&clean).is_some() || !clean.starts_with(LIBRARY));
    stays.then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_relative_to_the_file_that_names_it() {
        let cases = [
            ("a/b.r5flow", "./c.r5flow", Some("a/c.r5flow")),
            ("a/b.r5flow", "../c.r5flow", Some("c.r5flow")),
            ("b.r5flow", "../../c.r5flow", Some("../../c.r5flow")),
            ("/a/b.r5flow", "../c.r5flow", Some("/c.r5flow")),
            ("lib:x/a/b.r5flow", "../c.rhai", Some("lib:x/c.rhai")),
        ];
        for (from, relative, found) in cases {
            assert_eq!(
                beside(from, relative).as_deref(),
                found,
                "{from} {relative}"
            );
        }
    }

    #[test]
    fn no_path_leaves_a_library_and_none_leads_into_one() {
        let leaving = [
            ("lib:x/b.r5flow", "../c.r5flow"),
            ("lib:x/a/b.r5flow", "../../../etc/passwd"),
            ("lib:x/b.r5flow", "/etc/passwd"),
            ("lib:x/b.r5flow", "../lib:y/c.r5flow"),
            ("lib:x/b.r5flow", ".."),
            ("b.r5flow", "lib:x/c.rhai"),
            ("a/b.r5flow", "../lib:x/c.rhai"),
            ("a/b.r5flow", "../lib:x"),
        ];
        for (from, relative) in leaving {
            assert_eq!(beside(from, relative), None, "{from} {relative}");
        }
    }
}
