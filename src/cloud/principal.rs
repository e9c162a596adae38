//! Whose the credentials are, as far as it can be told without a token.

use std::path::Path;
use std::rc::Rc;

use serde_json::Value as Json;

use super::clients::{Clients, read_bounded};
use super::credential_file::impersonated;
use super::exchange::Teller;
use super::http_wire::Settings;
use crate::world::clock::RealClock;

/// The account that requests are made as: the one that `--impersonate` names, or what the file of
/// credentials tells, or the one that the metadata server lends. `None` for gcloud, and for most
/// logins of users.
pub async fn of(settings: &Settings) -> Option<String> {
    if let Some(email) = &settings.impersonate {
        return Some(email.clone());
    }
    if let Some(file) = settings.locations.file() {
        return of_file(file);
    }
    let clients = Clients::new(&settings.authorities).ok()?;
    let teller = Teller::new(
        clients,
        settings.locations.metadata.clone(),
        Rc::new(RealClock),
    );
    teller.metadata_email().await.ok()
}

/// A service account's email; of a federation its provider, since the person behind it is known to
/// the other house only.
pub(super) fn of_file(file: &Path) -> Option<String> {
    let json: Json = serde_json::from_slice(&read_bounded(file).ok()?).ok()?;
    let text = |field: &str| json.get(field)?.as_str().filter(|t| !t.is_empty());
    text("service_account_impersonation_url")
        .map(|url| impersonated(url).unwrap_or(url))
        .or_else(|| text("client_email"))
        .or_else(|| text("account"))
        .or_else(|| text("audience"))
        .map(str::to_owned)
}
