//! One opened service: lookups by name, each decoded once.

use std::sync::{Arc, OnceLock};

use super::model::{Collection, Method, Schema, ServiceInfo};
use super::pack::{Pack, RecordKind};
use super::record::{FieldRecord, MethodRecord};
use super::rules::{operations, settle};
use super::{CatalogError, collection, decode};

#[derive(Debug)]
pub(super) struct Service {
    name: Arc<str>,
    pack: Pack,
    /// All names, and a slot for each, made when a name is first asked for.
    names: OnceLock<Names>,
}

#[derive(Debug)]
struct Names {
    methods: Vec<Arc<str>>,
    schemas: Vec<Arc<str>>,
    collections: Vec<Arc<str>>,
    method_slots: Vec<OnceLock<Option<Arc<Method>>>>,
    schema_slots: Vec<OnceLock<Option<Arc<Schema>>>>,
    collection_slots: Vec<OnceLock<Option<Arc<Collection>>>>,
}

impl Service {
    pub fn new(pack: Pack) -> Self {
        Service {
            name: Arc::clone(&pack.info.name),
            pack,
            names: OnceLock::new(),
        }
    }

    pub fn info(&self) -> &ServiceInfo {
        &self.pack.info
    }

    fn names(&self) -> &Names {
        self.names.get_or_init(|| {
            let all = |kind| -> Vec<Arc<str>> {
                let entries = self.pack.entries(kind);
                entries.iter().map(|e| Arc::clone(&e.name)).collect()
            };
            let methods = all(RecordKind::Method);
            let schemas = all(RecordKind::Schema);
            let mut collections: Vec<Arc<str>> = methods
                .iter()
                .filter_map(|id| id.rsplit_once('.').map(|(path, _)| Arc::from(path)))
                .collect();
            collections.sort();
            collections.dedup();
            Names {
                method_slots: methods.iter().map(|_| OnceLock::new()).collect(),
                schema_slots: schemas.iter().map(|_| OnceLock::new()).collect(),
                collection_slots: collections.iter().map(|_| OnceLock::new()).collect(),
                methods,
                schemas,
                collections,
            }
        })
    }

    pub fn methods(&self) -> &[Arc<str>] {
        &self.names().methods
    }

    pub fn schemas(&self) -> &[Arc<str>] {
        &self.names().schemas
    }

    pub fn collections(&self) -> &[Arc<str>] {
        &self.names().collections
    }

    /// Accepts the full id, and a short one that leaves out leading resources when only one method
    /// ends in it: `run.services.get`.
    pub fn method(&self, id: &str) -> Option<Arc<Method>> {
        let at = find(self.methods(), &self.name, id)?;
        let slot = self.names().method_slots.get(at)?;
        slot.get_or_init(|| self.decode_method(at).map(Arc::new))
            .clone()
    }

    pub fn schema(&self, name: &str) -> Option<Arc<Schema>> {
        let at = self.pack.position(RecordKind::Schema, name)?;
        let slot = self.names().schema_slots.get(at)?;
        slot.get_or_init(|| self.decode_schema(at).map(Arc::new))
            .clone()
    }

    /// Accepts short paths as [`Service::method`] does.
    pub fn collection(&self, path: &str) -> Option<Arc<Collection>> {
        let at = find(self.collections(), &self.name, path)?;
        let names = self.names();
        let slot = names.collection_slots.get(at)?;
        slot.get_or_init(|| {
            Some(Arc::new(collection::collection(
                self,
                &names.collections[at],
            )))
        })
        .clone()
    }

    /// The method without what needs other records: its operation style and settle class.
    pub fn bare_method(&self, id: &str) -> Option<Method> {
        let at = self.pack.position(RecordKind::Method, id)?;
        let entry = &self.pack.entries(RecordKind::Method)[at];
        let record: MethodRecord = serde_json::from_slice(self.pack.record(entry)?).ok()?;
        decode::method(&self.name, &entry.name, record)
    }

    fn decode_method(&self, at: usize) -> Option<Method> {
        let mut method = self.bare_method(&self.methods()[at])?;
        method.operation = operations::operation(&method, self.methods());
        let path = Arc::clone(&method.collection);
        method.settle = settle::settle(
            &method,
            || collection::insert_id(self, &path),
            || collection::is_markable(self, &path),
        );
        Some(method)
    }

    fn decode_schema(&self, at: usize) -> Option<Schema> {
        let entry = self.pack.entries(RecordKind::Schema).get(at)?;
        let record: FieldRecord = serde_json::from_slice(self.pack.record(entry)?).ok()?;
        Some(decode::schema(&self.name, &entry.name, &record))
    }

    /// Decodes everything once, so that later lookups cannot fail on a file from elsewhere.
    pub fn check(&self, origin: &str) -> Result<(), CatalogError> {
        let info = self.info();
        let sound = self.pack.is_sound()
            && self.methods().len() == info.methods as usize
            && self.schemas().len() == info.schemas as usize
            && (self.methods().iter())
                .all(|id| belongs(&self.name, id) && self.method(id).is_some())
            && self
                .schemas()
                .iter()
                .all(|name| self.schema(name).is_some());
        if sound {
            return Ok(());
        }
        Err(CatalogError::Damaged {
            file: origin.to_owned(),
        })
    }

    #[cfg(test)]
    pub fn inflated(&self) -> usize {
        self.pack.inflated()
    }
}

fn belongs(service: &str, id: &str) -> bool {
    id.strip_prefix(service)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// The place of a full name, else of the only one that ends in what stands behind the service.
fn find(sorted: &[Arc<str>], service: &str, name: &str) -> Option<usize> {
    if let Ok(at) = sorted.binary_search_by(|full| (**full).cmp(name)) {
        return Some(at);
    }
    let tail = name.strip_prefix(service)?;
    if !tail.starts_with('.') {
        return None;
    }
    let mut ending = (0..sorted.len()).filter(|i| sorted[*i].ends_with(tail));
    let first = ending.next()?;
    ending.next().is_none().then_some(first)
}
