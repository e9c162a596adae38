//! What an edit, or a wish to do steps again, makes of what was recorded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::event::Address;

/// One edit of a run: the same verdicts hold for every process after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edited {
    pub by: String,
    /// The flow from now on; `None` when only steps are done again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What becomes of recorded steps. With a new source, what is not named here is forgotten;
    /// without one, it stays.
    pub steps: Vec<CarriedOver>,
}

/// A flow as it was read anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Every text of the program by its path.
    pub program: BTreeMap<String, String>,
    pub inputs: BTreeMap<String, Json>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Revision of each service's description.
    pub catalog: BTreeMap<String, String>,
}

/// What becomes of one recorded step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedOver {
    pub from: Address,
    /// Where its record counts from now on; `None`: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Address>,
    pub verdict: EditVerdict,
    /// Whether it is done again, and who says so. An open call is settled first in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Again>,
    /// What it meant when it was done, where that must be compared once more when it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meant: Option<Meaning>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Again {
    /// Its text, or what it stands on, changed.
    Edited,
    /// A person asked for it.
    Asked,
}

/// What an edit makes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EditVerdict {
    /// Its record stands.
    Keep,
    /// Nothing of it is recorded, or nothing that took effect.
    New,
    /// The resource is changed in place.
    Update,
    /// It is done again.
    Redo,
    /// The flow has it no more, and what it made stays in the cloud.
    Orphaned,
    /// The flow has it no more, and it left nothing.
    Forgotten,
    /// Only a person can say what is meant.
    Decide,
}

impl EditVerdict {
    pub fn as_str(self) -> &'static str {
        match self {
            EditVerdict::Keep => "keep",
            EditVerdict::New => "new",
            EditVerdict::Update => "update",
            EditVerdict::Redo => "redo",
            EditVerdict::Orphaned => "orphaned",
            EditVerdict::Forgotten => "forgotten",
            EditVerdict::Decide => "decide",
        }
    }
}

/// What a step asks for, with all its values: equal meanings need no second doing.
///
/// Order, layout, names of `let`s, `after`, `timeout`, `retry` and credentials are no part of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meaning {
    /// `ensure compute.images`, `call compute.instances.stop`, `read …`, `http POST`, `approve`.
    pub kind: String,
    /// What it is about: the request line that reads or makes it, a hook's name.
    pub target: String,
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub body: Json,
    /// Conditions around it, as written: a change of one is told, and undoes nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub guards: String,
    /// The resources that target or body name, each with its incarnation: the same name with
    /// another incarnation is another thing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refs: BTreeMap<String, String>,
}
