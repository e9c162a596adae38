//! The manual's sections 1 to 5, call by call.

use serde_json::{Value as Json, json};

use super::{Client, compute};
use crate::wire::Verb;

/// From the running Stream Manager to its image.
pub fn image(client: &mut Client) {
    let vm = "zones/us-central1-a/instances/stream-manager-1";
    client.done(
        Verb::Post,
        &format!("{vm}/setDiskAutoDelete?autoDelete=false&deviceName=persistent-disk-0"),
        Json::Null,
    );
    client.done(Verb::Post, &format!("{vm}/stop"), Json::Null);
    assert_eq!(client.get(&compute(vm))["status"], "TERMINATED");
    client.done(Verb::Delete, vm, Json::Null);
    let (gone, _) = client.send(Verb::Get, &compute(vm), Json::Null);
    assert_eq!(gone, 404);
    let disk = client.get(&compute("zones/us-central1-a/disks/stream-manager-1"));
    assert_eq!(disk.get("users"), None);
    client.done(
        Verb::Post,
        "global/images",
        json!({
            "name": "sm-1", "family": "red5-sm", "labels": { "role": "stream-manager" },
            "sourceDisk": "projects/demo/zones/us-central1-a/disks/stream-manager-1",
        }),
    );
    assert_eq!(
        client.get(&compute("global/images/sm-1"))["status"],
        "PENDING"
    );
    let took = client.until(5, &compute("global/images/sm-1"), |i| {
        i["status"] == "READY"
    });
    assert!((60..120).contains(&took), "{took}");
}

pub fn template(client: &mut Client) {
    client.done(
        Verb::Post,
        "global/instanceTemplates",
        json!({ "name": "sm-1-template", "properties": {
            "machineType": "n1-standard-2",
            "disks": [{ "boot": true, "autoDelete": true, "type": "PERSISTENT", "mode": "READ_WRITE",
                "initializeParams": { "sourceImage": "global/images/sm-1", "diskType": "pd-ssd", "diskSizeGb": 16 } }],
            "networkInterfaces": [{ "network": "global/networks/default" }],
            "serviceAccounts": [{ "email": "default", "scopes": ["https://www.googleapis.com/auth/cloud-platform"] }],
            "tags": { "items": ["http-server", "sm-1-sm"] },
            "metadata": { "items": [{ "key": "startup-script", "value": "#!/bin/bash" }] },
        } }),
    );
    for kind in ["balancing", "healing"] {
        client.done(
            Verb::Post,
            "global/healthChecks",
            json!({ "name": format!("sm-1-{kind}"), "type": "HTTP",
                "httpHealthCheck": { "port": 5080, "portSpecification": "USE_FIXED_PORT", "requestPath": "/" } }),
        );
    }
}

pub fn firewall(client: &mut Client) {
    client.done(
        Verb::Post,
        "global/firewalls",
        json!({ "name": "sm-1-allow-probes", "network": "global/networks/default", "direction": "INGRESS",
            "sourceRanges": ["130.211.0.0/22", "35.191.0.0/16"], "targetTags": ["sm-1-sm"],
            "allowed": [{ "IPProtocol": "tcp", "ports": ["5080"] }] }),
    );
}

pub fn group(client: &mut Client) {
    let group = "regions/us-central1/instanceGroupManagers";
    client.done(
        Verb::Post,
        group,
        json!({ "name": "sm-1-us", "baseInstanceName": "sm-1-us", "targetSize": 2,
            "versions": [{ "name": "v-1", "instanceTemplate": "global/instanceTemplates/sm-1-template" }],
            "distributionPolicy": { "targetShape": "EVEN", "zones": [
                { "zone": "projects/demo/zones/us-central1-a" }, { "zone": "projects/demo/zones/us-central1-b" }] },
            "autoHealingPolicies": [{ "healthCheck": "global/healthChecks/sm-1-healing", "initialDelaySec": 300 }],
            "updatePolicy": { "type": "OPPORTUNISTIC", "minimalAction": "REPLACE",
                "maxSurge": { "fixed": 2 }, "maxUnavailable": { "fixed": 0 } } }),
    );
    let before = client.get(&compute("regions/us-central1/instanceGroups/sm-1-us"));
    client.done(
        Verb::Post,
        "regions/us-central1/instanceGroups/sm-1-us/setNamedPorts",
        json!({ "namedPorts": [{ "name": "sm-http", "port": 5080 }], "fingerprint": before["fingerprint"] }),
    );
    client.done(
        Verb::Post,
        "regions/us-central1/autoscalers",
        json!({ "name": "sm-1-us", "target": format!("projects/demo/{group}/sm-1-us"),
            "autoscalingPolicy": { "mode": "ONLY_SCALE_OUT", "minNumReplicas": 3, "maxNumReplicas": 10,
                "coolDownPeriodSec": 300, "cpuUtilization": { "utilizationTarget": 0.6 } } }),
    );
}

pub fn balancer(client: &mut Client) -> String {
    let name = "regions/us-central1/instanceGroupManagers/sm-1-us";
    let group = client.get(&compute(name))["instanceGroup"].clone();
    client.done(
        Verb::Post,
        "global/backendServices",
        json!({ "name": "sm-1-backend", "loadBalancingScheme": "EXTERNAL", "protocol": "HTTP", "portName": "sm-http",
            "timeoutSec": 86400, "healthChecks": ["global/healthChecks/sm-1-balancing"],
            "backends": [{ "group": group, "balancingMode": "UTILIZATION", "maxUtilization": 0.8 }] }),
    );
    client.done(
        Verb::Post,
        "global/urlMaps",
        json!({ "name": "sm-1", "defaultService": "global/backendServices/sm-1-backend" }),
    );
    client.done(
        Verb::Post,
        "global/addresses",
        json!({ "name": "sm-1-address", "addressType": "EXTERNAL", "ipVersion": "IPV4" }),
    );
    client.done(
        Verb::Post,
        "global/sslCertificates",
        json!({ "name": "sm-1-certificate", "type": "MANAGED", "managed": { "domains": ["sm.example.com"] } }),
    );
    client.done(
        Verb::Post,
        "global/targetHttpsProxies",
        json!({ "name": "sm-1-proxy", "urlMap": "global/urlMaps/sm-1",
            "sslCertificates": ["global/sslCertificates/sm-1-certificate"] }),
    );
    client.done(
        Verb::Post,
        "global/forwardingRules",
        json!({ "name": "sm-1-https", "IPAddress": "global/addresses/sm-1-address", "IPProtocol": "TCP",
            "portRange": "443", "target": "global/targetHttpsProxies/sm-1-proxy", "loadBalancingScheme": "EXTERNAL" }),
    );
    client.get(&compute("global/addresses/sm-1-address"))["address"]
        .as_str()
        .unwrap_or("")
        .to_string()
}

fn healthy(list: &Json, count: usize) -> bool {
    let machines = list["managedInstances"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    machines.len() == count
        && machines.iter().all(|m| {
            m["currentAction"] == "NONE"
                && m["instanceHealth"][0]["detailedHealthState"] == "HEALTHY"
        })
}

#[test]
fn from_a_running_machine_to_an_active_certificate() {
    let mut client = Client::new();
    image(&mut client);
    template(&mut client);
    firewall(&mut client);
    group(&mut client);
    let manager = "regions/us-central1/instanceGroupManagers/sm-1-us";
    let waited = client.until(10, &compute(manager), |g| {
        g["status"]["isStable"] == true && g["targetSize"] == 3
    });
    assert!((60..240).contains(&waited), "{waited}");
    let list = client.post(
        &compute(&format!("{manager}/listManagedInstances")),
        Json::Null,
    );
    assert!(healthy(&list, 3), "{list}");
    let vm = list["managedInstances"][0]["instance"]
        .as_str()
        .expect("link")
        .to_string();
    let vm = client.get(
        vm.strip_prefix("https://www.googleapis.com/")
            .expect("link"),
    );
    assert_eq!(vm["status"], "RUNNING");
    assert_eq!(vm["metadata"]["items"][2]["key"], "created-by");

    let address = balancer(&mut client);
    let rule = client.get(&compute("global/forwardingRules/sm-1-https"));
    assert_eq!(rule["portRange"], "443-443");
    assert_eq!(rule["IPAddress"], json!(address));
    assert_eq!(
        client.get(&compute("global/addresses/sm-1-address"))["status"],
        "IN_USE"
    );
    let group = client.get(&compute(manager))["instanceGroup"].clone();
    let health = client.post(
        &compute("global/backendServices/sm-1-backend/getHealth"),
        json!({ "group": group }),
    );
    let states = health["healthStatus"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    assert_eq!(states.len(), 3);
    assert!(
        states
            .iter()
            .all(|s| s["healthState"] == "HEALTHY" && s["port"] == 5080),
        "{health}"
    );

    let certificate = compute("global/sslCertificates/sm-1-certificate");
    client.sleep(1200);
    let waiting = client.get(&certificate);
    assert_eq!(waiting["managed"]["status"], "PROVISIONING");
    assert_eq!(
        waiting["managed"]["domainStatus"]["sm.example.com"],
        "FAILED_NOT_VISIBLE"
    );
    let now = client.now;
    client.sim.approved(now);
    let took = client.until(30, &certificate, |c| c["managed"]["status"] == "ACTIVE");
    assert!((300..900).contains(&took), "{took}");
}

#[test]
fn without_the_firewall_rule_nothing_is_healthy() {
    let mut client = Client::new();
    image(&mut client);
    template(&mut client);
    group(&mut client);
    client.sleep(200);
    let manager = "regions/us-central1/instanceGroupManagers/sm-1-us";
    let before = client.get(&compute(manager));
    assert_eq!(before["status"]["isStable"], false);
    assert_eq!(before["currentActions"]["verifying"], 3);
    let list = client.post(
        &compute(&format!("{manager}/listManagedInstances")),
        Json::Null,
    );
    assert_eq!(
        list["managedInstances"][0]["instanceHealth"][0]["detailedHealthState"],
        "TIMEOUT"
    );
    firewall(&mut client);
    let took = client.until(1, &compute(manager), |g| g["status"]["isStable"] == true);
    assert!(
        (5..15).contains(&took),
        "two probes of five seconds: {took}"
    );
}

#[test]
fn a_new_template_rolls_one_machine_at_a_time() {
    let mut client = Client::new();
    image(&mut client);
    template(&mut client);
    firewall(&mut client);
    group(&mut client);
    let manager = "regions/us-central1/instanceGroupManagers/sm-1-us";
    client.until(10, &compute(manager), |g| {
        g["status"]["isStable"] == true && g["targetSize"] == 3
    });
    client.done(
        Verb::Patch,
        manager,
        json!({ "versions": [{ "name": "v-2", "instanceTemplate": "global/instanceTemplates/sm-1-template" }],
            "updatePolicy": { "type": "PROACTIVE" } }),
    );
    let just = client.get(&compute(manager));
    assert_eq!(
        just["status"]["isStable"], true,
        "the patch is not noticed yet"
    );
    assert_eq!(just["versions"][0]["name"], "v-2");
    client.sleep(8);
    assert_eq!(
        client.get(&compute(manager))["status"]["versionTarget"]["isReached"],
        false
    );
    let took = client.until(10, &compute(manager), |g| {
        g["status"]["isStable"] == true && g["status"]["versionTarget"]["isReached"] == true
    });
    assert!((180..900).contains(&took), "{took}");
    let list = client.post(
        &compute(&format!("{manager}/listManagedInstances")),
        Json::Null,
    );
    assert!(healthy(&list, 3), "{list}");
    assert!(
        list["managedInstances"]
            .as_array()
            .expect("list")
            .iter()
            .all(|m| m["version"]["name"] == "v-2")
    );
}

#[test]
fn a_canary_is_a_share_of_the_group() {
    let mut client = Client::new();
    image(&mut client);
    template(&mut client);
    firewall(&mut client);
    group(&mut client);
    let manager = "regions/us-central1/instanceGroupManagers/sm-1-us";
    client.until(10, &compute(manager), |g| {
        g["status"]["isStable"] == true && g["targetSize"] == 3
    });
    let before = client.get(&compute(manager))["versions"].clone();
    assert_eq!(before[0]["targetSize"]["calculated"], 3);
    let mut versions = before.clone();
    let canary = json!({ "name": "canary", "targetSize": { "fixed": 1 }, "instanceTemplate": before[0]["instanceTemplate"] });
    versions.as_array_mut().expect("list").push(canary);
    client.done(
        Verb::Patch,
        manager,
        json!({ "versions": versions, "updatePolicy": { "type": "PROACTIVE" } }),
    );
    client.sleep(8);
    let reached = |g: &Json| {
        g["status"]["isStable"] == true && g["status"]["versionTarget"]["isReached"] == true
    };
    client.until(10, &compute(manager), reached);
    let list = client.post(
        &compute(&format!("{manager}/listManagedInstances")),
        Json::Null,
    );
    let of = |name: &str| {
        let all = list["managedInstances"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        all.iter().filter(|m| m["version"]["name"] == name).count()
    };
    assert_eq!((of("v-1"), of("canary")), (2, 1));
    client.done(Verb::Patch, manager, json!({ "versions": before }));
    client.sleep(8);
    client.until(10, &compute(manager), reached);
    assert_eq!(
        client.get(&compute(manager))["versions"][0]["targetSize"]["calculated"],
        3
    );
}

#[test]
fn what_is_used_stays() {
    let mut client = Client::new();
    image(&mut client);
    template(&mut client);
    firewall(&mut client);
    group(&mut client);
    balancer(&mut client);
    for path in [
        "global/healthChecks/sm-1-healing",
        "global/healthChecks/sm-1-balancing",
        "regions/us-central1/instanceGroupManagers/sm-1-us",
        "global/backendServices/sm-1-backend",
        "global/urlMaps/sm-1",
        "global/targetHttpsProxies/sm-1-proxy",
        "global/sslCertificates/sm-1-certificate",
        "global/addresses/sm-1-address",
    ] {
        let (status, body) = client.send(Verb::Delete, &compute(path), Json::Null);
        assert_eq!(status, 400, "{path}: {body}");
        assert_eq!(
            body["error"]["errors"][0]["reason"], "resourceInUseByAnotherResource",
            "{path}"
        );
    }
    for path in [
        "global/instanceTemplates/sm-1-template",
        "global/networks/default",
    ] {
        let (status, operation) = client.send(Verb::Delete, &compute(path), Json::Null);
        assert_eq!(status, 200, "told by the operation: {operation}");
        let failed = client.ended(operation);
        assert_eq!(
            failed["error"]["errors"][0]["code"], "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE",
            "{path}"
        );
        assert_eq!(failed["httpErrorMessage"], "BAD REQUEST");
        client.get(&compute(path));
    }
    for path in [
        "global/forwardingRules/sm-1-https",
        "global/targetHttpsProxies/sm-1-proxy",
        "global/sslCertificates/sm-1-certificate",
        "global/urlMaps/sm-1",
        "global/backendServices/sm-1-backend",
        "regions/us-central1/autoscalers/sm-1-us",
        "regions/us-central1/instanceGroupManagers/sm-1-us",
        "global/instanceTemplates/sm-1-template",
        "global/healthChecks/sm-1-healing",
        "global/addresses/sm-1-address",
    ] {
        client.done(Verb::Delete, path, Json::Null);
    }
    assert_eq!(
        client
            .get(&compute("zones/us-central1-a/instances"))
            .get("items"),
        None
    );
}
