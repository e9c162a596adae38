//! Every collection of every API that can be inserted into, read, listed, changed and deleted from.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::Client;
use crate::catalog::{Catalog, Collection, InsertId, Kind, Method, Param, Place};
use crate::wire::Verb;

type Values = BTreeMap<Arc<str>, String>;

fn places() -> Values {
    [
        ("project", "demo"),
        ("projectId", "demo"),
        ("zone", "us-central1-a"),
        ("region", "us-central1"),
        ("location", "us-central1"),
        ("organization", "1"),
        ("folder", "2"),
        ("billingAccount", "3"),
        ("bucket", "a-bucket"),
        ("object", "an-object"),
        ("managedZone", "a-zone"),
        ("responsePolicy", "a-policy"),
        ("instance", "red5"),
        ("crossSiteNetwork", "a-network"),
        ("parent", "projects/demo"),
    ]
    .into_iter()
    .map(|(k, v)| (Arc::from(k), v.to_string()))
    .collect()
}

/// The fields that a resource of the collection needs beside its name.
fn needs(path: &str) -> Json {
    let group = |zone: &str| {
        json!({ "targetSize": 0, "baseInstanceName": "x", "versions": [{
            "instanceTemplate": "global/instanceTemplates/t" }], "description": zone })
    };
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
        "compute.instanceGroupManagers" | "compute.regionInstanceGroupManagers" => group("x"),
        "compute.autoscalers" => json!({ "target": "zones/us-central1-a/instanceGroupManagers/g",
            "autoscalingPolicy": { "minNumReplicas": 0, "maxNumReplicas": 3 } }),
        "compute.regionAutoscalers" => {
            json!({ "target": "regions/us-central1/instanceGroupManagers/g",
            "autoscalingPolicy": { "minNumReplicas": 0, "maxNumReplicas": 3 } })
        }
        "compute.packetMirrorings" => json!({ "network": { "url": "global/networks/default" } }),
        "compute.storagePools" => json!({ "poolProvisionedCapacityGb": "10240" }),
        "storage.bucketAccessControls"
        | "storage.defaultObjectAccessControls"
        | "storage.objectAccessControls" => {
            json!({ "role": "READER" })
        }
        "sqladmin.instances" => json!({ "settings": { "tier": "db-f1-micro" } }),
        "dns.resourceRecordSets" => json!({ "type": "A", "rrdatas": ["192.0.2.1"] }),
        "dns.managedZones" => json!({ "dnsName": "example.com." }),
        _ => json!({}),
    }
}

/// What the needs refer to.
fn prepare(client: &mut Client) {
    let compute = |client: &mut Client, path: &str, body: Json| {
        client.done(Verb::Post, path, body);
    };
    // The image is taken while the machine stands still.
    compute(
        client,
        "zones/us-central1-a/instances/stream-manager-1/stop",
        Json::Null,
    );
    let properties = json!({ "machineType": "e2-small", "disks": [{ "boot": true,
        "initializeParams": { "sourceImage": "projects/debian-cloud/global/images/family/debian-12" } }] });
    compute(
        client,
        "global/instanceTemplates",
        json!({ "name": "t", "properties": properties }),
    );
    compute(
        client,
        "global/urlMaps",
        json!({ "name": "m", "defaultUrlRedirect": { "httpsRedirect": true, "stripQuery": false } }),
    );
    compute(
        client,
        "global/targetHttpProxies",
        json!({ "name": "p", "urlMap": "global/urlMaps/m" }),
    );
    compute(
        client,
        "global/sslCertificates",
        json!({ "name": "c", "managed": { "domains": ["a.example.com"] } }),
    );
    compute(
        client,
        "regions/us-central1/backendServices",
        json!({ "name": "none" }),
    );
    for scope in ["zones/us-central1-a", "regions/us-central1"] {
        let mut body = needs("compute.instanceGroupManagers");
        body["name"] = json!("g");
        compute(client, &format!("{scope}/instanceGroupManagers"), body);
    }
    client.post("storage/v1/b?project=demo", json!({ "name": "a-bucket" }));
    client.post("storage/v1/b/a-bucket/o", json!({ "name": "an-object" }));
    client.post(
        "dns/v1/projects/demo/managedZones",
        json!({ "name": "a-zone", "dnsName": "example.org." }),
    );
    client.post(
        "dns/v1/projects/demo/responsePolicies",
        json!({ "responsePolicyName": "a-policy" }),
    );
}

fn filled(method: &Method, values: &Values, id: Option<(&str, &str)>) -> String {
    let mut values = values.clone();
    if let Some((name, id)) = id {
        values.insert(name.into(), id.to_string());
    }
    let value = |param: &Param| match &param.full_name {
        Some(full) => full
            .compose(&values, None)
            .unwrap_or_else(|m| panic!("{}: no {m}", method.id)),
        None => values
            .get(&param.name)
            .unwrap_or_else(|| panic!("{}: no {}", method.id, param.name))
            .replace('/', "%2F"),
    };
    let mut path = method.path.to_string();
    for param in method.params.iter().filter(|p| p.place == Place::Path) {
        for form in [
            format!("{{{}}}", param.name),
            format!("{{+{}}}", param.name),
        ] {
            path = path.replace(&form, &value(param));
        }
    }
    let query: Vec<String> = method
        .params
        .iter()
        .filter(|p| p.place == Place::Query)
        .filter(|p| {
            p.required
                || matches!(
                    (&*p.name, &*method.service),
                    ("autoscaler", _) | ("name", "sqladmin")
                )
        })
        .map(|p| {
            format!(
                "{}={}",
                p.name,
                values.get(&p.name).cloned().unwrap_or_else(|| "x".into())
            )
        })
        .collect();
    match query.is_empty() {
        true => path,
        false => format!("{path}?{}", query.join("&")),
    }
}

struct Walk {
    client: Client,
    catalog: Catalog,
    values: Values,
}

impl Walk {
    fn call(&mut self, method: &Method, line: &str, body: Json) -> Result<Json, String> {
        let mut call = super::call(method.verb, line, body);
        call.service = Some(method.service.to_string());
        let reply = self.client.sim.handle(&call, self.client.now);
        self.client.now = reply.at;
        let body: Json = serde_json::from_slice(&reply.answer.body).unwrap_or(Json::Null);
        match reply.answer.status {
            200 | 204 => Ok(body),
            status => Err(format!("{} {line}: {status} {body}", method.id)),
        }
    }

    /// Lets every operation end.
    fn settle(&mut self) {
        self.client.sleep(3600);
    }

    /// Inserts a resource under `id`; gives its values, the id among them.
    fn insert(&mut self, collection: &Collection, id: &str) -> Result<Values, String> {
        let mut values = self.holder(collection)?;
        let insert = collection.insert.clone().ok_or("no insert")?;
        let name = collection.id.clone().ok_or("no id")?;
        let mut resource = needs(&collection.path);
        let mut request = json!({});
        let mut query = String::new();
        match &collection.insert_id {
            InsertId::BodyField(field) => resource[&**field] = json!(id),
            InsertId::EnvelopeField(field) => request[&**field] = json!(id),
            InsertId::QueryParam(param) => query = format!("{param}={id}"),
            InsertId::PathParam(_) | InsertId::ServerChosen => {}
        }
        if collection.identity.iter().any(|i| &*i.name == "type") {
            values.insert("type".into(), "A".into());
        }
        match &collection.envelope {
            Some(field) => request[&**field] = resource,
            None => merge(&mut request, resource),
        }
        values.insert(name.clone(), id.to_string());
        let path = filled(&insert, &values, None);
        let mark = if path.contains('?') { "&" } else { "?" };
        let body = if insert.request.is_some() {
            request
        } else {
            Json::Null
        };
        let answer = self.call(&insert, &format!("{path}{mark}{query}"), body)?;
        let chosen = ["name", "id", "accessId"]
            .iter()
            .find_map(|f| answer.get(*f)?.as_str());
        if collection.insert_id == InsertId::ServerChosen {
            let own = match answer
                .get("metadata")
                .and_then(|m| m.get("target").cloned())
            {
                Some(target) => target.as_str().unwrap_or("").to_string(),
                None if answer.get("targetLink").is_some() => {
                    answer["targetLink"].as_str().unwrap_or("").to_string()
                }
                None => answer
                    .get("metadata")
                    .and_then(|m| m.get("accessId"))
                    .and_then(Json::as_str)
                    .or(chosen)
                    .unwrap_or("")
                    .to_string(),
            };
            values.insert(name, own.rsplit('/').next().unwrap_or("").to_string());
        } else if &*collection.path == "iam.projects.serviceAccounts" {
            values.insert(name, format!("{id}@demo.iam.gserviceaccount.com"));
        }
        self.settle();
        Ok(values)
    }

    /// Makes the resources that hold the collection's; gives the values of their names.
    fn holder(&mut self, collection: &Collection) -> Result<Values, String> {
        let parent = collection.path.rsplit_once('.').map_or("", |(p, _)| p);
        let found = parent
            .contains('.')
            .then(|| self.catalog.collection(parent))
            .flatten();
        match found {
            Some(parent)
                if parent.insert.is_some()
                    && parent.get.is_some()
                    && &*parent.path != "cloudresourcemanager.projects" =>
            {
                let id = format!("holder-{}", self.client.sim.mutations().len());
                self.insert(&parent, &id)
            }
            _ => Ok(self.values.clone()),
        }
    }

    fn round(&mut self, collection: &Collection) -> Result<(), String> {
        let get = collection.get.clone().ok_or("no get")?;
        let change = collection
            .patch
            .clone()
            .or_else(|| collection.update.clone())
            .ok_or("no patch")?;
        let delete = collection.delete.clone().ok_or("no delete")?;
        let list = collection.list.clone().ok_or("no list")?;
        let id = match &*collection.path {
            "dns.resourceRecordSets" => "an-id.example.org.",
            "iam.projects.serviceAccounts" => "an-account",
            _ => "an-id",
        };
        let values = self.insert(collection, id)?;
        let found = self.call(&get, &filled(&get, &values, None), Json::Null)?;
        let listed = self.call(&list, &filled(&list, &values, None), Json::Null)?;
        let items = listed
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, v)| v.as_array())
            .next();
        if !items.is_some_and(|items| items.contains(&found)) {
            return Err(format!("{}: not in {listed}: {found}", list.id));
        }
        self.change(collection, &change, &values, &found)?;
        self.settle();
        self.call(&delete, &filled(&delete, &values, None), Json::Null)?;
        self.settle();
        match self.call(&get, &filled(&get, &values, None), Json::Null) {
            // Projects stay visible for thirty days.
            Ok(still) if still["state"] == "DELETE_REQUESTED" => Ok(()),
            Ok(still) => Err(format!("{}: still there: {still}", delete.id)),
            Err(text) if text.contains(": 404 ") => Ok(()),
            Err(text) => Err(text),
        }
    }

    fn change(
        &mut self,
        collection: &Collection,
        change: &Method,
        values: &Values,
        found: &Json,
    ) -> Result<(), String> {
        let id = collection.resource.clone().ok_or("no type")?;
        let schema = self.catalog.schema(&id).ok_or("no schema")?;
        let Some((field, value)) = a_change(&schema) else {
            return Ok(());
        };
        let mut resource = if collection.patch.is_some() {
            json!({})
        } else {
            found.clone()
        };
        resource[field] = value.clone();
        let short = id.name.trim_start_matches("GoogleCloudRunV2");
        let envelope = format!("{}{}", short[..1].to_lowercase(), &short[1..]);
        let request = change.request.clone().and_then(|r| self.catalog.schema(&r));
        let body = match request {
            Some(r) if r.id != id && r.field(&envelope).is_some() => {
                json!({ envelope: resource, "updateMask": field })
            }
            Some(r) if r.id != id => match r.field(field) {
                Some(_) => resource,
                // Kubernetes Engine changes clusters by wishes of their own.
                None => return Ok(()),
            },
            _ => resource,
        };
        let body = match change.request.as_ref().and_then(|r| self.catalog.schema(r)) {
            Some(r) if r.field("updateMask").is_none() => without_mask(body),
            _ => body,
        };
        self.call(change, &filled(change, values, None), body)?;
        self.settle();
        let get = collection.get.clone().ok_or("no get")?;
        let now = self.call(&get, &filled(&get, values, None), Json::Null)?;
        match now[field] == value {
            true => Ok(()),
            false => Err(format!(
                "{}: {field} is {} instead of {value}",
                change.id, now[field]
            )),
        }
    }
}

fn without_mask(mut body: Json) -> Json {
    if let Some(fields) = body.as_object_mut() {
        fields.shift_remove("updateMask");
    }
    body
}

fn merge(into: &mut Json, from: Json) {
    if let (Some(into), Json::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}

/// A field that can be written, and a value for it.
fn a_change(schema: &crate::catalog::Schema) -> Option<(&'static str, Json)> {
    let mut labels = Map::new();
    labels.insert("role".into(), json!("tester"));
    [
        ("description", json!("changed")),
        ("displayName", json!("changed")),
        ("labels", Json::Object(labels)),
        ("title", json!("changed")),
        ("charset", json!("utf8mb4")),
        ("ttl", json!(77)),
        ("role", json!("OWNER")),
        ("maintenanceVersion", json!("MYSQL_8_0_36.R20260101")),
        ("state", json!("INACTIVE")),
    ]
    .into_iter()
    .find(|(name, _)| {
        schema.field(name).is_some_and(|f| {
            let plain = matches!(&f.kind, Kind::String { values, .. } if values.is_empty());
            !f.output_only && (plain || *name == "labels" || *name == "ttl")
        })
    })
}

#[test]
fn every_collection_can_be_filled_searched_changed_and_emptied() {
    let mut client = Client::new();
    prepare(&mut client);
    let catalog = Catalog::embedded();
    let mut walk = Walk {
        client,
        catalog: catalog.clone(),
        values: places(),
    };
    let services: Vec<Arc<str>> = catalog.services().map(|s| Arc::clone(&s.name)).collect();
    let (mut done, mut wrong) = (0, Vec::new());
    for service in services {
        for path in catalog.collections(&service) {
            let collection = catalog.collection(&path).expect("listed");
            let whole = collection.insert.is_some()
                && collection.get.is_some()
                && collection.list.is_some()
                && collection.delete.is_some()
                && (collection.patch.is_some() || collection.update.is_some());
            if !whole {
                continue;
            }
            match walk.round(&collection) {
                Ok(()) => done += 1,
                Err(text) => wrong.push(text.chars().take(400).collect::<String>()),
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{done} good, {} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(done > 120, "{done}");
}
