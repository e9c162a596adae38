mod collections;
mod methods;

use super::*;

/// Rebuilds `catalog/` from a directory of discovery documents:
/// `R5FLOW_DISCOVERY=DIR cargo test --lib catalog::tests::rebuild -- --ignored`.
#[test]
#[ignore = "writes the files under catalog/"]
fn rebuild() {
    let from = std::env::var("R5FLOW_DISCOVERY").expect("R5FLOW_DISCOVERY names a directory");
    for file in std::fs::read_dir(&from).expect("a directory") {
        let path = file.expect("an entry").path();
        let document =
            serde_json::from_slice(&std::fs::read(&path).expect("readable")).expect("JSON");
        for built in build(&[document]).expect("a document") {
            let name = format!("catalog/{}.r5cat", built.info.name);
            println!(
                "{name} {} {} {}",
                built.bytes.len(),
                built.info.methods,
                built.info.schemas
            );
            std::fs::write(name, &built.bytes).expect("writable");
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
