use super::*;

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
fn every_operation_of_cloud_sql_has_types_that_the_document_knows() {
    use crate::catalog::rules::sql_operations::{OWN_WORK, sql_types, table};
    let id = SchemaId {
        service: "sqladmin".into(),
        name: "Operation".into(),
    };
    let schema = Catalog::embedded().schema(&id).expect("a type");
    let field = schema.field("operationType").expect("a field").clone();
    let Kind::String { values, .. } = &field.kind else {
        panic!("{:?}", field.kind);
    };
    let known = |name: &&str| values.iter().any(|v| *v.name == **name);
    assert!(OWN_WORK.iter().all(known));
    for (name, types) in table() {
        assert!(types.names.iter().all(known), "{name}: {types:?}");
        assert!(!types.names.is_empty(), "{name}");
        let starts = method(&format!("sqladmin.{name}")).operation == OperationStyle::Sql;
        assert!(starts, "{name} starts no operation");
    }
    for m in all_methods() {
        if m.operation == OperationStyle::Sql && !m.reads {
            assert!(sql_types(&m.id).is_some(), "{} has no type", m.id);
        }
    }
}

/// Names that speak of a secret, and the beginnings of those fields that are none.
const SPEAKING: &[&str] = &[
    "secret",
    "token",
    "password",
    "privatekey",
    "clientkey",
    "signedjwt",
    "signature",
    "credential",
    "rawkey",
    "encryptionkey",
];
const NO_SECRETS: &[(&str, &str)] = &[
    (
        "compute.BackendServiceIAP.oauth2ClientSecret",
        "never shown; its SHA-256 is",
    ),
    ("compute.VpnTunnel.sharedSecretHash", "a hash"),
    (
        "container.CertificateConfig.gcpSecretManagerSecretUri",
        "a link",
    ),
    (
        "container.GCPSecretManagerCertificateConfig.secretUri",
        "a link",
    ),
    ("container.InitScript.gcpSecretManagerSecretUri", "a link"),
    ("container.UserManagedKeysConfig.", "names of keys"),
    ("container.WizSensorConfig.", "links"),
    (
        "run.GoogleCloudRunV2",
        "names of keys and secrets, and words of the caller's",
    ),
    (
        "run.GoogleDevtoolsCloudbuildV1HttpConfig.proxySecretVersionName",
        "a name",
    ),
    ("sqladmin.ExecuteSqlPayload.passwordSecretVersion", "a name"),
    ("sqladmin.ExportContext.", "of requests only"),
    ("sqladmin.GenerateEphemeralCertRequest.", "of requests only"),
    ("sqladmin.ImportContext.", "of requests only"),
    ("sqladmin.PasswordStatus.", "a moment"),
    ("sqladmin.PasswordValidationPolicy.", "a span"),
    (
        "sqladmin.SqlActiveDirectoryConfig.adminCredentialSecretName",
        "a name",
    ),
    (
        "sqladmin.SslCertsCreateEphemeralRequest.",
        "of requests only",
    ),
    ("sqladmin.UserPasswordValidationPolicy.", "a span"),
    ("storage.Object.restoreToken", "tells versions apart"),
    (
        "storage.RewriteResponse.rewriteToken",
        "where a copy goes on",
    ),
];

#[test]
fn every_field_that_speaks_of_a_secret_is_one_or_says_why_not() {
    let catalog = Catalog::embedded();
    let (mut speaking, mut wrong) = (0, Vec::new());
    for service in catalog.services().map(|s| Arc::clone(&s.name)) {
        for name in catalog.schemas(&service) {
            let id = SchemaId::new(Arc::clone(&service), name.to_string());
            let Some(schema) = catalog.schema(&id) else {
                continue;
            };
            for (path, field) in texts(&format!("{service}.{name}"), &schema) {
                let lower = path.rsplit('.').next().unwrap_or("").to_lowercase();
                let page = lower.contains("pagetoken");
                if page || field.input_only || !SPEAKING.iter().any(|w| lower.contains(w)) {
                    continue;
                }
                speaking += 1;
                let excused = NO_SECRETS
                    .iter()
                    .any(|(begins, _)| path.starts_with(begins));
                if field.secret == excused {
                    wrong.push(path);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(speaking > 40, "only {speaking}");
}

/// The fields of a type that hold any text, by their paths.
fn texts(owner: &str, schema: &Schema) -> Vec<(String, Field)> {
    let mut all = Vec::new();
    for (name, field) in &schema.fields {
        let path = format!("{owner}.{name}");
        match &field.kind {
            Kind::String { values, .. } if values.is_empty() => all.push((path, field.clone())),
            Kind::Inline(inner) => all.extend(texts(&path, inner)),
            _ => {}
        }
    }
    all
}
