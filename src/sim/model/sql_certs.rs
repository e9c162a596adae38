//! Client certificates of Cloud SQL: the private key is shown once.
//!
//! Source: API description of `sslCerts.insert` ("the new certificate will not be usable until the instance is
//! restarted" is of the first generation) and of `SslCertsInsertResponse`. The texts are in the form of PEM, and no
//! certificates.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::refusal::Refusal;
use super::super::world::World;
use super::super::{Outcome, generic, operation, refs};
use super::Handler;
use super::rules::Rule;
use super::sql::{idle, instance_of};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["sqladmin.sslCerts"],
    says: "a client certificate is named by its fingerprint, and its private key is shown once",
    source: "API description of `SslCertsInsertResponse`",
    test: "tests/gcloud/databases.txt",
}];

pub fn method(id: &str) -> Option<Handler> {
    (id == "sqladmin.sslCerts.insert").then_some(insert as Handler)
}

fn pem(world: &mut World, kind: &str) -> String {
    let body = world.mint.hex(64);
    format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----")
}

fn insert(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let instance = instance_of(&ask.key());
    let Some(found) = world.live(&instance) else {
        return Err(generic::missing(&instance));
    };
    let authority = found.body.get("serverCaCert").cloned();
    idle(world, &instance)?;
    let name = ask
        .text("commonName")
        .filter(|n| !n.is_empty())
        .ok_or_else(|| Refusal::required("commonName"))?;
    let prefix = format!("{instance}/sslCerts/");
    let taken = |c: &super::super::world::Resource| c.text("commonName") == name;
    if world
        .of("sqladmin.sslCerts", &prefix)
        .any(|(_, c)| taken(c))
    {
        return Err(Refusal::exists(&format!("sslCerts/{name}")));
    }
    let print = world.mint.hex(40);
    let holder = refs::last(&instance).to_string();
    const TEN_YEARS: i64 = 3650 * 24 * 3600;
    let expires = world.now.plus(crate::world::Millis::secs(TEN_YEARS));
    let info = json!({
        "kind": "sql#sslCert",
        "certSerialNumber": world.mint.number().to_string(),
        "cert": pem(world, "CERTIFICATE"),
        "createTime": world.now.rfc3339(),
        "commonName": name,
        "expirationTime": expires.rfc3339(),
        "sha1Fingerprint": print,
        "instance": holder,
        "selfLink": format!(
            "https://sqladmin.googleapis.com/sql/v1beta4/projects/{}/instances/{holder}/sslCerts/{print}",
            ask.project
        ),
    });
    let stored = info.as_object().cloned().unwrap_or_default();
    world.put(&format!("{prefix}{print}"), "sqladmin.sslCerts", stored);
    let mut out = json!({
        "kind": "sql#sslCertsInsert",
        "serverCaCert": authority,
        "clientCert": { "certInfo": info, "certPrivateKey": pem(world, "RSA PRIVATE KEY") },
    });
    if let Some(operation) = begun(world, ask, &instance) {
        out["operation"] = operation;
    }
    Ok(out.into())
}

/// The operation that the answer carries: the method has none of its own.
fn begun(world: &mut World, ask: &Ask, instance: &str) -> Option<Json> {
    let work = Ask {
        method: world.catalog.method("sqladmin.sslCerts.delete")?,
        collection: ask.collection.clone(),
        rest: ask.rest.clone(),
        params: ask.params.clone(),
        body: ask.body.clone(),
        project: ask.project.clone(),
        request_id: None,
    };
    Some(operation::begin(world, &work, instance, Vec::new()))
}
