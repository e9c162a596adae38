//! What the catalogue knows about a service, its methods, its types and its collections.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::full_name::FullName;
use crate::wire::Verb;

/// One service as its discovery document introduces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceInfo {
    /// As flows write it: `compute`, `sqladmin`.
    pub name: Arc<str>,
    pub version: Arc<str>,
    /// The day of the document: `20261106`.
    pub revision: Arc<str>,
    pub title: Arc<str>,
    /// With a slash at its end: `https://compute.googleapis.com/`.
    pub root_url: Arc<str>,
    /// Stands before every path of the service, which [`Method::path`] includes already: `compute/v1/`.
    pub service_path: Arc<str>,
    /// Where batches go, below the root: `batch/compute/v1`.
    pub batch_path: Arc<str>,
    pub methods: u32,
    pub schemas: u32,
}

/// A type of one service. Displays as `compute.BackendService`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId {
    pub service: Arc<str>,
    pub name: Arc<str>,
}

impl SchemaId {
    pub fn new(service: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        SchemaId {
            service: service.into(),
            name: name.into(),
        }
    }

    /// Reads `compute.BackendService`; the service is what stands before the first dot.
    pub fn parse(text: &str) -> Option<Self> {
        let (service, name) = text.split_once('.')?;
        Some(SchemaId::new(service, name))
    }
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service, self.name)
    }
}

/// One method of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// `compute.images.insert`
    pub id: Arc<str>,
    pub service: Arc<str>,
    /// `compute.images`
    pub collection: Arc<str>,
    /// `insert`
    pub name: Arc<str>,
    pub verb: Verb,
    /// The template below the service's root: `compute/v1/projects/{project}/global/images`.
    /// `{+name}` keeps the slashes of its value.
    pub path: Arc<str>,
    /// Path parameters in the order of the path, then the query parameters by name.
    pub params: Vec<Param>,
    pub request: Option<SchemaId>,
    pub response: Option<SchemaId>,
    /// Whether it certainly changes nothing, whatever its verb is.
    pub reads: bool,
    pub request_id: Option<RequestId>,
    pub operation: OperationStyle,
    pub settle: SettleClass,
    pub page: Option<Page>,
    pub deprecated: bool,
    pub media_upload: bool,
}

impl Method {
    pub fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|p| &*p.name == name)
    }

    /// Whether it removes something: `delete`, `deleteInstances`, every DELETE.
    pub fn destroys(&self) -> bool {
        self.verb == Verb::Delete || self.name.starts_with("delete")
    }

    pub fn path_params(&self) -> impl Iterator<Item = &Param> {
        self.params.iter().filter(|p| p.place == Place::Path)
    }

    pub fn query_params(&self) -> impl Iterator<Item = &Param> {
        self.params.iter().filter(|p| p.place == Place::Query)
    }

    /// Names that are no parameters, but parts of one that is a full resource name: `location` of
    /// `parent`. They are legal arguments, and `at` may give them.
    pub fn parts(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = Vec::new();
        for full in self.params.iter().filter_map(|p| p.full_name.as_ref()) {
            for name in full.values() {
                if self.param(name).is_none() && !names.contains(name) {
                    names.push(Arc::clone(name));
                }
            }
        }
        names
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Path,
    Query,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    pub name: Arc<str>,
    pub place: Place,
    pub required: bool,
    /// May stand several times in the query; then its value is a list.
    pub repeated: bool,
    pub kind: Kind,
    pub default: Option<Json>,
    pub deprecated: bool,
    /// For a `{+name}` parameter: how its value is put together.
    pub full_name: Option<Arc<FullName>>,
}

/// A parameter that marks a request, so that a repetition can be told from a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestId {
    /// A repetition under the same id is ignored and answered with the first one's operation.
    Replay(Arc<str>),
    /// A repetition under the same id is an error, which says that the first one arrived.
    Unique(Arc<str>),
}

impl RequestId {
    pub fn param(&self) -> &Arc<str> {
        match self {
            RequestId::Replay(name) | RequestId::Unique(name) => name,
        }
    }
}

/// Where the operations of a Compute Engine method live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationScope {
    Zone,
    Region,
    Global,
    /// `locations/global/operations`: methods on folders and organizations.
    Organization,
}

/// How one learns that an accepted request has taken effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationStyle {
    /// The answer is the result.
    None,
    /// Compute Engine's operation; `wait` blocks for up to two minutes. What the operation itself
    /// says (`zone`, `region`) is stronger than the scope given here.
    Compute(OperationScope),
    /// Polled with `sqladmin.operations.get`.
    Sql,
    /// google.longrunning: `done`, then `error` or `response`.
    LongRunning { get: Arc<str> },
    /// Kubernetes Engine: `status` is `DONE`, `error` says why not.
    Container { get: Arc<str> },
    /// Cloud DNS: `status` goes from `pending` to `done`.
    Dns { get: Arc<str> },
}

/// How a request whose answer is unknown is settled (docs/settle-classes.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SettleClass {
    /// Changes nothing: ask again.
    Reads,
    /// Carries a request id; its operation can be found by it, and a repetition is a replay.
    IdAndOperation,
    /// Creates something under a name that the caller chose: look whether it is there.
    NamedCreate,
    /// Writing twice leaves the same state: compare, then write again.
    ConvergingWrite,
    /// Gone is done.
    Delete,
    /// Its effect does not show in the resource, but its operation can be found by type, target,
    /// user and time.
    MatchedOperation,
    /// The server picks the name; only a label or annotation could tell what was created.
    MarkedCreate,
    /// The answer holds a secret that cannot be read a second time.
    OnceOnlyResult,
    /// Nothing tells whether it happened, and twice is not once.
    Unsafe,
}

impl SettleClass {
    pub const ALL: [SettleClass; 9] = [
        SettleClass::Reads,
        SettleClass::IdAndOperation,
        SettleClass::NamedCreate,
        SettleClass::ConvergingWrite,
        SettleClass::Delete,
        SettleClass::MatchedOperation,
        SettleClass::MarkedCreate,
        SettleClass::OnceOnlyResult,
        SettleClass::Unsafe,
    ];

    /// Its name, as docs/settle-classes.md has it.
    pub fn as_str(self) -> &'static str {
        match self {
            SettleClass::Reads => "reads",
            SettleClass::IdAndOperation => "id and operation",
            SettleClass::NamedCreate => "named create",
            SettleClass::ConvergingWrite => "converging write",
            SettleClass::Delete => "delete",
            SettleClass::MatchedOperation => "matched operation",
            SettleClass::MarkedCreate => "marked create",
            SettleClass::OnceOnlyResult => "once-only result",
            SettleClass::Unsafe => "unsafe",
        }
    }

    /// Whether the run finds out by itself what became of a call; otherwise the author says what to do.
    pub fn settles_itself(self) -> bool {
        !matches!(
            self,
            SettleClass::MarkedCreate | SettleClass::OnceOnlyResult | SettleClass::Unsafe
        )
    }

    /// What the runner does when the answer is lost, as one sentence.
    pub fn story(self) -> &'static str {
        match self {
            SettleClass::Reads => "changes nothing: it is simply asked again",
            SettleClass::IdAndOperation => {
                "the request id finds its operation, and a repetition under the same id is a replay"
            }
            SettleClass::NamedCreate => "the name tells whether it was created",
            SettleClass::ConvergingWrite => {
                "the written fields are compared; writing again leaves the same state"
            }
            SettleClass::Delete => "gone is done",
            SettleClass::MatchedOperation => {
                "its operation is looked for by type, target, user and time"
            }
            SettleClass::MarkedCreate => "the server picks the name, so the run stops and asks",
            SettleClass::OnceOnlyResult => {
                "its result is shown once and cannot be read again, so the run stops and asks"
            }
            SettleClass::Unsafe => "nothing tells whether it happened, so the run stops and asks",
        }
    }
}

/// A list that comes in pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The field of the answer that holds the items: a list, or a map in aggregated lists.
    pub items: Arc<str>,
    /// The query parameter that takes `nextPageToken`.
    pub token: Arc<str>,
}

/// A type. Most have fields; a few are maps, lists or anything at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    pub id: SchemaId,
    pub fields: IndexMap<Arc<str>, Field>,
    /// What the type is when it is no object with fields.
    pub other: Option<Kind>,
}

impl Schema {
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(name)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub kind: Kind,
    pub output_only: bool,
    pub input_only: bool,
    /// Its values are secrets.
    pub secret: bool,
    pub immutable: bool,
    /// The description begins with "Required".
    pub required: bool,
    pub deprecated: bool,
    /// Holds the URL or relative name of another resource, or a list of such.
    pub reference: bool,
    pub list: ListKind,
    pub unit: Option<Unit>,
    /// What the server takes when the field is absent, as far as the description says it.
    pub default: Option<Json>,
    /// Ids of the methods that refuse a body without it.
    pub required_for: Vec<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Bool,
    String {
        /// `google-duration`, `google-datetime`, `byte`, `date`, …
        format: Option<Arc<str>>,
        pattern: Option<Arc<str>>,
        /// Empty when any text will do.
        values: Vec<EnumValue>,
    },
    Int {
        /// int64 and uint64 travel as JSON strings.
        as_string: bool,
        min: i128,
        max: i128,
    },
    Number {
        min: Option<f64>,
        max: Option<f64>,
    },
    Any,
    List(Box<Kind>),
    Map(Box<Kind>),
    Schema(SchemaId),
    Inline(Arc<Schema>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnumValue {
    pub name: Arc<str>,
    pub deprecated: bool,
}

/// How two lists are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    Ordered,
    Set,
    /// Elements are objects, told apart by this field.
    KeyedBy(&'static str),
}

/// What a plain number or text of this field counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
    Minutes,
    Hours,
    Days,
    /// Text such as `300s` or `0.5s`.
    GoogleDuration,
    /// `60%` is 0.6.
    Fraction,
    /// `60%` is 60.
    Percent,
    Bytes,
    MiB,
    GiB,
}

/// The methods that keep one kind of resource, and how a resource of it is named.
#[derive(Clone, Debug, PartialEq)]
pub struct Collection {
    /// `compute.instances`, `run.projects.locations.services`
    pub path: Arc<str>,
    pub service: Arc<str>,
    pub get: Option<Arc<Method>>,
    /// `insert` or `create`.
    pub insert: Option<Arc<Method>>,
    /// Merges into what is there.
    pub patch: Option<Arc<Method>>,
    /// Replaces what is there.
    pub update: Option<Arc<Method>>,
    pub delete: Option<Arc<Method>>,
    pub list: Option<Arc<Method>>,
    pub aggregated_list: Option<Arc<Method>>,
    /// Every method of the collection, by its last name.
    pub methods: Vec<Arc<str>>,
    pub resource: Option<SchemaId>,
    /// What the positional argument names: a parameter of `get`, or the last part of its full name.
    pub id: Option<Arc<str>>,
    pub identity: Vec<IdentityParam>,
    pub insert_id: InsertId,
    /// The field of insert's body that holds the resource, when the body is not the resource:
    /// `cluster` of `CreateClusterRequest`.
    pub envelope: Option<Arc<str>>,
    /// Set when `get` takes one full name instead of single parameters.
    pub full_name: Option<Arc<FullName>>,
}

impl Collection {
    /// Whether flows may `ensure` a resource of it: it can be read, created, and the caller names it.
    pub fn can_ensure(&self) -> bool {
        self.get.is_some() && self.insert.is_some() && self.insert_id != InsertId::ServerChosen
    }

    /// The id as insert wants it. A service account is read by its address and created by what
    /// stands before the `@`; all others are named the same on both ways.
    pub fn id_on_insert<'a>(&self, id: &'a str) -> &'a str {
        match &self.insert_id {
            InsertId::EnvelopeField(field) if &**field == "accountId" => {
                id.split_once('@').map_or(id, |(account, _)| account)
            }
            _ => id,
        }
    }
}

/// One part of what tells a resource from its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityParam {
    pub name: Arc<str>,
    pub source: IdentitySource,
    /// Where it goes on insert, when insert has no parameter for it.
    pub body_field: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// A path parameter of `get`.
    Path,
    /// A part of the full name that `get` takes.
    FullName,
    /// A query parameter that get, update and delete share and insert lacks (`host` of
    /// `sqladmin.users`).
    QueryShared,
}

/// How the id travels when a resource is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InsertId {
    /// A field of the resource.
    BodyField(Arc<str>),
    /// A field of the request around the resource (`accountId`).
    EnvelopeField(Arc<str>),
    /// A query parameter; the body leaves the name out.
    QueryParam(Arc<str>),
    /// A path parameter, which holds the full name when it is a `{+name}` (Pub/Sub).
    PathParam(Arc<str>),
    /// The server picks the name, or there is no way to create one.
    ServerChosen,
}
