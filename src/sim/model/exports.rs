//! Exports of Cloud SQL: a file in a bucket.
//!
//! Source: API description of `instances.export` and `ExportContext` ("The path to the file in Cloud Storage where the
//! export will be stored"). Buckets are taken for granted.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::refusal::Refusal;
use super::super::world::World;
use super::super::{Outcome, operation, timing};
use super::rules::Rule;
use super::sql::idle;
use super::{Handler, existing, objects};

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

/// How long a file is of which nobody knows what is in it.
const SIZE: &str = "1048576";

fn export(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    idle(world, &key)?;
    let context = ask.body.get("exportContext");
    let uri = context.and_then(|c| c.get("uri")).and_then(Json::as_str);
    let place = uri.and_then(|u| u.strip_prefix("gs://")?.split_once('/'));
    let Some((bucket, file)) = place else {
        return Err(Refusal::required("exportContext.uri"));
    };
    let fields = json!({ "contentType": "application/sql", "size": SIZE });
    let fields = fields.as_object().cloned().unwrap_or_default();
    objects::write(world, (bucket, file), fields)?;
    let takes = timing::operation(&world.scenario, &ask.method.id);
    let until = world.now.plus(takes);
    world.hidden.insert(objects::key_of(bucket, file), until);
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}
