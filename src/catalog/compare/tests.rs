use serde_json::json;

use super::*;

fn paths(schema: &str, wanted: Json, found: Json) -> Vec<String> {
    let id = SchemaId::parse(schema).expect("service.Type");
    differences(&Catalog::embedded(), &id, &wanted, &found)
        .into_iter()
        .map(|d| d.path)
        .collect()
}

#[test]
fn equal_in_normal_form() {
    let w = "https://www.googleapis.com/compute/v1";
    let cases = [
        (
            "compute.Image",
            json!({"diskSizeGb": 16}),
            json!({"diskSizeGb": "16"}),
        ),
        (
            "compute.Image",
            json!({"family": "a"}),
            json!({"family": "a", "status": "READY"}),
        ),
        (
            "compute.Firewall",
            json!({"network": "global/networks/default"}),
            json!({"network": format!("{w}/projects/p/global/networks/default")}),
        ),
        (
            "compute.Firewall",
            json!({"sourceRanges": ["b", "a"]}),
            json!({"sourceRanges": ["a", "b"]}),
        ),
        (
            "compute.Firewall",
            json!({"allowed": [{"IPProtocol": "tcp", "ports": ["80", "22"]}]}),
            json!({"allowed": [{"IPProtocol": "tcp", "ports": ["22", "80-80"]}]}),
        ),
        (
            "compute.Firewall",
            json!({"priority": 1000, "disabled": false}),
            json!({}),
        ),
        (
            "compute.ForwardingRule",
            json!({"portRange": "443"}),
            json!({"portRange": "443-443"}),
        ),
        (
            "compute.ForwardingRule",
            json!({"IPAddress": format!("{w}/projects/p/global/addresses/a")}),
            json!({"IPAddress": "203.0.113.9"}),
        ),
        (
            "compute.Backend",
            json!({"maxUtilization": 0.8}),
            json!({"maxUtilization": 0.800_000_011_920_929}),
        ),
        (
            "compute.Tags",
            json!({"items": ["x", "y"]}),
            json!({"items": ["y", "x"], "fingerprint": "f"}),
        ),
        (
            "compute.Image",
            json!({"labels": {"a": "1"}}),
            json!({"labels": {"a": "1", "goog": "x"}}),
        ),
        (
            "compute.InstanceProperties",
            json!({"machineType": "n1-standard-2"}),
            json!({"machineType": "n1-standard-2"}),
        ),
        (
            "compute.Instance",
            json!({"serviceAccounts": [{"email": "default", "scopes": ["b", "a"]}]}),
            json!({"serviceAccounts": [{"email": "1-compute@developer.gserviceaccount.com", "scopes": ["a", "b"]}]}),
        ),
        (
            "compute.AutoscalingPolicy",
            json!({"mode": "ONLY_UP"}),
            json!({"mode": "ONLY_SCALE_OUT"}),
        ),
        (
            "run.GoogleCloudRunV2RevisionTemplate",
            json!({"timeout": "300s"}),
            json!({"timeout": "300.000s"}),
        ),
        (
            "compute.BackendService",
            json!({"timeoutSec": 30}),
            json!({}),
        ),
        (
            "compute.BackendService",
            json!({"backends": [{"group": "projects/p/regions/b/instanceGroups/g"}, {"group": "projects/p/regions/a/instanceGroups/g", "capacityScaler": 1}]}),
            json!({"backends": [{"group": format!("{w}/projects/p/regions/a/instanceGroups/g")}, {"group": format!("{w}/projects/p/regions/b/instanceGroups/g"), "balancingMode": "UTILIZATION"}]}),
        ),
        (
            "compute.DistributionPolicy",
            json!({"zones": [{"zone": "zones/us-central1-b"}, {"zone": "zones/us-central1-a"}]}),
            json!({"zones": [{"zone": format!("{w}/projects/p/zones/us-central1-a")}, {"zone": format!("{w}/projects/p/zones/us-central1-b")}]}),
        ),
    ];
    for (schema, wanted, found) in cases {
        let text = wanted.to_string();
        assert_eq!(
            paths(schema, wanted, found),
            Vec::<String>::new(),
            "{schema} {text}"
        );
    }
}

#[test]
fn different() {
    let cases = [
        (
            "compute.Image",
            json!({"diskSizeGb": "16"}),
            json!({"diskSizeGb": "20"}),
            vec!["diskSizeGb"],
        ),
        (
            "compute.BackendService",
            json!({"timeoutSec": 0}),
            json!({}),
            vec!["timeoutSec"],
        ),
        (
            "compute.Image",
            json!({"labels": {"a": "1", "b": "2"}}),
            json!({"labels": {"a": "1"}}),
            vec!["labels.b"],
        ),
        (
            "compute.TargetHttpsProxy",
            json!({"sslCertificates": ["a", "b"]}),
            json!({"sslCertificates": ["b", "a"]}),
            vec!["sslCertificates[0]", "sslCertificates[1]"],
        ),
        (
            "compute.Firewall",
            json!({"sourceRanges": ["a"]}),
            json!({"sourceRanges": ["a", "c"]}),
            vec!["sourceRanges[1]"],
        ),
        (
            "compute.Firewall",
            json!({"network": "projects/p/global/networks/a"}),
            json!({"network": "projects/q/global/networks/a"}),
            vec!["network"],
        ),
        (
            "compute.Metadata",
            json!({"items": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]}),
            json!({"items": [{"key": "c", "value": "3"}, {"key": "a", "value": "9"}]}),
            vec!["items[key=a].value", "items[key=b]", "items[key=c]"],
        ),
    ];
    for (schema, wanted, found, expected) in cases {
        assert_eq!(paths(schema, wanted, found), expected, "{schema}");
    }
}

#[test]
fn merged_lists_leave_the_elements_of_others_alone() {
    let id = SchemaId::new("sqladmin", "DatabaseInstance");
    let list = |values: &[&str]| {
        let items: Vec<Json> = values.iter().map(|v| json!({"value": v})).collect();
        json!({"settings": {"ipConfiguration": {"authorizedNetworks": items}}})
    };
    let path = "settings.ipConfiguration.authorizedNetworks";
    let merged = BTreeSet::from([path.to_owned()]);
    let catalog = Catalog::embedded();
    let (ours, all) = (
        list(&["203.0.113.7"]),
        list(&["198.51.100.1/32", "203.0.113.7/32"]),
    );
    assert_eq!(compare(&catalog, &id, &ours, &all, &merged).differences, []);
    let missing = compare(&catalog, &id, &all, &ours, &merged).differences;
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].path, format!("{path}[value=198.51.100.1/32]"));
    let extra = differences(&catalog, &id, &ours, &all);
    assert_eq!(extra.len(), 1);
    assert_eq!(extra[0].wanted, Json::Null);
}

#[test]
fn input_only_fields_are_named_and_not_compared() {
    let id = SchemaId::new("compute", "Instance");
    let wanted = json!({"disks": [{"boot": true, "initializeParams": {"diskSizeGb": "16"}}]});
    let found = json!({"disks": [{"boot": true, "source": "x"}]});
    let comparison = compare(&Catalog::embedded(), &id, &wanted, &found, &BTreeSet::new());
    assert_eq!(comparison.differences, []);
    assert_eq!(comparison.not_comparable, ["disks[0].initializeParams"]);
}

#[test]
fn resources() {
    let full = "https://www.googleapis.com/compute/v1/projects/p/zones/a/disks/d";
    for same in [
        "https://compute.googleapis.com/compute/beta/projects/p/zones/a/disks/d",
        "http://127.0.0.1:9/compute/v1/projects/p/zones/a/disks/d",
        "projects/p/zones/a/disks/d",
        "zones/a/disks/d",
        "d",
    ] {
        assert!(same_resource(full, same), "{same}");
        assert!(same_resource(same, full), "{same}");
    }
    for other in [
        "projects/p/zones/b/disks/d",
        "projects/q/zones/a/disks/d",
        "sks/d",
        "",
        "e",
    ] {
        assert!(!same_resource(full, other), "{other}");
    }
}
