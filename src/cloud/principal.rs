//! Whose the credentials are, as their file tells it; nobody is asked.

use std::path::{Path, PathBuf};

/// The account of the key file that `GOOGLE_APPLICATION_CREDENTIALS` names, or of the user's
/// application default login. `None` where no file tells it: the metadata server, gcloud, most
/// logins of users.
pub fn of_environment() -> Option<String> {
    let file = match std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS") {
        Some(file) => PathBuf::from(file),
        None => {
            let folder = match std::env::var_os("CLOUDSDK_CONFIG") {
                Some(folder) => PathBuf::from(folder),
                None => PathBuf::from(std::env::var_os("HOME")?).join(".config/gcloud"),
            };
            folder.join("application_default_credentials.json")
        }
    };
    of_file(&file)
}

fn of_file(file: &Path) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    ["client_email", "account"]
        .iter()
        .filter_map(|field| json.get(field)?.as_str())
        .find(|account| !account.is_empty())
        .map(str::to_owned)
}
