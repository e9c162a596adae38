//! The standard library, as part of the binary.

/// A module by the path that finds it, with its text.
macro_rules! modules {
    ($($path:literal),* $(,)?) => {
        &[$((concat!("stdlib/", $path), include_str!(concat!("../../stdlib/", $path)))),*]
    };
}

/// Every module of the standard library.
pub const STDLIB: &[(&str, &str)] = modules![
    "gcp/group.r5flow",
    "gcp/machine.r5flow",
    "gcp/network.r5flow",
    "gcp/quotas.r5flow",
    "gcp/safe_delete.r5flow",
    "gcp/services.r5flow",
    "policies/gcp.r5flow",
    "policies/red5.r5flow",
    "red5/backup.r5flow",
    "red5/blue_green.r5flow",
    "red5/build.r5flow",
    "red5/certificate.r5flow",
    "red5/database.r5flow",
    "red5/dns.r5flow",
    "red5/group.r5flow",
    "red5/health.r5flow",
    "red5/image.r5flow",
    "red5/load_balancer.r5flow",
    "red5/node.r5flow",
    "red5/node_group.r5flow",
    "red5/preflight.r5flow",
    "red5/prerequisites.r5flow",
    "red5/rollout.r5flow",
    "red5/scaling.r5flow",
    "red5/stream_manager.r5flow",
    "red5/stream_manager_2.r5flow",
    "red5/template.r5flow",
];

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
