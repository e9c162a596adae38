//! Exports of Cloud SQL: a file in a bucket.
//!
//! Source: API description of `instances.export` and `ExportContext` ("The path to the file in Cloud Storage where the
//! export will be stored"). Buckets are taken for granted.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::refusal::Refusal;
use super::super::world::World;
use super::super::{Outcome, operation, stamp, timing};
use super::rules::Rule;
use super::sql::idle;
use super::{Handler, existing};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["sqladmin.instances", "storage.objects"],
    says: "an export is a file in its bucket once its operation is done",
    source: "API description of `ExportContext`",
    test: "a_database_is_written_to_a_bucket_once",
}];

pub fn method(id: &str) -> Option<Handler> {
    (id == "sqladmin.instances.export").then_some(export as Handler)
}

fn export(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    idle(world, &key)?;
    let context = ask.body.get("exportContext");
    let uri = context.and_then(|c| c.get("uri")).and_then(Json::as_str);
    let place = uri.and_then(|u| u.strip_prefix("gs://")?.split_once('/'));
    let Some((bucket, file)) = place else {
        return Err(Refusal::required("exportContext.uri"));
    };
    let object = format!("storage/b/{bucket}/o/{file}");
    if let Some(collection) = world.catalog.collection("storage.objects") {
        let fields = json!({ "bucket": bucket, "name": file, "contentType": "application/sql" });
        let fields = fields.as_object().cloned().unwrap_or_default();
        let body = stamp::stamp_new(world, &collection, &object, file, fields);
        world.put(&object, "storage.objects", body);
        let takes = timing::operation(&world.scenario, &ask.method.id);
        world.hidden.insert(object, world.now.plus(takes));
    }
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}
