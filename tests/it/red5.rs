//! The flows of `workflows/red5`, on the project that `autoscale` left, as people run them.
//!
//! What each one does is said by its tests, in `workflows/red5/tests`. Here is what a test block cannot say: plans,
//! rollbacks, and gates that are answered by another process. How it ended is read by running `status`.

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

/// The table of what each flow was tried in: a row for every flow, and a reason for every empty cell.
#[test]
fn every_flow_has_a_row_in_the_table_of_tests() {
    let page = std::fs::read_to_string("docs/red5/README.md").expect("the page");
    let (_, table) = page.split_once("| flow | tests in |").expect("the table");
    let (table, reasons) = table.split_once("\n\n").expect("its end");
    let lines = table.lines().skip(2).map(|row| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().trim_matches('`')).collect()
    });
    let rows: Vec<Vec<&str>> = lines.collect();
    let mut wanted = flows();
    wanted.retain(|flow| flow != "as-written");
    let mut found: Vec<String> = rows.iter().map(|row| row[0].to_owned()).collect();
    found.sort();
    assert_eq!(found, wanted);
    for row in &rows {
        let file = shipped().join(format!("tests/{}.r5flow", row[1]));
        let text = std::fs::read_to_string(&file).expect("its tests");
        assert!(text.contains(&format!("use ../{} ", row[0])), "{row:?}");
        for cell in &row[2..] {
            let told = reasons.contains(&format!("**{cell}**"));
            assert!(*cell == "yes" || told, "{cell} has no reason: {row:?}");
        }
    }
}

#[test]
fn a_plan_after_the_run_has_nothing_to_change() {
    let site = Site::sound();
    let plan = site.command(&["plan"], "autoscale", &[]).ends(0);
    let _ = plan.out_has("nothing to change");
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
}
