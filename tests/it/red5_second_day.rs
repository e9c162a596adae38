//! The flows of `workflows/red5` for the days before and after `autoscale`, and the parts of the library that none uses.

use std::process::Command;

use serde_json::{Value as Json, json};

use crate::harness::Folder;
use crate::red5::{Site, has, lacks};

/// The plan tells what the second run does, which is nothing; and no secret is in what either says.
#[test]
fn a_plan_after_each_flow_has_nothing_to_change() {
    let site = Site::sound();
    for flow in [
        "prerequisites",
        "node-image",
        "backup",
        "scale-window",
        "rotate-certificate",
        "database-access",
        "rolling-restart",
        "rolling-replace",
        "update-rolling",
        "blue-green",
    ] {
        // The build after that of the update.
        let more: &[&str] = match flow {
            "blue-green" => &["--input", "build=4-3-0"],
            _ => &[],
        };
        let (said, _) = site.changed(flow, more);
        let _ = said.never_has("worth-");
        let plan = site.command(&["plan"], flow, more).ends(0);
        let _ = plan.out_has("nothing to change").never_has("worth-");
    }
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
