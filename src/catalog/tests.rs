use super::*;

/// Rebuilds `catalog/` from a directory of discovery documents:
/// `R5FLOW_DISCOVERY=DIR cargo test --lib catalog::tests::rebuild -- --ignored`.
#[test]
#[ignore = "writes the files under catalog/"]
fn rebuild() {
    let from = std::env::var("R5FLOW_DISCOVERY").expect("R5FLOW_DISCOVERY names a directory");
    for file in std::fs::read_dir(&from).unwrap() {
        let path = file.unwrap().path();
        let document = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for built in build(&[document]).unwrap() {
            let name = format!("catalog/{}.r5cat", built.info.name);
            println!(
                "{name} {} {} {}",
                built.bytes.len(),
                built.info.methods,
                built.info.schemas
            );
            std::fs::write(name, &built.bytes).unwrap();
        }
    }
}
/// Service, methods, types, as counted in the discovery documents.
const COUNTS: &[(&str, usize, usize)] = &[
    ("certificatemanager", 36, 38),
    ("cloudresourcemanager", 92, 84),
    ("compute", 1025, 1075),
    ("container", 71, 270),
    ("dns", 51, 78),
    ("iam", 137, 116),
    ("logging", 254, 94),
    ("monitoring", 56, 131),
    ("pubsub", 46, 76),
    ("run", 59, 155),
    ("secretmanager", 36, 42),
    ("servicenetworking", 29, 131),
    ("serviceusage", 10, 144),
    ("sqladmin", 85, 159),
    ("storage", 87, 38),
];

fn all_methods() -> Vec<Arc<Method>> {
    let catalog = Catalog::embedded();
    let names: Vec<Arc<str>> = catalog.services().map(|s| Arc::clone(&s.name)).collect();
    names
        .iter()
        .flat_map(|service| catalog.methods(service))
        .map(|id| {
            catalog
                .method(&id)
                .unwrap_or_else(|| panic!("{id} does not decode"))
        })
        .collect()
}

fn method(id: &str) -> Arc<Method> {
    Catalog::embedded()
        .method(id)
        .unwrap_or_else(|| panic!("no {id}"))
}

fn collection(path: &str) -> Arc<Collection> {
    Catalog::embedded()
        .collection(path)
        .unwrap_or_else(|| panic!("no {path}"))
}

fn field(schema: &str, name: &str) -> Field {
    let id = SchemaId::parse(schema).expect("service.Type");
    let schema = Catalog::embedded()
        .schema(&id)
        .unwrap_or_else(|| panic!("no {id}"));
    schema
        .field(name)
        .unwrap_or_else(|| panic!("no {id}.{name}"))
        .clone()
}

#[test]
fn every_file_is_sound_and_complete() {
    let counts: Vec<(String, usize, usize)> = FILES
        .iter()
        .map(|file| {
            let service = open_checked(file.to_vec(), "built-in").expect("sound");
            let (methods, schemas) = (service.methods().len(), service.schemas().len());
            (service.info().name.to_string(), methods, schemas)
        })
        .collect();
    let expected: Vec<(String, usize, usize)> = COUNTS
        .iter()
        .map(|(name, methods, schemas)| ((*name).to_owned(), *methods, *schemas))
        .collect();
    assert_eq!(counts, expected);
    let total: usize = FILES.iter().map(|f| f.len()).sum();
    assert!(total < 500_000, "{total}");
}

#[test]
fn methods_that_change_something_and_their_request_ids() {
    let compute = all_methods();
    let compute = compute.iter().filter(|m| &*m.service == "compute");
    let writing: Vec<_> = compute
        .filter(|m| m.verb != crate::wire::Verb::Get)
        .collect();
    assert_eq!(writing.len(), 636);
    let replays = |m: &&&Arc<Method>| matches!(m.request_id, Some(RequestId::Replay(_)));
    assert_eq!(writing.iter().filter(replays).count(), 492);
    let unique = method("dns.changes.create").request_id.clone();
    assert_eq!(unique, Some(RequestId::Unique("clientOperationId".into())));
    let with_id = |m: &&Arc<Method>| m.request_id.is_some();
    assert_eq!(all_methods().iter().filter(with_id).count(), 515);
}

#[test]
fn every_method_has_a_settle_class_that_fits_its_verb() {
    for m in all_methods() {
        let id = &m.id;
        assert_eq!(m.reads, m.settle == SettleClass::Reads, "{id}");
        if m.verb == crate::wire::Verb::Get {
            assert!(m.reads, "{id}");
        }
        if m.settle == SettleClass::IdAndOperation {
            assert!(matches!(m.request_id, Some(RequestId::Replay(_))), "{id}");
        }
        if m.settle == SettleClass::MatchedOperation {
            assert_ne!(m.operation, OperationStyle::None, "{id}");
        }
    }
    for id in rules::settle::table() {
        assert_eq!(*method(id).id, *id, "a row names a method by its full id");
    }
}

#[test]
fn settle_classes_of_known_methods() {
    let cases = [
        ("compute.images.insert", SettleClass::IdAndOperation),
        ("compute.instances.reset", SettleClass::IdAndOperation),
        ("compute.images.setLabels", SettleClass::ConvergingWrite),
        ("compute.backendServices.getHealth", SettleClass::Reads),
        ("compute.zoneOperations.wait", SettleClass::Reads),
        ("compute.hosts.getVersion", SettleClass::IdAndOperation),
        ("sqladmin.instances.insert", SettleClass::NamedCreate),
        ("sqladmin.instances.patch", SettleClass::ConvergingWrite),
        ("sqladmin.instances.restart", SettleClass::MatchedOperation),
        ("sqladmin.users.delete", SettleClass::Delete),
        (
            "iam.projects.serviceAccounts.keys.create",
            SettleClass::OnceOnlyResult,
        ),
        (
            "monitoring.projects.alertPolicies.create",
            SettleClass::MarkedCreate,
        ),
        ("monitoring.projects.groups.create", SettleClass::Unsafe),
        (
            "secretmanager.projects.secrets.addVersion",
            SettleClass::Unsafe,
        ),
        ("run.projects.locations.jobs.run", SettleClass::Unsafe),
        (
            "run.projects.locations.services.create",
            SettleClass::NamedCreate,
        ),
    ];
    for (id, class) in cases {
        assert_eq!(method(id).settle, class, "{id}");
    }
}

#[test]
fn operations_by_scope_and_service() {
    use OperationScope::{Global, Organization, Region, Zone};
    let cases = [
        ("compute.images.insert", OperationStyle::Compute(Global)),
        ("compute.instances.delete", OperationStyle::Compute(Zone)),
        (
            "compute.regionAutoscalers.insert",
            OperationStyle::Compute(Region),
        ),
        (
            "compute.targetHttpsProxies.setUrlMap",
            OperationStyle::Compute(Global),
        ),
        (
            "compute.firewallPolicies.insert",
            OperationStyle::Compute(Organization),
        ),
        ("compute.instances.get", OperationStyle::None),
        ("compute.globalOperations.wait", OperationStyle::None),
        ("sqladmin.instances.patch", OperationStyle::Sql),
        (
            "dns.changes.create",
            OperationStyle::Dns {
                get: "dns.changes.get".into(),
            },
        ),
        (
            "serviceusage.services.enable",
            OperationStyle::LongRunning {
                get: "serviceusage.operations.get".into(),
            },
        ),
        (
            "run.projects.locations.services.create",
            OperationStyle::LongRunning {
                get: "run.projects.locations.operations.get".into(),
            },
        ),
        (
            "container.projects.locations.clusters.create",
            OperationStyle::Container {
                get: "container.projects.locations.operations.get".into(),
            },
        ),
        (
            "secretmanager.projects.secrets.create",
            OperationStyle::None,
        ),
    ];
    for (id, style) in cases {
        assert_eq!(method(id).operation, style, "{id}");
    }
}

#[test]
fn requests_of_the_stream_manager_manual() {
    for id in [
        "compute.images.deprecate",
        "compute.instanceTemplates.insert",
        "compute.backendServices.patch",
        "compute.targetHttpsProxies.setCertificateMap",
        "compute.globalForwardingRules.setTarget",
        "compute.disks.createSnapshot",
        "compute.regionInstanceGroupManagers.recreateInstances",
        "compute.regionInstanceGroups.setNamedPorts",
        "compute.routers.patch",
    ] {
        assert!(method(id).request_id.is_some(), "{id}");
    }
    for id in [
        "compute.regionInstanceGroupManagers.applyUpdatesToInstances",
        "compute.globalAddresses.setLabels",
        "compute.snapshots.setLabels",
        "sqladmin.instances.patch",
        "serviceusage.services.batchEnable",
    ] {
        assert_eq!(method(id).request_id, None, "{id}");
    }
    let set = method("compute.instances.setDiskAutoDelete");
    assert_eq!(set.request, None);
    assert!(
        set.param("deviceName")
            .is_some_and(|p| p.required && p.place == Place::Query)
    );
    let patch = method("compute.regionAutoscalers.patch");
    assert_eq!(
        patch.param("autoscaler").map(|p| p.place),
        Some(Place::Query)
    );
    assert_eq!(
        &*method("sqladmin.instances.get").path,
        "v1/projects/{project}/instances/{instance}"
    );
    let page = method("compute.instances.aggregatedList").page.clone();
    assert_eq!(page.map(|p| p.items), Some("items".into()));
}

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

#[test]
fn facts_of_fields() {
    assert!(field("compute.Image", "id").output_only);
    assert!(!field("compute.Image", "name").output_only);
    assert!(!field("compute.BackendService", "fingerprint").output_only);
    assert!(field("dns.ManagedZone", "nameServers").output_only);
    assert!(!field("compute.FirewallPolicy", "name").output_only);
    assert!(!field("compute.InterconnectAttachment", "partnerAsn").output_only);
    assert!(field("compute.AttachedDisk", "initializeParams").input_only);
    assert!(field("sqladmin.User", "password").input_only);
    assert!(field("compute.Backend", "group").reference);
    assert!(field("compute.BackendService", "healthChecks").reference);
    assert!(field("compute.AttachedDiskInitializeParams", "sourceImage").reference);
    assert!(!field("compute.HostRule", "hosts").reference);
    assert!(!field("compute.Image", "family").reference);
    assert_eq!(
        field("compute.BackendService", "timeoutSec").unit,
        Some(Unit::Seconds)
    );
    assert_eq!(
        field("dns.ResourceRecordSet", "ttl").unit,
        Some(Unit::Seconds)
    );
    assert_eq!(field("compute.HTTPHealthCheck", "port").unit, None);
    assert_eq!(field("compute.DateTime", "seconds").unit, None);
    assert_eq!(field("sqladmin.CloneContext", "pitrTimestampMs").unit, None);
    assert_eq!(
        field(
            "compute.AutoscalingPolicyCpuUtilization",
            "utilizationTarget"
        )
        .default,
        Some(0.6.into())
    );
    assert_eq!(
        field("compute.Firewall", "priority").default,
        Some(1000.into())
    );
    assert_eq!(
        field(
            "compute.NotificationEndpointGrpcSettings",
            "retryDurationSec"
        )
        .default,
        None
    );
    assert_eq!(
        field("compute.Metadata", "items").list,
        ListKind::KeyedBy("key")
    );
    assert_eq!(field("compute.Tags", "items").list, ListKind::Set);
    assert_eq!(
        field("compute.TargetHttpsProxy", "sslCertificates").list,
        ListKind::Ordered
    );
    let required = field("compute.Image", "name").required_for;
    assert_eq!(required, ["compute.images.insert".into()]);
    let instance = field("sqladmin.Settings", "settingsVersion");
    assert!(matches!(
        instance.kind,
        Kind::Int {
            as_string: true,
            ..
        }
    ));
}

/// Every reference of every type and method leads to a type.
#[test]
fn nothing_dangles() {
    fn check(catalog: &Catalog, kind: &Kind) {
        match kind {
            Kind::Schema(id) => assert!(catalog.schema(id).is_some(), "{id}"),
            Kind::List(inner) | Kind::Map(inner) => check(catalog, inner),
            Kind::Inline(schema) => schema.fields.values().for_each(|f| check(catalog, &f.kind)),
            _ => {}
        }
    }
    let catalog = Catalog::embedded();
    for (service, ..) in COUNTS {
        for name in catalog.schemas(service) {
            let schema = catalog
                .schema(&SchemaId::new(*service, name))
                .expect("decodes");
            schema
                .fields
                .values()
                .for_each(|f| check(&catalog, &f.kind));
        }
    }
    for m in all_methods() {
        for id in m.request.iter().chain(&m.response) {
            assert!(catalog.schema(id).is_some(), "{} of {}", id, m.id);
        }
    }
}

/// Rows of the tables that name a type or field which is gone would quietly do nothing.
#[test]
fn tables_name_what_exists() {
    let catalog = Catalog::embedded();
    let rows = rules::bounds::rows()
        .chain(rules::lists::rows())
        .chain(rules::units::rows());
    let mut stale = Vec::new();
    for (owner, name) in rows {
        let Some(schema) = SchemaId::parse(owner).and_then(|id| catalog.schema(&id)) else {
            // Inline types are not in the index.
            if owner.matches('.').count() == 1 {
                stale.push(format!("{owner} (no such type)"));
            }
            continue;
        };
        if schema.field(name).is_none() {
            stale.push(format!("{owner}.{name}"));
        }
    }
    assert_eq!(stale, Vec::<String>::new());
}

#[test]
fn only_what_is_asked_for_is_inflated() {
    let file = FILES.iter().max_by_key(|f| f.len()).expect("files");
    let pack = Pack::open(Cow::Borrowed(file), "compute", false).expect("sound");
    let service = Service::new(pack);
    assert_eq!(service.inflated(), 0);
    assert!(service.schema("BackendService").is_some());
    assert_eq!(service.inflated(), 1);
}

#[test]
#[ignore = "prints how long lookups take"]
fn speed() {
    let file = FILES.iter().max_by_key(|f| f.len()).expect("files");
    let start = std::time::Instant::now();
    let pack = Pack::open(Cow::Borrowed(file), "compute", false).expect("sound");
    let service = Service::new(pack);
    let count = service.methods().len();
    println!("open and index of {count} methods: {:?}", start.elapsed());
    let start = std::time::Instant::now();
    let names = service.schemas().iter().step_by(50);
    let found = names.filter_map(|name| service.schema(name)).count();
    println!("{found} types from all over: {:?}", start.elapsed());
    let start = std::time::Instant::now();
    assert!(service.collection("compute.instances").is_some());
    println!("a collection: {:?}", start.elapsed());
}

#[test]
fn suggestions() {
    let catalog = Catalog::embedded();
    let suggest = |kind, name| catalog.suggest(kind, name);
    let cases = [
        (
            NameKind::Method,
            "compute.images.insrt",
            "compute.images.insert",
        ),
        (
            NameKind::Method,
            "compute.images.create",
            "compute.images.insert",
        ),
        (
            NameKind::Method,
            "compute.image.insert",
            "compute.images.insert",
        ),
        (
            NameKind::Collection,
            "compute.instanceTemplate",
            "compute.instanceTemplates",
        ),
        (
            NameKind::Schema,
            "compute.HealthChek",
            "compute.HealthCheck",
        ),
        (NameKind::Service, "compte", "compute"),
        (NameKind::Collection, "compte.images", "compute.images"),
    ];
    for (kind, name, right) in cases {
        assert_eq!(suggest(kind, name).as_deref(), Some(right), "{name}");
    }
    assert_eq!(suggest(NameKind::Service, "zzzzzzzz"), None);
}

#[test]
fn a_directory_overrides_and_extends() {
    let dir = tempfile::tempdir().expect("a directory");
    let document = serde_json::json!({
        "name": "toy", "version": "v1", "revision": "20260101", "title": "Toy", "rootUrl": "https://toy/",
        "servicePath": "toy/v1/",
        "schemas": {"Ball": {"type": "object", "properties": {"size": {"type": "string", "format": "int64"}}}},
        "resources": {"balls": {"methods": {"get": {
            "httpMethod": "GET", "path": "balls/{ball}", "response": {"$ref": "Ball"},
            "parameters": {"ball": {"type": "string", "location": "path", "required": true}}
        }}}}
    });
    let built = build(&[document]).expect("builds");
    std::fs::write(dir.path().join("toy.r5cat"), &built[0].bytes).expect("writes");
    let catalog = Catalog::with_dir(dir.path()).expect("opens");
    assert_eq!(
        catalog
            .method("toy.balls.get")
            .map(|m| m.path.to_string())
            .as_deref(),
        Some("toy/v1/balls/{ball}")
    );
    assert!(catalog.method("compute.images.get").is_some());
    std::fs::write(dir.path().join("bad.r5cat"), b"nonsense").expect("writes");
    let error = Catalog::with_dir(dir.path())
        .expect_err("damaged")
        .to_string();
    assert!(error.contains("bad.r5cat is no catalogue file"), "{error}");
}

#[test]
fn documents_that_lack_something_say_what() {
    let error = build(&[serde_json::json!({"name": "toy"})]).expect_err("too little");
    assert!(
        error.to_string().contains("`servicePath` is missing"),
        "{error}"
    );
    assert!(build(&[serde_json::json!(3)]).is_err());
}

/// Damage that the checksum would catch is repaired there, so that the parts behind it are met too.
fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len().saturating_sub(32);
    let hash = blake3::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&hash.as_bytes()[..]);
    bytes
}

#[test]
fn damaged_files_are_errors() {
    let file = FILES
        .iter()
        .min_by_key(|f| f.len())
        .expect("files")
        .to_vec();
    for part in 0..50 {
        let cut = file[..file.len() * part / 50].to_vec();
        assert!(open_checked(cut.clone(), "f").is_err(), "cut at {part}/50");
        if cut.len() > 32 {
            assert!(
                open_checked(with_checksum(cut), "f").is_err(),
                "cut at {part}/50, repaired"
            );
        }
    }
    for at in (0..file.len()).step_by(7) {
        let mut flipped = file.clone();
        flipped[at] ^= 0x55;
        assert!(
            open_checked(flipped.clone(), "f").is_err(),
            "flipped at {at}"
        );
        // May be readable by chance; must not panic.
        drop(open_checked(with_checksum(flipped), "f"));
    }
}
