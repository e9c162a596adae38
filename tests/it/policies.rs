//! What a run does about each class of error: how often it asks, when, how it ends, what it says.

use std::rc::Rc;

use r5flow::journal::{RunStatus, StepFailure};
use r5flow::report::{Look, failure};
use r5flow::store::Vault;
use r5flow::store::vault::Key;
use r5flow::wire::Request;
use r5flow::wire::error::ErrorClass;
use r5flow::wire::policy::{Next, POLICIES};
use serde_json::{Value as Json, json};

use crate::meddler::{Meddler, Meddling};
use crate::process::{self, Case, Ran};

/// A refusal as Compute Engine words it.
fn refusal(status: u16, reason: &str, message: &str) -> Json {
    json!({ "error": { "code": status, "message": message,
        "errors": [{ "message": message, "domain": "global", "reason": reason }] } })
}

/// One refusal of each class.
fn sample(class: ErrorClass) -> (u16, Json) {
    use ErrorClass::*;
    let (status, reason, message) = match class {
        Transient => (503, "backendError", "Backend Error"),
        RateLimit => (403, "rateLimitExceeded", "Rate Limit Exceeded"),
        Quota => (
            403,
            "quotaExceeded",
            "Quota 'NETWORKS' exceeded.  Limit: 5.0 globally.",
        ),
        StockOut => (503, "ZONE_RESOURCE_POOL_EXHAUSTED", "none left"),
        Conflict => (412, "conditionNotMet", "Invalid fingerprint."),
        InUse => (
            400,
            "resourceInUseByAnotherResource",
            "The network resource 'n' is already being used by 'projects/p/global/routes/r'",
        ),
        OperationInProgress => (400, "resourceNotReady", "The resource 'n' is not ready"),
        AlreadyExists => (409, "alreadyExists", "The resource 'n' already exists"),
        NotFound => (404, "notFound", "The resource 'n' was not found"),
        Permission => (
            403,
            "forbidden",
            "Required 'compute.networks.create' permission for 'projects/demo/global/networks/n'",
        ),
        ApiDisabled => (
            403,
            "accessNotConfigured",
            "Compute Engine API has not been used in project 12 before",
        ),
        Credentials => (401, "authError", "Invalid Credentials"),
        Invalid => (
            400,
            "invalid",
            "Invalid value for field 'resource.description': 'd'. No.",
        ),
        Redirect => (302, "", ""),
        Unreadable => return (418, json!("a teapot")),
    };
    (status, refusal(status, reason, message))
}

/// Runs a flow against the simulator with somebody in between.
fn run(text: &str, meddler: &Rc<Meddler>) -> Ran {
    let program = process::program(text);
    let checked = process::checked(&program);
    let mut case = Case::new(&program, &checked, &json!({}));
    case.meddler = Some(Rc::clone(meddler));
    case.run(Case::fresh(process::cloud()), None)
}

fn status(ran: &Ran) -> RunStatus {
    ran.end.as_ref().expect("nobody killed it").status
}

fn only_failure(ran: &Ran) -> &StepFailure {
    let end = ran.end.as_ref().expect("nobody killed it");
    assert_eq!(end.failures.len(), 1, "{:#?}", end.failures);
    &end.failures[0].1
}

fn is(request: &Request, method: &str) -> bool {
    &*request.method == method
}

const CREATE: &str = "workflow main {
  at { project: \"demo\" }
  step net = call compute.networks.insert() { name: \"n\", description: \"d\", autoCreateSubnetworks: false }
    timeout 10h
}
";

const INSERT: &str = "compute.networks.insert";

/// Without its word the checker refuses each method whose calls a run cannot settle, and no other.
#[test]
fn the_word_is_asked_for_where_nothing_settles_and_nowhere_else() {
    let catalog = r5flow::catalog::Catalog::embedded();
    let mut listed = 0;
    let list = r5flow::catalog::describe::classes(&catalog, None).expect("all services");
    for service in catalog.services() {
        for id in catalog.methods(&service.name) {
            let method = catalog.method(&id).expect("listed");
            if method.reads {
                continue;
            }
            let line = format!("{:17}  {id}", method.settle.as_str());
            assert!(
                list.lines().any(|l| l.starts_with(&line)),
                "{id} is missing"
            );
            listed += 1;
        }
    }
    assert_eq!(list.lines().count(), listed);
    let asked = list
        .lines()
        .filter(|l| l.contains("needs `repeat safe`"))
        .count();
    assert_eq!(
        asked,
        list.lines()
            .filter(|l| {
                ["marked create", "once-only result", "unsafe"]
                    .iter()
                    .any(|c| l.starts_with(c))
            })
            .count()
    );
}

/// Each class, for ever: the pauses of its row, until its limit, then its exit code.
#[test]
fn every_class_is_tried_as_its_row_says() {
    for policy in POLICIES {
        let (code, body) = sample(policy.class);
        let meddler =
            Meddler::new(move |r, _| is(r, INSERT).then(|| Meddling::Answer(code, body.clone())));
        let ran = run(CREATE, &meddler);
        let moments = meddler.moments(INSERT);
        let found = only_failure(&ran);
        let class = policy.class;
        assert_eq!(
            found.api.as_ref().map(|e| e.class),
            Some(class),
            "{class:?}: {found:#?}"
        );
        let exit = match policy.ends.exit_code() {
            4 => RunStatus::Permission,
            _ => RunStatus::Failed,
        };
        assert_eq!(status(&ran), exit, "{class:?}");
        match policy.next {
            Next::Stop | Next::Never => assert_eq!(moments, [0.0], "{class:?}"),
            Next::Anew(times) => assert_eq!(moments.len(), times as usize + 1, "{class:?}"),
            Next::Again | Next::Settle => {
                let last = moments.last().expect("one attempt");
                let limit = policy.limit.0 as f64 / 1000.0;
                let longest = policy.pauses.longest.0 as f64 / 1000.0 * 1.25;
                assert!(
                    *last <= limit + longest && *last > limit - longest - 60.0,
                    "{class:?}: {moments:?}"
                );
                // Settling takes some seconds of its own.
                let slack = match (policy.next, class) {
                    // The whole quota group rests until its minute turns.
                    (_, ErrorClass::RateLimit) => 60.0,
                    (Next::Settle, _) => 8.0,
                    _ => 1.0,
                };
                for (attempt, pair) in moments.windows(2).enumerate() {
                    let doublings = match class {
                        ErrorClass::RateLimit => attempt.min(2),
                        _ => attempt,
                    };
                    let least = policy.pauses.after(doublings as u32).0 as f64 / 1000.0;
                    let pause = pair[1] - pair[0];
                    assert!(
                        pause >= least && pause <= least * 1.25 + slack,
                        "{class:?}: pause {attempt} is {pause}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_passes_is_done_and_the_server_s_word_counts() {
    let meddler = Meddler::new(|r, n| {
        let body = refusal(429, "rateLimitExceeded", "slowly");
        (is(r, INSERT) && n < 2).then(|| Meddling::AnswerLater(429, body, 90))
    });
    let ran = run(CREATE, &meddler);
    assert_eq!(status(&ran), RunStatus::Done);
    let moments = meddler.moments(INSERT);
    assert_eq!(moments.len(), 3);
    assert!((90.0..92.0).contains(&moments[1]), "{moments:?}");
}

#[test]
fn a_step_says_for_how_long_an_error_is_taken_for_passing() {
    let flow = CREATE.replace("timeout 10h", "timeout 10h\n    retry stock_out for 20m");
    let (code, body) = sample(ErrorClass::StockOut);
    let meddler = Meddler::new(move |r, n| {
        (is(r, INSERT) && n < 4).then(|| Meddling::Answer(code, body.clone()))
    });
    assert_eq!(status(&run(&flow, &meddler)), RunStatus::Done);
    let moments = meddler.moments(INSERT);
    assert!(moments.len() == 5 && moments[4] > 450.0, "{moments:?}");

    let never = CREATE.replace("timeout 10h", "timeout 10h\n    retry in_use for 0s");
    let (code, body) = sample(ErrorClass::InUse);
    let meddler =
        Meddler::new(move |r, _| is(r, INSERT).then(|| Meddling::Answer(code, body.clone())));
    let ran = run(&never, &meddler);
    assert_eq!(meddler.moments(INSERT), [0.0]);
    let help = only_failure(&ran).help.clone().unwrap_or_default();
    assert_eq!(
        help,
        "remove `projects/p/global/routes/r`, which uses it, then `r5flow resume`"
    );
}

/// A permission that this run gave takes minutes to be in force; one that it did not give stops it.
#[test]
fn a_grant_of_this_run_makes_a_refusal_passing() {
    let granting = CREATE.replace(
        "  step net =",
        "  step api = call serviceusage.services.enable(\"compute.googleapis.com\")\n  step net =",
    );
    let granting = granting.replace("timeout 10h", "timeout 10h\n    after api");
    for (flow, wanted) in [
        (CREATE, RunStatus::Permission),
        (&*granting, RunStatus::Done),
    ] {
        for class in [ErrorClass::ApiDisabled, ErrorClass::Permission] {
            let (code, body) = sample(class);
            let meddler = Meddler::new(move |r, n| {
                (is(r, INSERT) && n < 6).then(|| Meddling::Answer(code, body.clone()))
            });
            let ran = run(flow, &meddler);
            assert_eq!(status(&ran), wanted, "{class:?}: {:#?}", ran.end);
        }
    }
}

/// What a person reads.
fn shown(text: &str, ran: &Ran) -> String {
    let program = process::program(text);
    let vault = Vault::empty(Key::new([0; 32]));
    let (address, failure) = &ran.end.as_ref().expect("alive").failures[0];
    failure::text(address, failure, &program.sources, &vault, Look::PLAIN)
}

fn complains(method: &'static str, field: &'static str) -> Rc<Meddler> {
    let message = format!("Invalid value for field '{field}': 'x'. No.");
    let body = refusal(400, "invalid", &message);
    Meddler::new(move |r, _| is(r, method).then(|| Meddling::Answer(400, body.clone())))
}

#[test]
fn the_line_that_produced_the_field_is_underlined() {
    let words = shown(
        CREATE,
        &run(CREATE, &complains(INSERT, "resource.description")),
    );
    assert_eq!(
        words,
        "× net: compute.networks.insert: Invalid value for field 'resource.description': 'x'. No.
   ╭─[flow.r5flow:3:71]
  3 │   step net = call compute.networks.insert() { name: \"n\", description: \"d\", autoCreateSubnetworks: false }
    ·                                                                       ───
  answer: invalid 400 invalid
  help: correct the flow and run it again; what is done stays done
"
    );
}

/// Which text is underlined for a field of a flow.
fn underlined(flow: &str, method: &'static str, field: &'static str) -> String {
    let words = shown(flow, &run(flow, &complains(method, field)));
    let lines: Vec<&str> = words.lines().collect();
    let at = lines
        .iter()
        .position(|l| l.contains(" · "))
        .unwrap_or_else(|| panic!("{words}"));
    let mark: Vec<char> = lines[at].chars().collect();
    let first = mark.iter().position(|c| *c == '─').expect("a mark");
    let count = mark.iter().filter(|c| **c == '─').count();
    lines[at - 1].chars().skip(first).take(count).collect()
}

#[test]
fn fields_are_followed_through_lets_spreads_and_workflows() {
    let flow = "let house = { description: \"of the house\" }
workflow make {
  input label: string
  input more: { mtu: int }
  at { project: \"demo\" }
  let config = { routingMode: if label == \"x\" then \"GLOBAL\" else \"REGIONAL\" }
  step net = call compute.networks.insert() {
    ...house
    name: \"n-${label}\"
    routingConfig: config
    mtu: more.mtu
    autoCreateSubnetworks: false
    networkFirewallPolicyEnforcementOrder: \"AFTER_CLASSIC_FIREWALL\"
  }
}
workflow main {
  let size = 1460
  step made = run make { label: \"main\", more: { mtu: size } }
}
";
    let cases = [
        ("resource.description", "\"of the house\""),
        ("resource.name", "\"n-${label}\""),
        ("routingConfig.routingMode", "\"REGIONAL\""),
        ("routing_config.routing_mode", "\"REGIONAL\""),
        ("resource.mtu", "1460"),
        ("project", "\"demo\""),
        // Nothing of the text brought it: the step itself.
        ("resource.unheardOf", "net"),
    ];
    for (field, wanted) in cases {
        assert_eq!(underlined(flow, INSERT, field), wanted, "{field}");
    }
}

#[test]
fn items_of_lists_are_followed() {
    let flow = "workflow main {
  at { project: \"demo\" }
  let ports = [\"443\", \"80\"]
  step wall = ensure compute.firewalls(\"wall\") {
    network: \"global/networks/default\"
    sourceRanges: [r for r in [\"10.0.0.0/8\"]]
    allowed: [{ IPProtocol: \"tcp\", ports }, { IPProtocol: \"icmp\" }]
  }
}
";
    let cases = [
        ("resource.allowed[1].IPProtocol", "\"icmp\""),
        ("resource.allowed[0].ports[1]", "\"80\""),
        ("allowed[0].ports[0].far.below", "\"443\""),
        ("resource.sourceRanges[0]", "\"10.0.0.0/8\""),
        ("resource.name", "\"wall\""),
        ("firewall", "\"wall\""),
    ];
    for (field, wanted) in cases {
        let found = underlined(flow, "compute.firewalls.insert", field);
        assert_eq!(found, wanted, "{field}");
    }
}

const RESTART: &str = "workflow main {
  at { project: \"demo\" }
  step again = call sqladmin.instances.restart(\"red5\")
}
";

const SQL_RESTART: &str = "sqladmin.instances.restart";

fn restarts(ran: &Ran) -> usize {
    let of = |(key, n): (&(String, String), &usize)| (key.0 == SQL_RESTART).then_some(*n);
    process::effective(&ran.left.sim)
        .iter()
        .filter_map(of)
        .sum()
}

#[test]
fn a_lost_restart_is_found_or_sent_again_and_never_doubled() {
    let lose = Meddler::new(|r, n| (is(r, SQL_RESTART) && n == 0).then_some(Meddling::Lose));
    let ran = run(RESTART, &lose);
    assert_eq!((status(&ran), restarts(&ran)), (RunStatus::Done, 1));
    assert_eq!(lose.moments(SQL_RESTART).len(), 1);
    let swallow = Meddler::new(|r, n| (is(r, SQL_RESTART) && n == 0).then_some(Meddling::Swallow));
    let ran = run(RESTART, &swallow);
    assert_eq!((status(&ran), restarts(&ran)), (RunStatus::Done, 1));
    assert_eq!(swallow.moments(SQL_RESTART).len(), 2);
}

/// An operation of Cloud SQL as it is listed.
fn operation(name: &str, kind: &str, user: &str) -> Json {
    json!({ "kind": "sql#operation", "name": name, "operationType": kind, "user": user,
        "status": "DONE", "targetId": "red5", "insertTime": "2099-01-01T00:00:00Z" })
}

#[test]
fn two_restarts_that_fit_are_a_person_s_to_tell() {
    let meddler = Meddler::new(|r, n| {
        let items = [("b", "RESTART"), ("a", "RESTART")].map(|(n, k)| operation(n, k, "u@x"));
        match &*r.method {
            SQL_RESTART => Some(Meddling::Swallow),
            "sqladmin.operations.list" if n > 0 => {
                Some(Meddling::Answer(200, json!({ "items": items })))
            }
            _ => None,
        }
    });
    let ran = run(RESTART, &meddler);
    assert_eq!(status(&ran), RunStatus::Decision);
    assert_eq!(meddler.moments(SQL_RESTART).len(), 1);
}

/// Somebody else's finished update says nothing of ours.
#[test]
fn a_foreign_update_is_not_taken_for_ours() {
    let flow = "workflow main {
  at { project: \"demo\" }
  step set = call sqladmin.instances.patch(\"red5\") { settings: { userLabels: { by: \"us\" } } }
}
";
    let patch = "sqladmin.instances.patch";
    let meddler = Meddler::new(move |r, n| match &*r.method {
        "sqladmin.instances.patch" if n == 0 => Some(Meddling::Swallow),
        "sqladmin.operations.list" if (1..4).contains(&n) => {
            let items = [operation("foreign", "UPDATE", "u@x")];
            Some(Meddling::Answer(200, json!({ "items": items })))
        }
        _ => None,
    });
    let ran = run(flow, &meddler);
    assert_eq!(status(&ran), RunStatus::Done);
    assert_eq!(meddler.moments(patch).len(), 2);
    let set = ran
        .left
        .sim
        .resource("sqladmin", "projects/demo/instances/red5");
    let set = set.expect("the instance");
    assert_eq!(set.pointer("/settings/userLabels/by"), Some(&json!("us")));
}

const PUBLISH: &str = "pubsub.projects.topics.publish";

#[test]
fn the_author_s_word_decides_about_what_nobody_can_see() {
    let flow = |word: &str| {
        format!(
            "workflow main {{
  at {{ project: \"demo\" }}
  step told = call pubsub.projects.topics.publish(\"ready\") {{ messages: [{{ data: \"eWVz\" }}] }}
    {word}
}}
"
        )
    };
    for (word, wanted, times) in [
        ("repeat safe", RunStatus::Done, 2),
        ("on doubt ask", RunStatus::Decision, 1),
    ] {
        let meddler = Meddler::new(|r, n| {
            is(r, PUBLISH).then(|| match n {
                0 => Meddling::Swallow,
                _ => Meddling::Answer(200, json!({ "messageIds": ["1"] })),
            })
        });
        let ran = run(&flow(word), &meddler);
        assert_eq!(status(&ran), wanted, "{word}: {:#?}", ran.end);
        assert_eq!(meddler.moments(PUBLISH).len(), times, "{word}");
    }
}

/// An id that may be used once only has been used: the first sending arrived.
#[test]
fn a_repeated_dns_change_is_refused_and_done() {
    let flow = "workflow main {
  at { project: \"demo\" }
  step zone = ensure dns.managedZones(\"z\") { dnsName: \"example.com.\", description: \"d\" }
  step change = call dns.changes.create(managedZone: zone.name) {
    additions: [{ name: \"a.example.com.\", type: \"A\", ttl: 300, rrdatas: [\"1.2.3.4\"] }]
  }
}
";
    let create = "dns.changes.create";
    let meddler = Meddler::new(move |r, n| (is(r, create) && n == 0).then_some(Meddling::Lose));
    let ran = run(flow, &meddler);
    assert_eq!(status(&ran), RunStatus::Done, "{:#?}", ran.end);
    assert_eq!(meddler.moments(create).len(), 2);
    let changes = process::effective(&ran.left.sim);
    let made: usize = changes
        .iter()
        .filter(|(k, _)| k.0 == create)
        .map(|(_, n)| n)
        .sum();
    assert_eq!(made, 1, "{changes:?}");
}
