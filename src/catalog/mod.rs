//! Google's APIs as data: services, methods, types and collections from the discovery documents, in
//! a compact form that is decoded name by name, and the rules that r5flow adds to them.
//!
//! The files under `catalog/` are part of the program; a directory of newer ones may override them.

pub mod address;
pub mod coerce;
mod collection;
pub mod compare;
mod decode;
pub mod describe;
mod distill;
mod full_name;
mod model;
mod pack;
mod record;
pub mod request;
pub mod rules;
mod service;
pub mod traffic;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

pub use distill::{Built, build};
pub use full_name::{FullName, Piece};
pub use model::*;
use pack::Pack;
use service::Service;

/// What is wrong with a catalogue file or a discovery document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    #[error("{file} cannot be read: {why}")]
    Unreadable { file: String, why: String },
    #[error(
        "{file} is no catalogue file: make one with `r5flow catalog build DOCUMENT.json --out DIR`"
    )]
    NotACatalog { file: String },
    #[error(
        "{file} has format {found}, and this r5flow reads {expected}: build it again with `r5flow catalog build`"
    )]
    Format {
        file: String,
        found: u16,
        expected: u16,
    },
    #[error("{file} is damaged: build it again with `r5flow catalog build`")]
    Damaged { file: String },
    #[error(
        "the discovery document of `{service}` cannot be used: {what}; expected is a file as Google serves it \
         under `$discovery/rest`"
    )]
    Document { service: String, what: String },
}

/// What is wrong with the arguments or the body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub place: ProblemPlace,
    /// Lower case, without a full stop, the author's words in backticks.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemPlace {
    /// A parameter, by name.
    Param(Arc<str>),
    /// A field of the body: `versions[0].targetSize`; empty for the body as a whole.
    Field(String),
}

impl Problem {
    pub fn param(name: &Arc<str>, message: impl Into<String>) -> Self {
        Problem {
            place: ProblemPlace::Param(Arc::clone(name)),
            message: message.into(),
        }
    }

    pub fn field(path: &str, message: impl Into<String>) -> Self {
        Problem {
            place: ProblemPlace::Field(path.to_owned()),
            message: message.into(),
        }
    }
}

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(include_bytes!(concat!("../../catalog/", $name, ".r5cat"))),*]
    };
}

const FILES: &[&[u8]] = embedded!(
    "certificatemanager",
    "cloudresourcemanager",
    "compute",
    "container",
    "dns",
    "iam",
    "logging",
    "monitoring",
    "pubsub",
    "run",
    "secretmanager",
    "servicenetworking",
    "serviceusage",
    "sqladmin",
    "storage",
);

static EMBEDDED: LazyLock<Catalog> = LazyLock::new(|| {
    let mut services = BTreeMap::new();
    for file in FILES {
        let pack = Pack::open(Cow::Borrowed(file), "the built-in catalogue", false)
            .expect("invariant: a test opens every file that is built in");
        services.insert(Arc::clone(&pack.info.name), Arc::new(Service::new(pack)));
    }
    Catalog {
        services: Arc::new(services),
    }
});

/// All services that flows may name. Cheap to clone; what has been decoded is shared.
#[derive(Clone, Debug)]
pub struct Catalog {
    services: Arc<BTreeMap<Arc<str>, Arc<Service>>>,
}

/// What a name was meant to be, for [`Catalog::suggest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    Service,
    Method,
    Collection,
    Schema,
}

impl Catalog {
    /// The services that are built into the program.
    pub fn embedded() -> Catalog {
        EMBEDDED.clone()
    }

    /// The built-in services, overridden and extended by the `.r5cat` files of a directory.
    ///
    /// # Errors
    /// The directory or a file of it cannot be read, or is no sound catalogue file.
    pub fn with_dir(dir: &Path) -> Result<Catalog, CatalogError> {
        let unreadable = |path: &Path, e: std::io::Error| CatalogError::Unreadable {
            file: path.display().to_string(),
            why: e.to_string(),
        };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(|e| unreadable(dir, e))? {
            paths.push(entry.map_err(|e| unreadable(dir, e))?.path());
        }
        paths.retain(|p| p.extension().is_some_and(|e| e == "r5cat"));
        paths.sort();
        let mut services = (*Catalog::embedded().services).clone();
        for path in paths {
            let bytes = std::fs::read(&path).map_err(|e| unreadable(&path, e))?;
            let service = open_checked(bytes, &path.display().to_string())?;
            services.insert(Arc::clone(&service.info().name), Arc::new(service));
        }
        Ok(Catalog {
            services: Arc::new(services),
        })
    }

    /// All services, by name.
    pub fn services(&self) -> impl Iterator<Item = &ServiceInfo> {
        self.services.values().map(|s| s.info())
    }

    pub fn service(&self, name: &str) -> Option<&ServiceInfo> {
        self.services.get(name).map(|s| s.info())
    }

    fn owner(&self, name: &str) -> Option<&Service> {
        let service = name.split('.').next()?;
        self.services.get(service).map(|s| &**s)
    }

    /// The method `compute.images.insert`. A short id is understood when it is unambiguous within
    /// its service: `run.services.create`; the answer carries the full one.
    pub fn method(&self, id: &str) -> Option<Arc<Method>> {
        self.owner(id)?.method(id)
    }

    /// All method ids of a service, sorted; none for an unknown service.
    pub fn methods(&self, service: &str) -> Vec<Arc<str>> {
        let found = self.services.get(service);
        found.map_or_else(Vec::new, |s| s.methods().to_vec())
    }

    /// All paths that hold methods, sorted: `compute.instances`, `run.projects.locations.services`.
    pub fn collections(&self, service: &str) -> Vec<Arc<str>> {
        let found = self.services.get(service);
        found.map_or_else(Vec::new, |s| s.collections().to_vec())
    }

    /// For how long a request id of a service is trusted to make a repetition a replay.
    pub fn replay_window(&self, service: &str) -> crate::world::Millis {
        rules::windows::replay(service)
    }

    /// By how long the reads of a service may lag behind its writes.
    pub fn lag(&self, service: &str) -> crate::world::Millis {
        rules::windows::lag(service)
    }

    /// The collection `compute.instances`; short paths as for [`Catalog::method`].
    pub fn collection(&self, path: &str) -> Option<Arc<Collection>> {
        self.owner(path)?.collection(path)
    }

    /// Whether what is created in a collection can carry labels from the beginning.
    pub fn takes_labels(&self, collection: &Collection) -> bool {
        let resource = collection.resource.as_ref().and_then(|id| self.schema(id));
        resource.is_some_and(|schema| rules::marks::takes_labels(collection, &schema))
    }

    pub fn schema(&self, id: &SchemaId) -> Option<Arc<Schema>> {
        self.services.get(&id.service)?.schema(&id.name)
    }

    /// All names of types of a service, sorted, without the service.
    pub fn schemas(&self, service: &str) -> Vec<Arc<str>> {
        let found = self.services.get(service);
        found.map_or_else(Vec::new, |s| s.schemas().to_vec())
    }

    /// The nearest right name to an unknown one: of a service, or of what its service holds.
    pub fn suggest(&self, kind: NameKind, name: &str) -> Option<String> {
        let (service, rest) = name.split_once('.').unwrap_or((name, ""));
        let Some(owner) = self.services.get(service) else {
            let names = self.services.keys().map(|n| &**n);
            let right = crate::diag::nearest(service, names)?;
            let whole = match rest {
                "" => right.to_owned(),
                rest => format!("{right}.{rest}"),
            };
            let exists = kind == NameKind::Service || self.knows(kind, &whole);
            return if exists {
                Some(whole)
            } else {
                self.suggest(kind, &whole)
            };
        };
        let nearest = |names: &[Arc<str>], word: &str| {
            crate::diag::nearest(word, names.iter().map(|n| &**n)).map(str::to_owned)
        };
        match kind {
            NameKind::Service => Some(service.to_owned()),
            NameKind::Collection => nearest(owner.collections(), name),
            NameKind::Schema => {
                nearest(owner.schemas(), rest).map(|found| format!("{service}.{found}"))
            }
            NameKind::Method => suggest_method(owner, name),
        }
    }

    fn knows(&self, kind: NameKind, name: &str) -> bool {
        match kind {
            NameKind::Service => self.service(name).is_some(),
            NameKind::Method => self.method(name).is_some(),
            NameKind::Collection => self.collection(name).is_some(),
            NameKind::Schema => SchemaId::parse(name).is_some_and(|id| self.schema(&id).is_some()),
        }
    }
}

/// Of the right collection when there is one, so that `compute.images.create` finds
/// `compute.images.insert`.
fn suggest_method(owner: &Service, name: &str) -> Option<String> {
    let (path, last) = name.rsplit_once('.')?;
    if let Some(collection) = owner.collection(path) {
        let twin = match last {
            "create" => "insert",
            "insert" | "add" | "new" => "create",
            "remove" => "delete",
            "replace" | "put" => "update",
            other => other,
        };
        let methods = || collection.methods.iter().map(|m| &**m);
        let found = methods()
            .find(|m| *m == twin)
            .or_else(|| crate::diag::nearest(last, methods()));
        if let Some(found) = found {
            return Some(format!("{}.{found}", collection.path));
        }
    }
    crate::diag::nearest(name, owner.methods().iter().map(|m| &**m)).map(str::to_owned)
}

fn open_checked(bytes: Vec<u8>, origin: &str) -> Result<Service, CatalogError> {
    let service = Service::new(Pack::open(Cow::Owned(bytes), origin, true)?);
    service.check(origin)?;
    Ok(service)
}
