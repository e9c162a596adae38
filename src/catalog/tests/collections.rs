use super::*;

#[test]
fn identities_and_ids_on_insert() {
    let names = |c: &Collection| {
        let names = c.identity.iter().map(|p| p.name.to_string());
        names.collect::<Vec<_>>().join(" ")
    };
    let body = |field: &str| InsertId::BodyField(field.into());
    let query = |param: &str| InsertId::QueryParam(param.into());
    let cases = [
        ("compute.images", "image", "project image", body("name")),
        (
            "compute.instances",
            "instance",
            "project zone instance",
            body("name"),
        ),
        (
            "compute.globalForwardingRules",
            "forwardingRule",
            "project forwardingRule",
            body("name"),
        ),
        (
            "sqladmin.instances",
            "instance",
            "project instance",
            body("name"),
        ),
        (
            "sqladmin.databases",
            "database",
            "project instance database",
            body("name"),
        ),
        (
            "sqladmin.users",
            "name",
            "project instance name host",
            body("name"),
        ),
        ("storage.buckets", "bucket", "bucket", body("name")),
        (
            "dns.resourceRecordSets",
            "name",
            "project managedZone name type",
            body("name"),
        ),
        (
            "run.projects.locations.services",
            "service",
            "project location service",
            query("serviceId"),
        ),
        (
            "secretmanager.projects.secrets",
            "secret",
            "project secret",
            query("secretId"),
        ),
        (
            "certificatemanager.projects.locations.certificates",
            "certificate",
            "project location certificate",
            query("certificateId"),
        ),
        (
            "container.projects.locations.clusters",
            "cluster",
            "project location cluster",
            body("name"),
        ),
        (
            "iam.projects.serviceAccounts",
            "serviceAccount",
            "project serviceAccount",
            InsertId::EnvelopeField("accountId".into()),
        ),
        (
            "pubsub.projects.topics",
            "topic",
            "project topic",
            InsertId::PathParam("name".into()),
        ),
        (
            "cloudresourcemanager.projects",
            "project",
            "project",
            body("projectId"),
        ),
        (
            "logging.projects.sinks",
            "sink",
            "project sink",
            body("name"),
        ),
    ];
    for (path, id, identity, insert) in cases {
        let c = collection(path);
        assert_eq!(c.id.as_deref(), Some(id), "{path}");
        assert_eq!(names(&c), identity, "{path}");
        assert_eq!(c.insert_id, insert, "{path}");
        assert!(c.can_ensure(), "{path}");
    }
    for path in [
        "monitoring.projects.alertPolicies",
        "sqladmin.backupRuns",
        "dns.changes",
        "iam.projects.serviceAccounts.keys",
    ] {
        assert!(!collection(path).can_ensure(), "{path}");
    }
    let host = collection("sqladmin.users").identity.last().cloned();
    assert_eq!(host.and_then(|p| p.body_field), Some("host".into()));
    assert_eq!(
        collection("iam.projects.roles").envelope.as_deref(),
        Some("role")
    );
    let accounts = collection("iam.projects.serviceAccounts");
    assert_eq!(accounts.id_on_insert("sm@p.iam.gserviceaccount.com"), "sm");
}

#[test]
fn most_compute_collections_take_the_name_in_the_body() {
    let catalog = Catalog::embedded();
    let paths = catalog.collections("compute");
    let found = paths.iter().filter_map(|p| catalog.collection(p));
    let ensurable: Vec<Arc<Collection>> = found.filter(|c| c.can_ensure()).collect();
    let odd: Vec<&str> = (ensurable.iter())
        .filter(|c| c.insert_id != InsertId::BodyField("name".into()))
        .map(|c| &*c.path)
        .collect();
    assert_eq!(odd, Vec::<&str>::new());
    // 95 have get and insert; two of these are named by a number that the server draws.
    assert_eq!(ensurable.len(), 93);
}

#[test]
fn full_names_are_composed_and_taken_apart() {
    let full = collection("run.services")
        .full_name
        .clone()
        .expect("a full name");
    let values: BTreeMap<Arc<str>, String> = [("project", "p"), ("location", "l")]
        .into_iter()
        .map(|(k, v)| (Arc::from(k), v.to_owned()))
        .collect();
    let name = full.compose(&values, Some("x"));
    assert_eq!(name.as_deref(), Ok("projects/p/locations/l/services/x"));
    assert_eq!(
        full.parent(&values).as_deref(),
        Ok("projects/p/locations/l")
    );
    assert_eq!(
        full.compose(&BTreeMap::new(), Some("x")),
        Err("project".into())
    );
    let parsed = full
        .parse("projects/p/locations/l/services/x")
        .expect("fits");
    assert_eq!(parsed.get("service").map(String::as_str), Some("x"));
    assert_eq!(full.parse("projects/p/services/x"), None);
    assert_eq!(full.parse("projects/p/locations/l/services/x/y"), None);
}

#[test]
fn short_names_when_unambiguous() {
    let catalog = Catalog::embedded();
    let id = |name: &str| catalog.method(name).map(|m| m.id.to_string());
    assert_eq!(
        id("run.services.create").as_deref(),
        Some("run.projects.locations.services.create")
    );
    assert_eq!(
        id("secretmanager.secrets.create"),
        None,
        "with and without a location"
    );
    assert_eq!(
        &*collection("run.services").path,
        "run.projects.locations.services"
    );
    assert_eq!(id("run"), None);
    assert_eq!(id(""), None);
    assert_eq!(id("compute."), None);
}
