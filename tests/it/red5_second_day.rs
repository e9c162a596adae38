//! The flows of `workflows/red5` for the days before and after `autoscale`, and the parts of the library that none uses.

use std::process::Command;

use serde_json::{Value as Json, json};

use crate::harness::Folder;
use crate::red5::{Site, has, lacks};

/// In the order in which they stand, though others may stand between.
#[track_caller]
fn in_order(changes: &[String], calls: &[&str]) {
    let mut rest = changes.iter();
    for call in calls {
        assert!(
            rest.any(|c| c == call),
            "{call} is missing, or too early: {changes:#?}"
        );
    }
}

#[test]
fn prerequisites_make_what_the_manual_takes_for_granted() {
    let site = Site::empty("--sim");
    let (said, changes) = site.changed("prerequisites", &[]);
    let _ = said
        .out_has("machine = \"studio-sm-1\"")
        .err_has("Install Red5 Pro on studio-sm-1")
        .never_has("worth-");
    in_order(
        &changes,
        &["POST global/networks", "POST zones/us-central1-a/instances"],
    );
    in_order(
        &changes,
        &[
            "POST instances",
            "POST instances/studio/databases",
            "POST instances/studio/users",
            "PATCH instances/studio",
        ],
    );
    let rules = changes.iter().filter(|c| *c == "POST global/firewalls");
    assert_eq!(rules.count(), 3, "{changes:#?}");
    site.nothing_left("prerequisites", &[]);
    // A database that is there keeps what it is.
    site.nothing_left("prerequisites", &["--input", "tier=db-n1-standard-4"]);
}

#[test]
fn autoscale_stands_on_what_prerequisites_made() {
    let site = Site::empty("--sim");
    let _ = site.changed("prerequisites", &[]);
    let ours = [
        "--input",
        "database=studio",
        "--input",
        "network=studio",
        "--input",
        "source={\"instance\": \"studio-sm-1\", \"zone\": \"us-central1-a\"}",
    ];
    let (_, changes) = site.changed("autoscale", &ours);
    has(&changes, "DELETE zones/us-central1-a/instances/studio-sm-1");
    has(&changes, "PATCH instances/studio");
    site.serves("v-4-1-2: sm-4-1-2-template");
}

#[test]
fn a_backup_is_made_once_for_each_occasion() {
    let site = Site::sound();
    let (said, changes) = site.changed("backup", &[]);
    let _ = said.out_has("snapshots = [\"stream-manager-1-before-4-2-0\"]");
    assert_eq!(changes.len(), 2, "{changes:#?}");
    has(&changes, "POST instances/red5/backupRuns");
    has(&changes, "POST global/snapshots");
    site.nothing_left("backup", &[]);
    let (_, changes) = site.changed("backup", &["--input", "occasion=november"]);
    assert_eq!(changes.len(), 2, "{changes:#?}");
}

#[test]
fn a_database_is_written_to_a_bucket_once() {
    let site = Site::empty("--sim");
    let bucket = ["--input", "bucket=dumps"];
    let (said, changes) = site.changed("backup", &bucket);
    let _ = said.out_has("file = \"gs://dumps/red5-before-4-2-0.sql.gz\"");
    has(&changes, "POST instances/red5/export");
    site.nothing_left("backup", &bucket);
}

#[test]
fn a_certificate_is_rotated_while_the_old_one_serves() {
    let site = Site::sound();
    let (said, changes) = site.changed("rotate-certificate", &[]);
    let _ = said
        .out_has("left = [\"sm-4-1-2-certificate\"]")
        .err_has("rotated/shown: waited in 30m");
    let set = "POST targetHttpsProxies/sm-4-1-2-proxy/setSslCertificates";
    assert_eq!(
        changes,
        [
            "POST global/sslCertificates",
            set,
            set,
            "DELETE global/sslCertificates/sm-4-1-2-certificate",
        ]
    );
    assert_eq!(site.status("certificate"), "ACTIVE");
    site.nothing_left("rotate-certificate", &[]);
    // What a rotation made goes with the deployment.
    let (_, changes) = site.changed("teardown", &[]);
    has(
        &changes,
        "DELETE global/sslCertificates/sm-4-1-2-certificate-2027",
    );
}

#[test]
fn a_certificate_that_never_becomes_active_leaves_the_old_one_where_it_is() {
    let refused = "certificate_failures = { \"tv.example.com\" = \"FAILED_CAA_FORBIDDEN\" }\n";
    let site = Site::empty("--sim=more.toml");
    site.folder.write("more.toml", refused);
    let _ = site.changed("autoscale", &[]);
    let other = ["--input", "domains=[\"tv.example.com\"]"];
    let before = site.changes().len();
    let _ = site
        .run("rotate-certificate", &other)
        .ends(6)
        .err_has("Point the A records of tv.example.com");
    let changes = site.changes().split_off(before);
    lacks(&changes, "DELETE");
    assert_eq!(site.status("certificate"), "ACTIVE", "the old one is first");
    let id = site.newest_of("rotate");
    let _ = site.folder.run(&["rollback", &id, "--yes"]).ends(0);
    // The new one joined, and is taken away again; the rollback names it by its number.
    let changes = site.changes().split_off(before);
    assert_eq!(changes.len(), 4, "{changes:#?}");
    assert!(
        changes[3].starts_with("DELETE global/sslCertificates/"),
        "{changes:#?}"
    );
    assert_eq!(site.status("certificate"), "ACTIVE");
}

#[test]
fn a_window_is_added_to_those_that_a_group_has() {
    let site = Site::sound();
    let (said, changes) = site.changed("scale-window", &[]);
    let _ = said.out_has("{\"us-central1\":[\"friday-show\"],\"us-east1\":[\"friday-show\"]}");
    assert_eq!(changes.len(), 2, "{changes:#?}");
    site.nothing_left("scale-window", &[]);
    let window =
        "windows={\"gala\": {\"begins\": \"0 18 24 12 *\", \"lasts\": \"6h\", \"machines\": 6}}";
    let (said, changes) = site.changed("scale-window", &["--input", window]);
    let _ = said.out_has("\"us-east1\":[\"friday-show\",\"gala\"]");
    assert_eq!(changes.len(), 2, "{changes:#?}");
    let too_many = window.replace("6}", "7}");
    let _ = site
        .run("scale-window", &["--input", &too_many])
        .ends(1)
        .err_has("sm-4-1-2-us-east1 may have 6 machines at most; a window asks for 7.");
}

#[test]
fn blue_green_turns_the_load_balancer_and_then_takes_the_old_groups_down() {
    let site = Site::sound();
    let (said, changes) = site.changed("blue-green", &[]);
    let _ = said
        .out_has("deployment = \"sm-4-2-0\"")
        .out_has("serves = \"sm-4-2-0-backend\"")
        .err_has("4 machines run 4-2-0 and answer as next.sm.example.com");
    in_order(
        &changes,
        &[
            "POST regions/us-east1/instanceGroupManagers",
            "POST global/backendServices",
            "PATCH global/urlMaps/sm-4-1-2",
            "PATCH global/urlMaps/sm-4-1-2",
            "DELETE global/backendServices/sm-4-1-2-backend",
            "DELETE regions/us-east1/autoscalers/sm-4-1-2-us-east1",
            "DELETE regions/us-east1/instanceGroupManagers/sm-4-1-2-us-east1",
        ],
    );
    let new = site.groups_of("sm-4-2-0");
    for region in ["us-central1", "us-east1"] {
        assert_eq!(new[region]["serving"], 2, "{new:#}");
        assert_eq!(site.status("groups")[region], "absent");
    }
    site.nothing_left("blue-green", &[]);
    // The way in goes with the first deployment, then the second one can go.
    let _ = site.changed("teardown", &[]);
    let second = ["--input", "deployment=sm-4-2-0"];
    let (_, changes) = site.changed("teardown", &second);
    has(&changes, "DELETE global/backendServices/sm-4-2-0-backend");
}

#[test]
fn a_denied_blue_green_is_taken_back_without_a_trace_at_the_load_balancer() {
    let site = Site::sound();
    let before = site.changes().len();
    let _ = site.run("blue-green", &["--until", "built_new"]).ends(6);
    let id = site.newest_of("blue_green");
    let _ = site.folder.run(&["resume", &id]).ends(6);
    let _ = site.folder.run(&["approve", &id, "good", "--deny"]).ends(0);
    let _ = site.folder.run(&["resume", &id]).ends(1);
    let _ = site.folder.run(&["rollback", &id, "--yes"]).ends(0);
    let changes = site.changes().split_off(before);
    has(
        &changes,
        "DELETE regions/us-east1/instanceGroupManagers/sm-4-2-0-us-east1",
    );
    lacks(&changes, "DELETE global/backendServices/sm-4-1-2-backend");
    assert_eq!(site.groups_of("sm-4-2-0")["us-east1"], "absent");
    site.serves("v-4-1-2: sm-4-1-2-template");
}

#[test]
fn blue_green_leaves_no_region_behind() {
    let site = Site::sound();
    let before = site.changes().len();
    let one = ["--input", "regions=[\"us-central1\"]"];
    let _ = site
        .run("blue-green", &one)
        .ends(1)
        .err_has("sm-4-1-2-us-east1 serves too");
    assert_eq!(site.changes().len(), before);
}

#[test]
fn a_preflight_tells_all_that_is_short_and_changes_nothing() {
    let site = Site::empty("--sim=few.toml");
    let few = "[quotas.us-central1]\nCPUS = 20\n[quotas.global]\nCPUS_ALL_REGIONS = 30\n";
    site.folder.write("few.toml", few);
    let _ = site
        .run("preflight", &[])
        .ends(1)
        .err_has("CPUS_ALL_REGIONS: 44 needed, 28 left; CPUS of us-central1: 26 needed, 18 left");
    assert_eq!(site.changes(), [""; 0]);
    let one = "groups={\"us-central1\": {\"zones\": [\"us-central1-a\"], \"min\": 2, \"max\": 8}}";
    let (said, changes) = site.changed("preflight", &["--input", one]);
    let _ = said.out_has("machines_to_come = {\"us-central1\":9}");
    assert_eq!(changes, [""; 0]);
    let elsewhere = one.replace("us-central1-a", "us-east1-b");
    let _ = site
        .run("preflight", &["--input", &elsewhere])
        .ends(1)
        .err_has("us-east1-b is not in us-central1");
}

#[test]
fn a_builder_cannot_reach_the_database_while_it_is_upgraded() {
    let site = Site::sound();
    let (_, changes) = site.changed("update-rolling", &[]);
    in_order(
        &changes,
        &[
            "POST global/firewalls",
            "POST zones/us-central1-b/instances",
            "DELETE zones/us-central1-b/instances/sm-4-2-0-builder",
            "DELETE global/firewalls/sm-4-2-0-builder-no-database",
        ],
    );
    site.nothing_left("update-rolling", &[]);
}

#[test]
fn the_manuals_own_way_to_the_database_is_warned_of() {
    let site = Site::sound();
    let (said, _) = site.changed("database-access", &["--input", "way=manual"]);
    let _ = said.out_has("NO CONNECTION EVER COMES FROM THE LOAD BALANCER'S ADDRESS");
    let (said, _) = site.changed("database-access", &["--input", "way=nat"]);
    let _ = said.never_has("NO CONNECTION");
}

/// Deletes by label: what carries another one, or none, stays.
const SAFE: &str = "use gcp/safe_delete { delete_disk_of, delete_image_of, delete_machine_of, delete_snapshot_of }

workflow safe {
  input project: string
  at { project }
  let label = \"deployment\"
  let value = \"sm-4-1-2\"
  step image = run delete_image_of { project, image: \"sm-4-1-2\", label, value }
  step machine = run delete_machine_of {
    project
    zone: \"us-central1-a\"
    machine: \"foreign\"
    label
    value
  }
  step disk = run delete_disk_of { project, zone: \"us-central1-a\", disk: \"ours\", label, value }
  step busy = run delete_disk_of { project, zone: \"us-central1-a\", disk: \"foreign\", label, value }
  step none = run delete_snapshot_of { project, snapshot: \"none\", label, value }
  output image = image.outcome
  output machine = machine.outcome
  output disk = disk.outcome
  output busy = busy.outcome
  output none = none.outcome
}
";

const STRANGERS: &str = "
[[resources]]
collection = \"compute.disks\"
at = { zone = \"us-central1-a\" }
body = { name = \"ours\", sizeGb = \"10\", labels = { deployment = \"sm-4-1-2\" } }

[[resources]]
collection = \"compute.instances\"
at = { zone = \"us-central1-a\" }

[resources.body]
name = \"foreign\"
machineType = \"zones/us-central1-a/machineTypes/e2-small\"
labels = { deployment = \"another\" }
disks = [{ boot = true, autoDelete = true, initializeParams = { sourceImage = \"projects/ubuntu-os-cloud/global/images/family/ubuntu-2204-lts\", labels = { deployment = \"sm-4-1-2\" } } }]
networkInterfaces = [{ network = \"projects/{project}/global/networks/default\" }]
";

#[test]
fn a_safe_delete_takes_only_what_carries_the_label() {
    let demo = include_str!("../../src/sim/demo.toml");
    let (_, resources) = demo
        .split_once("[[resources]]")
        .expect("resources of the demo");
    let world = format!("[[resources]]{resources}{STRANGERS}");
    let folder = Folder::new(&[("safe.r5flow", SAFE), ("world.toml", &world)]);
    let words = [
        "run",
        "safe.r5flow",
        "--input",
        "project=demo",
        "--sim=world.toml",
        "--yes",
    ];
    let said = folder.run(&words).ends(0);
    let _ = said
        .out_has("image = \"gone\"")
        .out_has("machine = \"somebody else's\"")
        .out_has("disk = \"gone\"")
        .out_has("busy = \"")
        .out_has("none = \"gone\"")
        .err_has("disk/gone: compute.disks.delete")
        .never_has("compute.instances.delete")
        .never_has("busy/gone: compute.disks.delete");
}

/// Runs a script of the library where `curl`, `systemctl` and `logger` are stand-ins; gives the properties afterwards,
/// and whether Red5 was restarted.
fn booted(script: &str, properties: &str) -> (String, bool) {
    let folder = Folder::new(&[("web.properties", properties)]);
    let module = include_str!("../../stdlib/red5/stream_manager.r5flow");
    let (_, rest) = module
        .split_once(&format!("let {script} = \"\"\"bash\n"))
        .expect("the script");
    let (body, _) = rest.split_once("\n  \"\"\"").expect("its end");
    let body: String = body
        .lines()
        .map(|l| format!("{}\n", l.trim_start_matches("  ")))
        .collect();
    let file = "/usr/local/red5pro/webapps/streammanager/WEB-INF/red5-web.properties";
    let stand_ins = "systemctl() { touch restarted; }\nlogger() { :; }\ncurl() { echo \"${@: -1}\" | tr -c 'a-z0-9\\n' '-' | tail -c 6; }\n";
    folder.write(
        "boot.sh",
        &format!("{stand_ins}{}", body.replace(file, "web.properties")),
    );
    let ran = Command::new("bash")
        .arg("boot.sh")
        .current_dir(folder.path(""))
        .output()
        .expect("bash");
    assert!(ran.status.success(), "{ran:?}");
    (
        folder.read("web.properties"),
        folder.path("restarted").exists(),
    )
}

#[test]
fn both_startup_scripts_give_a_stream_manager_its_name() {
    let shipped = "config.dbHost=10.0.0.2\nstreammanager.ip=127.0.0.1\nproxy.enabled=true\n";
    for script in ["startup_script", "seed_startup_script"] {
        let (after, restarted) = booted(script, shipped);
        assert!(restarted, "{script}");
        let (before, name) = after.split_once("streammanager.ip=").expect("the property");
        assert_eq!(before, "config.dbHost=10.0.0.2\n");
        let (name, rest) = name.split_once('\n').expect("a line");
        assert_eq!(rest, "proxy.enabled=true\n");
        assert!(name.len() > 4 && name != "127.0.0.1", "{script}: {name}");
        let seed = name.len() == 20 && name.ends_with(".com");
        assert_eq!(seed, script == "seed_startup_script", "{name}");
    }
    let (once, _) = booted("startup_script", shipped);
    let (twice, restarted) = booted("startup_script", &once);
    assert_eq!(once, twice);
    assert!(!restarted, "the name is the same at every boot");
}

/// What no flow uses of the library.
const PARTS: &str = "use red5/image { image_of_running_machine }
use red5/load_balancer { backend, frontend, plain_listener }

workflow parts {
  input project: string
  at { project }
  step forced = run image_of_running_machine {
    project
    name: \"sm-c\"
    machine: \"stream-manager-1\"
    zone: \"us-central1-a\"
  }
  step check = ensure compute.healthChecks(\"c\") { type: \"HTTP\", httpHealthCheck: { port: 5080 } }
  step group = ensure compute.instanceGroups(\"g\", zone: \"us-central1-a\") {}
  step back = run backend {
    project
    name: \"b\"
    balancer: \"lb\"
    groups: { g: group.selfLink }
    check: check.selfLink
  }
  step front = run frontend { project, name: \"lb\", domain: \"sm.example.com\", url_map: back.url_map }
  step nodes = run plain_listener {
    project
    name: \"lb\"
    url_map: back.url_map
    address: front.address_link
  }
  output image = forced.image
  output listener = nodes.listener
}
";

#[test]
fn an_image_is_forced_and_nodes_have_a_listener_of_their_own() {
    let folder = Folder::new(&[("parts.r5flow", PARTS)]);
    let words = [
        "run",
        "parts.r5flow",
        "--input",
        "project=demo",
        "--sim",
        "--yes",
    ];
    let said = folder.run(&words).ends(0);
    let _ = said
        .out_has("global/images/sm-c")
        .out_has("global/forwardingRules/lb-nodes")
        .never_has("instances.stop");
    let again = folder.run(&words).ends(0);
    let _ = again.never_has("insert").never_has("patch");
}

#[test]
fn an_image_of_nodes_is_made_once() {
    let site = Site::empty("--sim");
    let (said, changes) = site.changed("node-image", &[]);
    let _ = said
        .out_has("image = \"node-4-1-2\"")
        .err_has("cloudWatchHost https://sm.example.com/streammanager/cloudwatch");
    in_order(
        &changes,
        &[
            "POST zones/us-central1-a/instances",
            "POST zones/us-central1-a/instances/node-4-1-2-builder/stop",
            "DELETE zones/us-central1-a/instances/node-4-1-2-builder",
            "POST global/images",
            "DELETE zones/us-central1-a/disks/node-4-1-2-builder",
        ],
    );
    site.nothing_left("node-image", &[]);
}

#[test]
fn stream_manager_2_stands_on_port_80_without_a_database() {
    let site = Site::empty("--sim");
    let (said, changes) = site.changed("autoscale-sm2", &[]);
    let _ = said.out_has("url = \"https://sm2.example.com/as/v1\"");
    in_order(
        &changes,
        &[
            "POST zones/us-central1-a/instances/stream-manager-1/stop",
            "POST global/images",
            "POST zones/us-central1-a/instances/stream-manager-1/start",
        ],
    );
    lacks(&changes, "PATCH instances/");
    let sent = site.folder.read(".r5flow/sim/cloud.log");
    assert!(!sent.contains("sqladmin"), "no database");
    let (_, changes) = site.changed("autoscale-sm2", &[]);
    assert_eq!(changes, [""; 0]);
    let groups = ["--input", "deployment=sm2-14-0-0"];
    let said = site.run(
        "rolling-replace",
        &[&groups[..], &["--input", "regions=[\"europe-west1\"]"]].concat(),
    );
    let _ = said.ends(0).out_has("healthy = 2");
}

#[test]
fn a_node_group_is_brought_into_service_and_taken_down() {
    let site = Site::empty("--sim");
    let api = "https://sm.example.com/streammanager/api/4.0/admin";
    let (said, changes) = site.changed("node-group", &[]);
    let _ = said
        .out_has("\"node-main-1\":\"origin at 198.51.100.1\"")
        .out_has("\"node-main-3\":\"edge at")
        .err_has("made/serving: waited in 2m")
        .never_has("worth-nothing");
    in_order(
        &changes,
        &[
            &format!("POST {api}/configurations/scalepolicy"),
            &format!("POST {api}/nodegroup"),
            &format!("POST {api}/nodegroup/main/node/origin"),
        ],
    );
    has(&changes, &format!("POST {api}/configurations/launchconfig"));
    assert_eq!(changes.len(), 4, "{changes:#?}");
    let (_, changes) = site.changed("node-group", &[]);
    assert_eq!(changes, [""; 0]);
    let absent = ["--input", "wanted=absent"];
    let (said, changes) = site.changed("node-group", &absent);
    let _ = said.out_has("gone = [\"node-main-1\",\"node-main-2\",\"node-main-3\"]");
    assert_eq!(changes, [format!("DELETE {api}/nodegroup/main")]);
    let (_, changes) = site.changed("node-group", &absent);
    assert_eq!(changes, [""; 0]);
}

#[test]
fn a_node_group_needs_origins_and_is_taken_back_by_a_rollback() {
    let site = Site::empty("--sim");
    let edges = "roles=[{\"role\": \"edge\", \"machine\": \"e2-small\", \"connections\": 1, \"min\": 1, \"max\": 2}]";
    let _ = site
        .run("node-group", &["--input", edges])
        .ends(3)
        .err_has("A group needs origins.");
    assert_eq!(site.changes(), [""; 0]);
    let _ = site.changed("node-group", &[]);
    let id = site.newest_of("nodes");
    let back = ["rollback", id.as_str(), "--yes"];
    let token = [("R5FLOW_INPUT_TOKEN", "simulated-and-worth-nothing")];
    let _ = site
        .folder
        .run(&back)
        .ends(64)
        .err_has("`token` (`R5FLOW_INPUT_TOKEN`)");
    let _ = site.folder.run_with(&back, &token, "").ends(0);
    has(
        &site.changes(),
        "DELETE https://sm.example.com/streammanager/api/4.0/admin/nodegroup/main",
    );
}

impl Site {
    /// The groups of another deployment, as `status` sees them.
    #[track_caller]
    fn groups_of(&self, deployment: &str) -> Json {
        let deployment = format!("deployment={deployment}");
        let said = self
            .run("status", &["--json", "--input", &deployment])
            .ends(0);
        let lines = said.lines();
        let outputs = lines.iter().find_map(|l| l.get("outputs"));
        outputs.map_or(json!(null), |o| o["groups"].clone())
    }

    /// The newest run of a workflow.
    fn newest_of(&self, workflow: &str) -> String {
        let said = self.folder.run(&["runs"]).ends(0);
        let ids = said.out.lines().filter(|l| l.contains(workflow));
        let ids = ids.filter_map(|l| l.split_whitespace().next());
        ids.max().expect("a run").to_owned()
    }
}
