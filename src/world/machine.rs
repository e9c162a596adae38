//! Which machine and process this is, for locks, journals and their messages.

use serde::{Deserialize, Serialize};

/// Identifies this process among all that may ever open the same state directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Stable over reboots; the host's name where the system keeps no machine id.
    pub id: String,
    pub host: String,
    /// Changes with every boot; empty where the system does not tell.
    pub boot_id: String,
    pub pid: u32,
}

impl Machine {
    /// This machine and process, as the system tells it.
    pub fn here() -> Self {
        let host = first_text(&["/proc/sys/kernel/hostname", "/etc/hostname"])
            .or_else(|| std::env::var("HOSTNAME").ok())
            .or_else(|| std::env::var("COMPUTERNAME").ok())
            .unwrap_or_else(|| "localhost".into());
        Machine {
            id: first_text(&["/etc/machine-id", "/var/lib/dbus/machine-id"])
                .unwrap_or_else(|| host.clone()),
            boot_id: first_text(&["/proc/sys/kernel/random/boot_id"]).unwrap_or_default(),
            pid: std::process::id(),
            host,
        }
    }
}

fn first_text(paths: &[&str]) -> Option<String> {
    paths
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .map(|text| text.trim().to_owned())
        .find(|text| !text.is_empty())
}
