//! Every collection that a flow may `ensure` in, with a flow of its own: created, found, changed,
//! removed. The flow passes the checker, and the simulated cloud tells what became of it.

use std::collections::BTreeMap;

use r5flow::catalog::{Catalog, Collection, Kind, Schema};
use r5flow::sim::{Call, Scenario, Sim};
use r5flow::value::Value;
use r5flow::wire::Verb;
use r5flow::world::Millis;
use serde_json::{Value as Json, json};

use r5flow::spec::Left;

use crate::rig::{self, dump};

/// The name of the resource that comes and goes.
const ID: &str = "comes-and-goes";

/// Collections that a flow cannot take through all four, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "container.projects.locations.clusters",
        "changed by wishes (`desiredNodeVersion`), not by its fields",
    ),
    (
        "container.projects.locations.clusters.nodePools",
        "changed by wishes, not by its fields",
    ),
    (
        "container.projects.zones.clusters",
        "changed by wishes, not by its fields",
    ),
    (
        "container.projects.zones.clusters.nodePools",
        "changed by wishes, not by its fields",
    ),
    (
        "storage.managedFolders",
        "has a name and nothing that can be changed",
    ),
];

/// Parts of identities that are no locations and that no holder of the flow brings.
fn fixed(name: &str) -> Option<&'static str> {
    Some(match name {
        "organization" => "1",
        "folder" => "the-folder",
        "billingAccount" => "3",
        "bucket" => "a-bucket",
        "object" => "an-object",
        "managedZone" => "a-zone",
        "responsePolicy" => "a-policy",
        "instance" => "red5",
        "crossSiteNetwork" => "a-network",
        "type" => "A",
        "host" => "%",
        "projectId" => "demo",
        _ => return None,
    })
}

/// The fields that a resource of the collection needs beside its name.
fn needs(path: &str) -> Json {
    let group = json!({ "targetSize": 0, "baseInstanceName": "x",
        "versions": [{ "instanceTemplate": "global/instanceTemplates/t" }] });
    match path {
        "compute.instances" => json!({ "machineType": "zones/us-central1-a/machineTypes/e2-small",
            "disks": [{ "boot": true, "autoDelete": true, "initializeParams": {
                "sourceImage": "projects/debian-cloud/global/images/family/debian-12" } }] }),
        "compute.images" => json!({ "sourceDisk": "zones/us-central1-a/disks/stream-manager-1" }),
        "compute.firewalls" => json!({ "allowed": [{ "IPProtocol": "tcp" }] }),
        "compute.subnetworks" => {
            json!({ "network": "global/networks/default", "ipCidrRange": "10.1.0.0/24" })
        }
        "compute.routers" => json!({ "network": "global/networks/default" }),
        "compute.healthChecks" | "compute.regionHealthChecks" => json!({ "type": "TCP" }),
        "compute.urlMaps" => {
            json!({ "defaultUrlRedirect": { "httpsRedirect": true, "stripQuery": false } })
        }
        "compute.targetHttpProxies" => json!({ "urlMap": "global/urlMaps/m" }),
        "compute.targetHttpsProxies" => {
            json!({ "urlMap": "global/urlMaps/m", "sslCertificates": ["global/sslCertificates/c"] })
        }
        "compute.globalForwardingRules" => {
            json!({ "portRange": "80", "target": "global/targetHttpProxies/p" })
        }
        "compute.forwardingRules" => {
            json!({ "backendService": "regions/us-central1/backendServices/none", "portRange": "80" })
        }
        "compute.instanceGroupManagers" | "compute.regionInstanceGroupManagers" => group,
        "compute.autoscalers" => json!({ "target": "zones/us-central1-a/instanceGroupManagers/g",
            "autoscalingPolicy": { "minNumReplicas": 0, "maxNumReplicas": 3 } }),
        "compute.regionAutoscalers" => {
            json!({ "target": "regions/us-central1/instanceGroupManagers/g",
                "autoscalingPolicy": { "minNumReplicas": 0, "maxNumReplicas": 3 } })
        }
        "compute.packetMirrorings" => json!({ "network": { "url": "global/networks/default" } }),
        "compute.storagePools" => json!({ "poolProvisionedCapacityGb": 10240 }),
        "storage.bucketAccessControls"
        | "storage.defaultObjectAccessControls"
        | "storage.objectAccessControls" => json!({ "role": "READER" }),
        "sqladmin.instances" => json!({ "settings": { "tier": "db-f1-micro" } }),
        "dns.resourceRecordSets" => json!({ "rrdatas": ["192.0.2.1"] }),
        "dns.managedZones" => json!({ "dnsName": "example.com." }),
        _ => json!({}),
    }
}

/// A field that can be changed, and what it becomes.
fn a_change(schema: &Schema, path: &str) -> Option<(&'static str, Json)> {
    let own = match path {
        "sqladmin.instances" => Some(("settings", json!({ "dataDiskSizeGb": 30 }))),
        "sqladmin.users" => Some(("passwordPolicy", json!({ "allowedFailedAttempts": 5 }))),
        "dns.responsePolicyRules" => Some(("dnsName", json!("other.example.com."))),
        "storage.objects" => Some(("contentLanguage", json!("de"))),
        _ => None,
    };
    let common = [
        ("description", json!("changed")),
        ("displayName", json!("changed")),
        ("labels", json!({ "role": "tester" })),
        ("title", json!("changed")),
        ("charset", json!("utf8mb4")),
        ("ttl", json!(77)),
        ("role", json!("OWNER")),
        ("maintenanceVersion", json!("MYSQL_8_0_36.R20260101")),
        ("state", json!("INACTIVE")),
    ];
    let fits = |name: &str| {
        schema.field(name).is_some_and(|f| {
            let plain = matches!(&f.kind, Kind::String { values, .. } if values.is_empty());
            !f.output_only && (plain || name == "labels" || name == "ttl")
        })
    };
    own.or_else(|| common.into_iter().find(|(name, _)| fits(name)))
}

/// What the needs refer to.
fn cloud() -> Sim {
    let scenario = Scenario {
        any_project: false,
        ..Scenario::default()
    };
    let mut sim = Sim::new(Catalog::embedded(), scenario, rig::START);
    let compute = |path: &str| format!("compute/v1/projects/demo/{path}");
    let properties = json!({ "machineType": "e2-small", "disks": [{ "boot": true,
        "initializeParams": { "sourceImage": "projects/debian-cloud/global/images/family/debian-12" } }] });
    let group = |scope: &str| {
        let mut body = needs("compute.instanceGroupManagers");
        body["name"] = json!("g");
        (compute(&format!("{scope}/instanceGroupManagers")), "", body)
    };
    let calls = [
        (
            compute("zones/us-central1-a/instances/stream-manager-1/stop"),
            "",
            Json::Null,
        ),
        (
            compute("global/instanceTemplates"),
            "",
            json!({ "name": "t", "properties": properties }),
        ),
        (
            compute("global/urlMaps"),
            "",
            json!({ "name": "m", "defaultUrlRedirect": { "httpsRedirect": true, "stripQuery": false } }),
        ),
        (
            compute("global/targetHttpProxies"),
            "",
            json!({ "name": "p", "urlMap": "global/urlMaps/m" }),
        ),
        (
            compute("global/sslCertificates"),
            "",
            json!({ "name": "c", "managed": { "domains": ["a.example.com"] } }),
        ),
        (
            compute("regions/us-central1/backendServices"),
            "",
            json!({ "name": "none" }),
        ),
        group("zones/us-central1-a"),
        group("regions/us-central1"),
        ("storage/v1/b".into(), "demo", json!({ "name": "a-bucket" })),
        (
            "storage/v1/b/a-bucket/o".into(),
            "",
            json!({ "name": "an-object" }),
        ),
        (
            "dns/v1/projects/demo/managedZones".into(),
            "",
            json!({ "name": "a-zone", "dnsName": "example.org." }),
        ),
        (
            "v3/folders".into(),
            "",
            json!({ "displayName": "a-folder", "parent": "organizations/1" }),
        ),
        (
            "dns/v1/projects/demo/responsePolicies".into(),
            "",
            json!({ "responsePolicyName": "a-policy" }),
        ),
    ];
    for (path, project, body) in calls {
        let query = [("project".to_owned(), project.to_owned())];
        let call = Call {
            service: None,
            verb: Verb::Post,
            path: path.clone(),
            query: query.into_iter().filter(|(_, v)| !v.is_empty()).collect(),
            headers: Vec::new(),
            body: match body {
                Json::Null => Vec::new(),
                body => body.to_string().into_bytes(),
            },
        };
        let reply = sim.handle(&call, sim.now());
        assert_eq!(reply.answer.status, 200, "{path}");
        sim.advance(sim.now().plus(Millis::mins(30)));
    }
    sim
}

/// The number of the folder in the cloud.
fn folder(cloud: &Sim) -> String {
    let keys = cloud.resources();
    let mut names = keys
        .keys()
        .filter_map(|k| k.strip_prefix("cloudresourcemanager/folders/"));
    names.next().expect("a folder").to_owned()
}

/// Whether all four can be done with a name of one's own.
fn is_whole(c: &Collection) -> bool {
    let changed = c.patch.is_some() || c.update.is_some();
    c.can_ensure() && c.list.is_some() && c.delete.is_some() && changed
}

/// A flow for one collection, as it is written.
struct Writing<'a> {
    catalog: &'a Catalog,
    text: String,
    /// Parts of identities that the holders brought.
    names: BTreeMap<String, String>,
    /// A folder that stands in the cloud; its name is the server's choice.
    folder: &'a str,
}

impl Writing<'_> {
    /// Ensures what the collection's resources stand in.
    fn holders(&mut self, collection: &Collection) {
        let parent = collection.path.rsplit_once('.').map_or("", |(p, _)| p);
        if !parent.contains('.') || parent == "cloudresourcemanager.folders" {
            return;
        }
        let Some(parent) = self.catalog.collection(parent) else {
            return;
        };
        let given = &*parent.path == "cloudresourcemanager.projects";
        let (Some(id), true, false) = (&parent.id, parent.can_ensure(), given) else {
            return;
        };
        self.holders(&parent);
        let step = format!("holder{}", self.names.len());
        let before = self.after();
        let line = format!(
            "  step {step} = ensure {} {}{before}\n",
            self.target(&parent, "", "the-holder"),
            needs(&parent.path)
        );
        self.text.push_str(&line);
        self.names.insert(id.to_string(), "the-holder".into());
    }

    /// An order that no value brings.
    fn after(&self) -> String {
        match self.names.len() {
            0 => String::new(),
            n => format!("\n    after holder{}", n - 1),
        }
    }

    fn target(&self, collection: &Collection, method: &str, id: &str) -> String {
        let own = collection.id.as_deref().unwrap_or("");
        let id = match &*collection.path {
            "iam.projects.serviceAccounts" => format!("{id}@demo.iam.gserviceaccount.com"),
            "dns.resourceRecordSets" => format!("{id}.example.org."),
            _ => id.to_owned(),
        };
        // `project` is a location, so a method has no first argument for it.
        let project = &*collection.path == "cloudresourcemanager.projects" && !method.is_empty();
        let mut args = match project {
            true => vec![format!("project: {id:?}")],
            false => vec![format!("{id:?}")],
        };
        for part in &collection.identity {
            let name = &*part.name;
            let known = self.names.get(name).map(String::as_str).or(fixed(name));
            let value = known.map(|v| if v == "the-folder" { self.folder } else { v });
            if let (false, Some(value)) = (name == own, value) {
                args.push(format!("{name}: {value:?}"));
            }
        }
        format!("{}{method}({})", collection.path, args.join(", "))
    }
}

/// The flow, and the field that it changes.
fn flow(
    catalog: &Catalog,
    collection: &Collection,
    folder: &str,
) -> Option<(String, &'static str)> {
    let schema = catalog.schema(collection.resource.as_ref()?)?;
    let (field, value) = a_change(&schema, &collection.path)?;
    let mut writing = Writing {
        catalog,
        text: String::new(),
        names: BTreeMap::new(),
        folder,
    };
    writing.holders(collection);
    let target = writing.target(collection, "", ID);
    let insert = match &*collection.path {
        "compute.nodeGroups" => target.replace(')', ", initialNodeCount: 1)"),
        _ => target.clone(),
    };
    // Two steps may not ensure one field; then the change is a call.
    let change = match needs(&collection.path).get(field) {
        None => format!("ensure {target} {{ {field}: {value} }}\n    on absent stop"),
        Some(_) => {
            let patch = writing.target(collection, ".patch", ID);
            format!("call {patch} {{ {field}: {value} }}")
        }
    };
    let delete = writing.target(collection, ".delete", ID);
    let text = format!(
        "workflow main {{\n  \
           at {{ project: \"demo\", zone: \"us-central1-a\", region: \"us-central1\", location: \"us-central1\" }}\n\
         {}  step made = ensure {insert} {}{}\n  \
           step found = read {target}\n    after made\n  \
           step changed = {change}\n    after found\n  \
           step gone = call {delete}\n    after changed\n  \
           output found = found\n  \
           output before = made.{field}\n  \
           output changed = changed.{field}\n}}\n",
        writing.text,
        needs(&collection.path),
        writing.after(),
    );
    Some((text, field))
}

fn comes_and_goes(catalog: &Catalog, collection: &Collection, cloud: &Sim) -> Result<(), String> {
    let Some((text, field)) = flow(catalog, collection, &folder(cloud)) else {
        return Err("nothing of it can be changed".into());
    };
    let program = rig::program(&text);
    let (checked, errors) = rig::examined(&program);
    if !errors.is_empty() {
        return Err(format!("{}\n{text}", errors.join("\n")));
    }
    let case = rig::case(&checked, &json!({}));
    let ran = rig::play(&case, Left::fresh(cloud.clone()));
    if !ran.is_done() {
        let failures = ran.end.map(|e| e.failures);
        return Err(format!("{failures:#?}\n{text}"));
    }
    let outputs = ran.end.map(|e| e.outputs).unwrap_or_default();
    let has_changed = outputs.get("before") != outputs.get("changed");
    if !has_changed || outputs.get("found").is_none_or(|f| *f == Value::Null) {
        return Err(format!("{outputs:#?}\n{text}"));
    }
    let effective: Vec<String> = ran
        .left
        .stage
        .cloud
        .mutations()
        .iter()
        .skip(cloud.mutations().len())
        .filter(|m| m.effective)
        .map(|m| last_two(&m.method))
        .collect();
    let change = collection.patch.as_ref().or(collection.update.as_ref());
    let wanted = [&collection.insert, &change.cloned(), &collection.delete];
    for method in wanted.into_iter().flatten() {
        let times = effective
            .iter()
            .filter(|m| **m == last_two(&method.id))
            .count();
        if times != 1 {
            let journal = dump(&ran.left.journal);
            return Err(format!(
                "{} took effect {times} times\n{journal}{text}",
                method.id
            ));
        }
    }
    let left = ran.left.stage.cloud.resources();
    match left.iter().find(|(key, _)| key.contains(ID)) {
        // Projects stay visible for thirty days.
        Some((_, json)) if json["state"] == "DELETE_REQUESTED" => Ok(()),
        Some((key, _)) => Err(format!("{key} is still there ({field})")),
        None => Ok(()),
    }
}

/// `sinks.create` of `logging.projects.sinks.create`: one path may belong to several methods.
fn last_two(method: &str) -> String {
    let words: Vec<&str> = method.split('.').collect();
    words[words.len().saturating_sub(2)..].join(".")
}

#[test]
fn every_collection_is_created_found_changed_and_removed_by_a_flow() {
    let catalog = Catalog::embedded();
    let cloud = cloud();
    let mut good = 0;
    let mut wrong = BTreeMap::new();
    for service in catalog.services() {
        for path in catalog.collections(&service.name) {
            let collection = catalog.collection(&path).expect("listed");
            if !is_whole(&collection) {
                continue;
            }
            match comes_and_goes(&catalog, &collection, &cloud) {
                Ok(()) => good += 1,
                Err(why) => {
                    wrong.insert(path.to_string(), why);
                }
            }
        }
    }
    let known: Vec<&str> = EXCEPTIONS.iter().map(|(path, _)| *path).collect();
    let unknown: String = wrong
        .iter()
        .filter(|(path, _)| !known.contains(&path.as_str()))
        .map(|(path, why)| format!("\n{path}: {}", why.chars().take(900).collect::<String>()))
        .collect();
    assert!(
        unknown.is_empty(),
        "{good} good, {} wrong:{unknown}",
        wrong.len()
    );
    let healed: Vec<&&str> = known.iter().filter(|p| !wrong.contains_key(**p)).collect();
    assert!(healed.is_empty(), "no exceptions any more: {healed:?}");
    assert!(good > 110, "{good}");
}
