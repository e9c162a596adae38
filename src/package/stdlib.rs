//! The standard library, as part of the binary.

/// Every module by the path that finds it, with its text.
pub const STDLIB: &[(&str, &str)] = &[(
    "stdlib/red5/stream_manager.r5flow",
    include_str!("../../stdlib/red5/stream_manager.r5flow"),
)];

#[cfg(test)]
mod tests {
    use super::STDLIB;

    /// A file that nobody lists would silently not be shipped.
    #[test]
    fn every_file_of_the_folder_is_listed() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
        let mut found = Vec::new();
        let mut folders = vec![std::path::PathBuf::from(root).join("stdlib")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("stdlib is readable") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let path = path.to_string_lossy();
                    found.push(path.strip_prefix(root).expect("below the root").to_owned());
                }
            }
        }
        found.sort();
        let listed: Vec<&str> = STDLIB.iter().map(|(name, _)| *name).collect();
        assert_eq!(found, listed);
    }
}
