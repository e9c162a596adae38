//! How calls are taken back.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::wire::Request;

/// What takes one call back. Everything in it is known when it is recorded, so that a rollback needs
/// no flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// What the call created is deleted, if it is still the same resource: the requests that read and
    /// delete it by its name.
    Delete { get: Request, delete: Request },
    /// The fields that the call wrote get the values that they had; null where there was none. `get`
    /// reads the resource.
    Restore { get: Request, fields: Json },
    /// What the flow says.
    Request { request: Request },
    /// The flow protects the resource: it stays.
    Protected,
}
