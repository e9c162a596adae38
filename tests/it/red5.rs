//! The flows of `workflows/red5`, on the project that `autoscale` left, as people run them.
//!
//! What each one did is read from the simulator's log of changes; how it ended, by running `status`.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value as Json;

use crate::harness::{Folder, Words};

/// Images of the build 4-2-0 boot, and never answer their health check.
const BROKEN: &str = "[[images]]\nimage = \"sm-4-2-0\"\nhealthy = false\n";

/// A folder in which `autoscale` ran, with the flows beside it.
pub struct Site {
    pub folder: Folder,
    scenario: &'static str,
}

impl Site {
    /// Where images of every build serve.
    pub fn sound() -> Site {
        static LEFT: OnceLock<Folder> = OnceLock::new();
        Site::after(&LEFT, "--sim")
    }

    /// Where those of 4-2-0 do not.
    fn broken() -> Site {
        static LEFT: OnceLock<Folder> = OnceLock::new();
        Site::after(&LEFT, "--sim=broken.toml")
    }

    fn after(left: &'static OnceLock<Folder>, scenario: &'static str) -> Site {
        let left = left.get_or_init(|| {
            let folder = Site::empty(scenario).folder;
            let site = Site { folder, scenario };
            let _ = site.run("autoscale", &[]).ends(0);
            site.folder
        });
        let site = Site::empty(scenario);
        copy(&left.path(".r5flow"), &site.folder.path(".r5flow"));
        site
    }

    pub fn empty(scenario: &'static str) -> Site {
        let folder = Folder::new(&[("broken.toml", BROKEN)]);
        copy(&shipped(), &folder.path(""));
        Site { folder, scenario }
    }

    pub fn command(&self, what: &[&str], flow: &str, more: &[&str]) -> crate::harness::Said {
        let (file, inputs) = (format!("{flow}.r5flow"), format!("{flow}.example.toml"));
        let words = [
            &[what[0], &file, "--inputs", &inputs, self.scenario],
            &what[1..],
            more,
        ];
        self.folder.run(&words.concat())
    }

    pub fn run(&self, flow: &str, more: &[&str]) -> crate::harness::Said {
        self.command(&["run", "--yes"], flow, more)
    }

    /// The calls that changed something since the beginning: their verbs and paths below the project.
    pub fn changes(&self) -> Vec<String> {
        if !self.folder.path(".r5flow/sim/cloud.log").exists() {
            return Vec::new();
        }
        let log = self.folder.read(".r5flow/sim/cloud.log");
        let calls = log.lines().filter_map(|line| {
            let entry: Json = serde_json::from_str(line.split_once(' ')?.1).expect("an entry");
            let call = entry.get("call")?;
            let (verb, path) = (call["verb"].as_str()?, call["path"].as_str()?);
            let path = path.split_once("projects/demo/").map_or(path, |p| p.1);
            Some(format!("{verb} {path}"))
        });
        calls.collect()
    }

    /// Runs a flow that shall succeed, and tells what it changed.
    #[track_caller]
    pub fn changed(&self, flow: &str, more: &[&str]) -> (Words, Vec<String>) {
        let before = self.changes().len();
        let said = self.run(flow, more).ends(0);
        (said, self.changes().split_off(before))
    }

    /// A second run finds everything done, and the plan says so beforehand.
    #[track_caller]
    pub fn nothing_left(&self, flow: &str, more: &[&str]) {
        let plan = self.command(&["plan"], flow, more).ends(0);
        let _ = plan.out_has("nothing to change");
        let (_, changes) = self.changed(flow, more);
        assert_eq!(changes, [""; 0], "of a second {flow}");
    }

    /// An output of `status`.
    #[track_caller]
    pub fn status(&self, output: &str) -> Json {
        let said = self.run("status", &["--json"]).ends(0);
        let lines = said.lines();
        let outputs = lines.iter().find_map(|l| l.get("outputs"));
        outputs.expect("the outputs")[output].clone()
    }

    /// What every group shall be: this version, so many machines, and all of them serve.
    #[track_caller]
    pub fn serves(&self, version: &str) {
        let groups = self.status("groups");
        for region in ["us-central1", "us-east1"] {
            let group = &groups[region];
            assert_eq!(
                group["versions"],
                serde_json::json!([version]),
                "{groups:#}"
            );
            assert_eq!(group["serving"], 2, "{groups:#}");
            assert_eq!(group["stable"], true, "{groups:#}");
            assert_eq!(group["at_target"], true, "{groups:#}");
        }
    }

    /// The id of the newest run.
    pub fn newest(&self) -> String {
        let said = self.folder.run(&["runs", "--json"]).ends(0);
        let lines = said.lines();
        let ids = lines.iter().filter_map(|l| l["id"].as_str());
        ids.max().expect("a run").to_owned()
    }
}

fn shipped() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workflows/red5")
}

/// The flows that stand beside `autoscale`.
fn flows() -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir(shipped())
        .expect("the flows")
        .map(|e| {
            e.expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter_map(|name| name.strip_suffix(".r5flow").map(str::to_owned))
        .collect();
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).expect("a file");
        }
    }
}

#[track_caller]
pub fn has(changes: &[String], part: &str) {
    assert!(
        changes.iter().any(|c| c.contains(part)),
        "no {part:?} in {changes:#?}"
    );
}

#[track_caller]
pub fn lacks(changes: &[String], part: &str) {
    assert!(
        !changes.iter().any(|c| c.contains(part)),
        "{part:?} in {changes:#?}"
    );
}

#[test]
fn every_flow_is_formatted_and_without_findings_and_has_example_inputs() {
    let (left, fresh) = (Site::sound(), Site::empty("--sim"));
    let flows = flows();
    assert!(flows.len() >= 8, "{flows:?}");
    // The manual with its mistakes is there to be found wrong.
    for flow in flows.iter().filter(|flow| *flow != "as-written") {
        let file = format!("{flow}.r5flow");
        let site = match flow.starts_with("autoscale") {
            true => &fresh,
            false => &left,
        };
        let _ = site.folder.run(&["fmt", "--check", &file]).ends(0);
        let said = site.folder.run(&["check", &file]).ends(0);
        assert_eq!(said.out, "no mistakes: 1 file\n");
        let _ = site.command(&["plan"], flow, &[]).ends(0);
    }
}

#[test]
fn autoscale_is_done_after_one_run() {
    let site = Site::sound();
    site.nothing_left("autoscale", &[]);
    site.serves("v-4-1-2: sm-4-1-2-template");
    assert_eq!(site.status("certificate"), "ACTIVE");
}

#[test]
fn status_changes_nothing_and_tells_what_is_missing() {
    let site = Site::sound();
    let (said, changes) = site.changed("status", &[]);
    assert_eq!(changes, [""; 0]);
    let _ = said
        .out_has("certificate = \"ACTIVE\"")
        .out_has("\"serving\":2");
    let absent = ["--input", "deployment=sm-none"];
    let (said, _) = site.changed("status", &absent);
    let _ = said
        .out_has("certificate = \"absent\"")
        .out_has("{\"us-central1\":\"absent\",\"us-east1\":\"absent\"}");
}

#[test]
fn a_rolling_update_brings_a_new_build_to_every_group() {
    let site = Site::sound();
    let (said, changes) = site.changed("update-rolling", &[]);
    let _ = said
        .out_has("old_template = \"sm-4-1-2-template\"")
        .out_has("old_image = \"sm-4-1-2\"")
        .out_has("template = \"sm-4-2-0-template\"");
    has(
        &changes,
        "DELETE zones/us-central1-b/instances/sm-4-2-0-builder",
    );
    has(
        &changes,
        "DELETE zones/us-central1-b/disks/sm-4-2-0-builder",
    );
    let patches = changes.iter().filter(|c| c.starts_with("PATCH regions/"));
    assert_eq!(patches.count(), 2, "{changes:#?}");
    site.serves("v-4-2-0: sm-4-2-0-template");
    site.nothing_left("update-rolling", &[]);
}

#[test]
fn an_unhealthy_image_stops_the_update_and_a_rollback_brings_the_group_back() {
    let site = Site::broken();
    let before = site.changes().len();
    let _ = site
        .run("update-rolling", &[])
        .ends(1)
        .err_has("with sm-4-2-0-template never became healthy");
    let changes = site.changes().split_off(before);
    lacks(&changes, "PATCH regions/us-east1");
    let groups = site.status("groups");
    assert_eq!(
        groups["us-central1"]["serving"], 2,
        "the old ones serve on: {groups:#}"
    );
    assert_eq!(groups["us-central1"]["at_target"], false, "{groups:#}");
    let id = site.update();
    let _ = site.folder.run(&["rollback", &id, "--yes"]).ends(0);
    site.settles();
    site.serves("v-4-1-2: sm-4-1-2-template");
}

#[test]
fn a_canary_goes_to_all_when_it_is_approved() {
    let site = Site::sound();
    let (said, changes) = site.changed("update-canary", &[]);
    let _ = said.out_has("promoted = true");
    let patches = changes.iter().filter(|c| c.starts_with("PATCH regions/"));
    assert_eq!(patches.count(), 4, "two for each group: {changes:#?}");
    site.serves("v-4-2-0: sm-4-2-0-template");
    site.nothing_left("update-canary", &[]);
}

#[test]
fn a_denied_canary_returns_to_the_old_template_in_the_same_run() {
    let site = Site::sound();
    let _ = site.run("update-canary", &["--until", "built_new"]).ends(6);
    let id = site.newest();
    let _ = site.folder.run(&["resume", &id]).ends(6);
    let groups = site.status("groups");
    assert_eq!(
        groups["us-east1"]["versions"],
        serde_json::json!(["stays: sm-4-1-2-template", "v-4-2-0: sm-4-2-0-template"])
    );
    let _ = site.folder.run(&["approve", &id, "good", "--deny"]).ends(0);
    let said = site.folder.run(&["resume", &id]).ends(0);
    let _ = said
        .out_has("promoted = false")
        .out_has("running = \"sm-4-1-2-template\"");
    site.serves("v-4-1-2: sm-4-1-2-template");
}

#[test]
fn a_canary_that_never_answers_is_not_put_to_the_vote() {
    let site = Site::broken();
    let said = site.run("update-canary", &[]).ends(1);
    let _ = said
        .err_has("never became healthy")
        .never_has("Bring it to all?");
    let id = site.update();
    let _ = site.folder.run(&["rollback", &id, "--yes"]).ends(0);
    site.settles();
    site.serves("v-4-1-2: sm-4-1-2-template");
}

#[test]
fn a_restart_that_would_be_an_outage_is_refused_unless_it_is_allowed() {
    let site = Site::sound();
    let before = site.changes().len();
    let no = ["--input", "allow_outage=false"];
    let _ = site
        .run("rolling-restart", &no)
        .ends(1)
        .err_has("a restart takes 3 at once. Use rolling-replace, or allow the outage.");
    assert_eq!(site.changes().len(), before, "nothing was changed");
    let names = site.machines();
    let (_, changes) = site.changed("rolling-restart", &[]);
    assert_eq!(changes.len(), 2, "{changes:#?}");
    assert_eq!(site.machines(), names, "in place");
    site.serves("restart-new-password: sm-4-1-2-template");
    site.nothing_left("rolling-restart", &[]);
}

#[test]
fn a_replacement_makes_every_machine_anew() {
    let site = Site::sound();
    let old = site.machines();
    let (_, changes) = site.changed("rolling-replace", &[]);
    assert_eq!(changes.len(), 2, "{changes:#?}");
    let new = site.machines();
    assert_eq!((old.len(), new.len()), (4, 4));
    assert!(
        old.iter().all(|name| !new.contains(name)),
        "{old:?} {new:?}"
    );
    site.serves("replace-november: sm-4-1-2-template");
    site.nothing_left("rolling-replace", &[]);
}

#[test]
fn the_database_lets_in_who_is_told_and_keeps_whom_it_let_in() {
    let site = Site::sound();
    let before = site.status("let_in");
    let before = before.as_array().expect("a list").clone();
    assert_eq!(before.len(), 3, "the office and two regions: {before:?}");
    site.nothing_left("database-access", &["--input", "way=nat"]);
    let (_, changes) = site.changed("database-access", &[]);
    assert_eq!(changes.len(), 1, "{changes:#?}");
    let after = [&before[..], &["198.51.100.0/28".into()]].concat();
    assert_eq!(site.status("let_in"), Json::from(after.clone()));
    site.nothing_left("database-access", &[]);
    let _ = site.changed("database-access", &["--input", "way=manual"]);
    let front = format!(
        "{}/32",
        site.status("address").as_str().expect("an address")
    );
    let after = [&after[..], &[front.into()]].concat();
    assert_eq!(site.status("let_in"), Json::from(after));
    let private = ["--input", "way=private"];
    let (_, changes) = site.changed("database-access", &private);
    assert_eq!(
        changes.len(),
        3,
        "a range, a peering, the database: {changes:#?}"
    );
    site.nothing_left("database-access", &private);
}

#[test]
fn a_teardown_keeps_what_cannot_be_made_again() {
    let site = Site::sound();
    let (said, changes) = site.changed("teardown", &[]);
    let _ = said.out_has("kept = [\"images\",\"disks\",\"address\",\"database\"]");
    for kind in [
        "global/images/",
        "/disks/",
        "global/addresses/",
        "DELETE v1/",
    ] {
        lacks(&changes, kind);
    }
    has(
        &changes,
        "DELETE global/instanceTemplates/sm-4-1-2-template",
    );
    let order = [
        "DELETE global/forwardingRules/sm-4-1-2-https",
        "DELETE global/backendServices/sm-4-1-2-backend",
        "DELETE regions/us-east1/autoscalers/sm-4-1-2-us-east1",
        "DELETE regions/us-east1/instanceGroupManagers/sm-4-1-2-us-east1",
        "DELETE regions/us-east1/routers/sm-4-1-2-nat-us-east1",
        "DELETE regions/us-east1/addresses/sm-4-1-2-nat-us-east1",
    ];
    let places: Vec<usize> = order
        .iter()
        .map(|call| changes.iter().position(|c| c == call).expect(call))
        .collect();
    assert!(places.is_sorted(), "{changes:#?}");
    assert_eq!(site.status("let_in"), serde_json::json!(["203.0.113.0/29"]));
    assert_eq!(site.status("database"), "RUNNABLE");
    assert!(site.status("address").is_string());
    // A delete is sent, and answered that nothing is there.
    let (said, _) = site.changed("teardown", &[]);
    let _ = said.never_has("called in").never_has("updated in");
}

#[test]
fn a_teardown_takes_what_it_is_told_and_the_builds_of_updates() {
    let site = Site::sound();
    let _ = site.changed("update-rolling", &[]);
    let all = [
        "--input",
        "also=[\"images\",\"disks\",\"address\",\"database\"]",
    ];
    let (said, changes) = site.changed("teardown", &all);
    let _ = said.out_has("kept = []");
    for name in ["sm-4-1-2", "sm-4-2-0"] {
        has(&changes, &format!("DELETE global/images/{name}"));
        has(
            &changes,
            &format!("DELETE global/instanceTemplates/{name}-template"),
        );
    }
    has(
        &changes,
        "DELETE zones/us-central1-a/disks/stream-manager-1",
    );
    assert_eq!(site.status("database"), "absent");
    assert_eq!(site.status("address"), Json::Null);
}

/// What `autoscale` does not use of the library.
const PARTS: &str = "use red5/image { image_of_stopped_machine, image_of_snapshot }
use red5/dns { dns_in_zone }
use red5/load_balancer { frontend, backend }
use gcp/services { apis_are_on }

workflow parts {
  input project: string
  at { project }
  step stopped = run image_of_stopped_machine {
    project
    name: \"sm-a\"
    machine: \"stream-manager-1\"
    zone: \"us-central1-a\"
  }
  step shot = run image_of_snapshot {
    project
    name: \"sm-b\"
    machine: \"stream-manager-1\"
    zone: \"us-central1-a\"
  }
    after stopped
  step zone = ensure dns.managedZones(\"sm\") { dnsName: \"example.com.\", description: \"sm\" }
  step check = ensure compute.healthChecks(\"c\") { type: \"HTTP\", httpHealthCheck: { port: 5080 } }
  step group = ensure compute.instanceGroups(\"g\", zone: \"us-central1-a\") {}
  step back = run backend {
    project
    name: \"b\"
    balancer: \"lb\"
    groups: { g: group.selfLink }
    check: check.selfLink
  }
  step front = run frontend {
    project
    name: \"lb\"
    domain: \"sm.example.com\"
    url_map: back.url_map
    redirect: true
  }
  step named = run dns_in_zone {
    project
    domain: \"sm.example.com\"
    address: front.address
    certificate: front.certificate
    zone: zone.name
  }
  step apis = run apis_are_on { project, apis: [\"compute.googleapis.com\"] }
  output images = [stopped.image, shot.image]
  output status = named.certificate
}
";

#[test]
fn the_other_ways_of_the_library_are_done_after_one_run() {
    let scenario = "dns = \"follows\"\n";
    let folder = Folder::new(&[("parts.r5flow", PARTS), ("follows.toml", scenario)]);
    let words = [
        "run",
        "parts.r5flow",
        "--input",
        "project=demo",
        "--sim=follows.toml",
        "--yes",
    ];
    let said = folder.run(&words).ends(0);
    let _ = said
        .out_has("status = \"ACTIVE\"")
        .err_has("stopped/start_vm: called");
    let again = folder.run(&words).ends(0);
    let _ = again.never_has("insert").never_has("patch");
}

#[test]
fn an_api_that_is_off_is_told_before_anything_changes() {
    let site = Site::empty("--sim=off.toml");
    let off = "disabled_apis = [\"sqladmin.googleapis.com\"]\n";
    site.folder.write("off.toml", off);
    let said = site.run("autoscale", &[]).ends(1);
    let _ = said.err_has("gcloud services enable sqladmin.googleapis.com --project demo");
    assert_eq!(site.changes(), [""; 0]);
}

/// Waits until both groups are what their versions say.
const SETTLES: &str = "workflow settles {
  for region in [\"us-central1\", \"us-east1\"] {
    step noticed = wait 1m
    step settled = wait compute.regionInstanceGroupManagers.get(
      \"sm-4-1-2-${region}\", region: region, project: \"demo\")
      until it.status.isStable and it.status.versionTarget.isReached
      after noticed
  }
}
";

impl Site {
    fn settles(&self) {
        self.folder.write("settles.r5flow", SETTLES);
        let _ = self
            .folder
            .run(&["run", "settles.r5flow", self.scenario, "--yes"])
            .ends(0);
    }

    /// The newest run of an update.
    fn update(&self) -> String {
        let said = self.folder.run(&["runs"]).ends(0);
        let ids = said.out.lines().filter(|l| l.contains("update_"));
        let ids = ids.filter_map(|l| l.split_whitespace().next());
        ids.max().expect("an update").to_owned()
    }

    /// The names of all machines.
    fn machines(&self) -> Vec<String> {
        let groups = self.status("groups");
        let groups = groups.as_object().expect("groups").values();
        groups
            .flat_map(|g| g["machines"].as_object().expect("machines").keys())
            .cloned()
            .collect()
    }
}
