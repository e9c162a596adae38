//! Records as a catalogue file holds them: facts of the discovery document, without its prose.
//!
//! Short keys and left-out defaults keep them small. What r5flow itself adds (settle classes, units,
//! list kinds) is not stored: it is derived when a record is decoded, see [`super::rules`].

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct MethodRecord {
    #[serde(rename = "v")]
    pub verb: String,
    #[serde(rename = "p")]
    pub path: String,
    #[serde(rename = "a", default, skip_serializing_if = "is_default")]
    pub params: Vec<ParamRecord>,
    #[serde(rename = "q", default, skip_serializing_if = "is_default")]
    pub request: Option<String>,
    #[serde(rename = "r", default, skip_serializing_if = "is_default")]
    pub response: Option<String>,
    #[serde(rename = "i", default, skip_serializing_if = "is_default")]
    pub page_items: Option<String>,
    #[serde(rename = "d", default, skip_serializing_if = "is_default")]
    pub deprecated: bool,
    #[serde(rename = "u", default, skip_serializing_if = "is_default")]
    pub media_upload: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ParamRecord {
    #[serde(rename = "n")]
    pub name: String,
    #[serde(rename = "h", default, skip_serializing_if = "is_default")]
    pub in_path: bool,
    #[serde(rename = "R", default, skip_serializing_if = "is_default")]
    pub required: bool,
    #[serde(rename = "L", default, skip_serializing_if = "is_default")]
    pub repeated: bool,
    #[serde(flatten)]
    pub field: FieldRecord,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct FieldRecord {
    #[serde(rename = "t", default, skip_serializing_if = "is_default")]
    pub kind: KindCode,
    #[serde(rename = "f", default, skip_serializing_if = "is_default")]
    pub format: Option<String>,
    #[serde(rename = "m", default, skip_serializing_if = "is_default")]
    pub pattern: Option<String>,
    #[serde(rename = "v_", default, skip_serializing_if = "is_default")]
    pub values: Vec<String>,
    /// Positions in `values`.
    #[serde(rename = "x", default, skip_serializing_if = "is_default")]
    pub deprecated_values: Vec<u32>,
    #[serde(rename = "l", default, skip_serializing_if = "is_default")]
    pub min: Option<String>,
    #[serde(rename = "g", default, skip_serializing_if = "is_default")]
    pub max: Option<String>,
    #[serde(rename = "D", default, skip_serializing_if = "is_default")]
    pub default: Option<Json>,
    #[serde(rename = "k", default, skip_serializing_if = "is_default")]
    pub flags: u32,
    /// The name of a schema.
    #[serde(rename = "s", default, skip_serializing_if = "is_default")]
    pub schema: Option<String>,
    /// The element of a list or map.
    #[serde(rename = "e", default, skip_serializing_if = "is_default")]
    pub element: Option<Box<FieldRecord>>,
    #[serde(rename = "o", default, skip_serializing_if = "is_default")]
    pub fields: IndexMap<String, FieldRecord>,
    #[serde(rename = "w", default, skip_serializing_if = "is_default")]
    pub required_for: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum KindCode {
    #[default]
    #[serde(rename = "s")]
    String,
    #[serde(rename = "b")]
    Bool,
    #[serde(rename = "i")]
    Int32,
    #[serde(rename = "u")]
    Uint32,
    #[serde(rename = "I")]
    Int64,
    #[serde(rename = "U")]
    Uint64,
    #[serde(rename = "n")]
    Number,
    #[serde(rename = "a")]
    Any,
    #[serde(rename = "L")]
    List,
    #[serde(rename = "M")]
    Map,
    #[serde(rename = "r")]
    Schema,
    #[serde(rename = "o")]
    Object,
}

pub(super) mod flag {
    pub const OUTPUT_ONLY: u32 = 1;
    pub const INPUT_ONLY: u32 = 2;
    pub const IMMUTABLE: u32 = 4;
    pub const REQUIRED: u32 = 8;
    pub const DEPRECATED: u32 = 16;
    pub const REFERENCE: u32 = 32;
}
