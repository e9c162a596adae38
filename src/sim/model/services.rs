//! Around the project: its APIs (enabled unless the scenario or a call says otherwise), service
//! accounts, and keys whose secret is shown once.
//!
//! Source: API descriptions of Service Usage (`Service.state`), IAM (`ServiceAccount`), Resource Manager
//! (a deleted project is DELETE_REQUESTED for thirty days), Storage (`HmacKey`).

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::generic;
use super::super::operation;
use super::super::refusal::Refusal;
use super::super::timing::{self, Happening};
use super::super::world::{Object, World};
use super::super::{Outcome, page, refs};
use super::Handler;
use super::rules::Rule;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[
    Rule {
        of: &["serviceusage.services"],
        says: "an API that is off refuses with 403 `SERVICE_DISABLED`, and answers a while after it is enabled",
        source: "API description of Service Usage",
        test: "an_api_that_is_off_says_so_and_needs_a_moment",
    },
    Rule {
        of: &[
            "iam.projects.serviceAccounts",
            "iam.projects.serviceAccounts.keys",
            "iam.roles",
            "iam.permissions",
        ],
        says: "an account is named by its address and can be disabled; a key is shown once; permissions are named by the methods",
        source: "API description of `ServiceAccount` and `ServiceAccountKey`",
        test: "tests/gcloud/accounts.txt",
    },
    Rule {
        of: &["cloudresourcemanager.projects", "storage.projects.hmacKeys"],
        says: "a deleted project is DELETE_REQUESTED; the secret of an HMAC key is shown once",
        source: "API description of `Project` and `HmacKey`",
        test: "every_collection_can_be_filled_searched_changed_and_emptied",
    },
];

pub fn method(id: &str) -> Option<Handler> {
    Some(match id {
        "serviceusage.services.get" => get,
        "serviceusage.services.list" => list,
        "serviceusage.services.enable"
        | "serviceusage.services.disable"
        | "serviceusage.services.batchEnable" => set,
        "serviceusage.services.batchGet" => batch_get,
        "cloudresourcemanager.projects.delete" => delete_project,
        "storage.projects.hmacKeys.create" => create_hmac_key,
        "iam.projects.serviceAccounts.keys.create" => create_key,
        "iam.projects.serviceAccounts.enable" | "iam.projects.serviceAccounts.keys.enable" => {
            enable
        }
        "iam.projects.serviceAccounts.disable" | "iam.projects.serviceAccounts.keys.disable" => {
            disable
        }
        "iam.roles.get" => role,
        "iam.roles.list" => roles,
        "iam.permissions.queryTestablePermissions" => permissions,
        _ => return None,
    })
}

fn disabled_key(project: &str, service: &str) -> String {
    format!("serviceusage/projects/{project}/services/{service}")
}

fn is_off(world: &World, project: &str, name: &str) -> bool {
    match world.live(&disabled_key(project, name)) {
        Some(set) => set.text("state") == "DISABLED",
        None => world.scenario.disabled_apis.iter().any(|a| a == name),
    }
}

/// An API that is off answers nothing; one that was enabled a moment ago not yet.
///
/// # Errors
/// 403 accessNotConfigured with `SERVICE_DISABLED`, in the words of the front end.
pub fn usable(world: &World, project: &str, service: &str) -> Result<(), Refusal> {
    let name = format!("{service}.googleapis.com");
    let spreading = world
        .apis_ready
        .get(&disabled_key(project, &name))
        .is_some_and(|at| world.now < *at);
    let always = matches!(service, "serviceusage" | "cloudresourcemanager");
    if always || project.is_empty() || !(spreading || is_off(world, project, &name)) {
        return Ok(());
    }
    let number = world.project_number(project);
    let title = world
        .catalog
        .services()
        .find(|s| &*s.name == service)
        .map_or(name.clone(), |s| s.title.to_string());
    let page =
        format!("https://console.developers.google.com/apis/api/{name}/overview?project={number}");
    let message = format!(
        "{title} has not been used in project {number} before or it is disabled. Enable it by visiting {page} then retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry."
    );
    let info = json!({ "service": name, "consumer": format!("projects/{number}") });
    Err(Refusal::usage_limit("accessNotConfigured", message)
        .with_help(&page)
        .with_info("SERVICE_DISABLED", "googleapis.com", info))
}

fn service_json(world: &World, project: &str, name: &str) -> Json {
    let off = is_off(world, project, name);
    let number = world.project_number(project);
    json!({
        "name": format!("projects/{number}/services/{name}"),
        "parent": format!("projects/{number}"),
        "config": { "name": name },
        "state": if off { "DISABLED" } else { "ENABLED" },
    })
}

fn known(world: &World) -> Vec<String> {
    world
        .catalog
        .services()
        .map(|s| format!("{}.googleapis.com", s.name))
        .collect()
}

fn get(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    Ok(service_json(world, &ask.project, refs::last(&ask.rest)).into())
}

fn list(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let wanted = ask
        .param("filter")
        .and_then(|f| f.trim().strip_prefix("state:"))
        .map(str::to_string);
    let mut names = known(world);
    let holder = disabled_key(&ask.project, "");
    let set = world.of("serviceusage.services", &holder);
    names.extend(set.map(|(key, _)| refs::last(key).to_string()));
    names.sort();
    names.dedup();
    let items: Vec<Json> = names
        .iter()
        .map(|name| service_json(world, &ask.project, name))
        .filter(|s| wanted.as_ref().is_none_or(|w| s["state"] == json!(w)))
        .collect();
    Ok(page::unfiltered(world, ask, items)?.into())
}

fn batch_get(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let names = ask.param("names").map(|n| refs::last(n).to_string());
    let items: Vec<Json> = names
        .iter()
        .map(|n| service_json(world, &ask.project, n))
        .collect();
    Ok(json!({ "services": items }).into())
}

fn set(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let state = if &*ask.method.name == "disable" {
        "DISABLED"
    } else {
        "ENABLED"
    };
    let listed = ask.body.get("serviceIds").and_then(Json::as_array).cloned();
    let names: Vec<String> = match listed {
        Some(ids) => ids
            .iter()
            .filter_map(Json::as_str)
            .map(str::to_string)
            .collect(),
        None => {
            let path = ask.target();
            vec![refs::last(&path).to_string()]
        }
    };
    let mut target = format!("serviceusage/projects/{}", ask.project);
    for name in names {
        target = disabled_key(&ask.project, &name);
        if state == "ENABLED" && is_off(world, &ask.project, &name) {
            let length = timing::operation(&world.scenario, &ask.method.id);
            let spread = world.takes(Happening::ApiSpreads);
            let at = world.now.plus(length).plus(spread);
            world.apis_ready.insert(target.clone(), at);
        }
        let mut body = Object::new();
        body.insert("name".into(), json!(name));
        body.insert("state".into(), json!(state));
        world.put(&target, "serviceusage.services", body);
    }
    Ok(operation::begin(world, ask, &target, Vec::new()).into())
}

/// What IAM adds to a service account.
///
/// # Errors
/// An id of another length than IAM takes (the words of public issues).
pub fn prepare_account(key: &str, project: &str, body: &mut Object) -> Result<(), Refusal> {
    let email = refs::last(key).to_string();
    let id = email.split('@').next().unwrap_or_default();
    if !(6..=30).contains(&id.len()) {
        let said = format!("The account ID \"{id}\" does not have a length between 6 and 30.");
        return Err(Refusal::new(400, "badRequest", said));
    }
    body.insert("email".into(), json!(email));
    body.insert("projectId".into(), json!(project));
    body.insert(
        "name".into(),
        json!(format!("projects/{project}/serviceAccounts/{email}")),
    );
    Ok(())
}

fn delete_project(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = ask.key();
    if world.live(&key).is_none() {
        return Err(Refusal::not_simulated(
            "the deletion of a project that the scenario names",
        ));
    }
    world.change(&key, |body| {
        body.insert("state".into(), json!("DELETE_REQUESTED"));
    });
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

fn create_hmac_key(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let email = ask.param("serviceAccountEmail").unwrap_or("").to_string();
    let access = format!("GOOG1E{}", world.mint.hex(32).to_uppercase());
    let metadata = json!({
        "kind": "storage#hmacKeyMetadata",
        "id": format!("{}/{access}", ask.project),
        "accessId": access,
        "projectId": ask.project,
        "serviceAccountEmail": email,
        "state": "ACTIVE",
        "timeCreated": world.now.rfc3339(),
        "updated": world.now.rfc3339(),
        "etag": world.mint.hex(12),
    });
    let key = format!("{}/{access}", ask.key());
    let body = metadata.as_object().cloned().unwrap_or_default();
    world.put(&key, "storage.projects.hmacKeys", body);
    Ok(
        json!({ "kind": "storage#hmacKey", "metadata": metadata, "secret": world.mint.hex(40) })
            .into(),
    )
}

fn create_key(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let account = ask.key().trim_end_matches("/keys").to_string();
    if world.live(&account).is_none() {
        return Err(generic::missing(&account));
    }
    let id = world.mint.hex(40);
    let key = format!("{account}/keys/{id}");
    let body = json!({
        "name": format!("{}/{id}", ask.rest),
        "keyAlgorithm": "KEY_ALG_RSA_2048",
        "keyOrigin": "GOOGLE_PROVIDED",
        "keyType": "USER_MANAGED",
        "validAfterTime": world.now.rfc3339(),
        "validBeforeTime": "9999-12-31T23:59:59Z",
    });
    let stored = body.as_object().cloned().unwrap_or_default();
    world.put(&key, "iam.projects.serviceAccounts.keys", stored);
    let mut answer = body;
    answer["privateKeyType"] = json!("TYPE_GOOGLE_CREDENTIALS_FILE");
    answer["privateKeyData"] = json!(world.mint.hex(64));
    Ok(answer.into())
}

fn switch(world: &mut World, ask: &Ask, off: bool) -> Result<Outcome, Refusal> {
    let key = super::existing(world, ask)?;
    world.change(&key, |body| {
        match off {
            true => body.insert("disabled".into(), json!(true)),
            false => body.shift_remove("disabled"),
        };
    });
    Ok(json!({}).into())
}

fn enable(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    switch(world, ask, false)
}

fn disable(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    switch(world, ask, true)
}

/// Predefined roles that the guides of this kind of set-up name; there are many more.
const ROLES: &[(&str, &str)] = &[
    ("roles/cloudsql.admin", "Cloud SQL Admin"),
    ("roles/cloudsql.client", "Cloud SQL Client"),
    ("roles/compute.admin", "Compute Admin"),
    (
        "roles/compute.instanceAdmin.v1",
        "Compute Instance Admin (v1)",
    ),
    ("roles/compute.networkAdmin", "Compute Network Admin"),
    ("roles/dns.admin", "DNS Administrator"),
    ("roles/editor", "Editor"),
    ("roles/iam.serviceAccountUser", "Service Account User"),
    ("roles/owner", "Owner"),
    (
        "roles/secretmanager.secretAccessor",
        "Secret Manager Secret Accessor",
    ),
    ("roles/viewer", "Viewer"),
];

fn role_json(name: &str, title: &str) -> Json {
    json!({ "name": name, "title": title, "stage": "GA", "etag": "AA==" })
}

/// Permissions are named by service, collection and verb, as nearly all of Google's are; here those of the
/// catalogue's methods.
fn permissions(world: &mut World, _ask: &Ask) -> Result<Outcome, Refusal> {
    let catalog = world.catalog.clone();
    let mut names: Vec<String> = catalog
        .services()
        .flat_map(|s| catalog.methods(&s.name))
        .filter_map(|id| {
            let (collection, verb) = id.rsplit_once('.')?;
            let (service, _) = collection.split_once('.')?;
            let kind = collection.rsplit('.').next()?;
            let verb = match verb {
                "insert" => "create",
                "patch" => "update",
                "aggregatedList" => "list",
                verb => verb,
            };
            Some(format!("{service}.{kind}.{verb}"))
        })
        .collect();
    names.sort();
    names.dedup();
    // One page: the tokens of this method travel in its body.
    let items = names.iter().map(|n| json!({ "name": n, "stage": "GA" }));
    Ok(json!({ "permissions": items.collect::<Vec<_>>() }).into())
}

fn role(_world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let found = ROLES.iter().find(|(name, _)| *name == ask.rest);
    match found {
        Some((name, title)) => Ok(role_json(name, title).into()),
        None => Err(Refusal::new(
            404,
            "notFound",
            format!("The role named {} was not found.", ask.rest),
        )),
    }
}

fn roles(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let items = ROLES.iter().map(|(n, t)| role_json(n, t)).collect();
    Ok(page::unfiltered(world, ask, items)?.into())
}
