//! The flows of `workflows/red5` die, each in the world in which people run it: mostly the one that `autoscale` left.
//!
//! So many deaths are drawn for each; `R5FLOW_PROOF=reduced` tries what `--crash-everywhere` does, and
//! `R5FLOW_PROOF=all` what it does with `--all`. `R5FLOW_PROOF_OF=NAME` is for one flow.

use r5flow::sim::Sim;
use r5flow::spec::dice::Dice;
use r5flow::spec::{
    Act, Case, Course, How, Judgement, Left, Options, Played, Player, Point, Proof,
    crash_everywhere, fates_of,
};
use r5flow::world::Millis;
use serde_json::Value as Json;

use crate::rig;

/// A flow, what ran before it, and how it is run so that a rollback can take all of it back.
struct Subject {
    flow: &'static str,
    before: &'static [&'static str],
    careful: Careful,
}

/// What nobody can take back is not done.
enum Careful {
    Enough,
    /// With this input.
    With(&'static str, bool),
    /// This gate is denied.
    Denies(&'static str),
}

const fn first(flow: &'static str) -> Subject {
    Subject {
        flow,
        before: &[],
        careful: Careful::Enough,
    }
}

const fn later(flow: &'static str) -> Subject {
    carefully(flow, Careful::Enough)
}

const fn carefully(flow: &'static str, careful: Careful) -> Subject {
    Subject {
        flow,
        before: &["autoscale"],
        careful,
    }
}

const SUBJECTS: &[Subject] = &[
    first("prerequisites"),
    first("preflight"),
    first("autoscale"),
    first("autoscale-sm2"),
    first("node-image"),
    first("node-group"),
    later("status"),
    later("backup"),
    later("database-access"),
    carefully("rotate-certificate", Careful::With("forget_old", false)),
    later("scale-window"),
    later("rolling-restart"),
    later("rolling-replace"),
    later("update-rolling"),
    later("update-canary"),
    carefully("blue-green", Careful::Denies("empty")),
    later("teardown"),
];

/// Runs that went before have ids of their own, and the marks of those.
const RUNS_BEFORE: u32 = 100;
/// Deaths that are drawn for each flow, and for its rollback.
const DEATHS: usize = 12;

fn text(file: &str) -> String {
    let path = format!("workflows/red5/{file}");
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A flow with its example inputs.
fn with_case<T>(flow: &str, careful: &Careful, then: impl FnOnce(&Case<'_, '_>) -> T) -> T {
    let program = rig::program(&text(&format!("{flow}.r5flow")));
    let checked = rig::checked(&program);
    let mut inputs: Json = toml::from_str(&text(&format!("{flow}.example.toml"))).expect("inputs");
    if let Careful::With(input, value) = careful {
        inputs[*input] = (*value).into();
    }
    let mut case = rig::case(&checked, &inputs);
    if let Careful::Denies(gate) = careful {
        case.judgements.push(Judgement {
            gate: (*gate).to_owned(),
            approves: false,
            after: None,
        });
    }
    then(&case)
}

/// What is left when these flows ran one after the other.
fn left_by(flows: &[&str]) -> Sim {
    let mut left = Left {
        runs: RUNS_BEFORE,
        ..Left::fresh(rig::cloud())
    };
    for flow in flows {
        let played = with_case(flow, &Careful::Enough, |case| rig::play(case, left));
        assert!(played.is_done(), "{flow}: {:?}", played.end);
        left = Left {
            journal: Vec::new(),
            runs: played.left.runs + 1,
            ..played.left
        };
    }
    left.stage.cloud
}

/// Deaths by chance that always repeats: any effect, any fate that it has, any downtime.
fn drawn(case: &Case<'_, '_>, cloud: &Sim, course: Course) -> Vec<Point> {
    let player = Player::new(case).expect("secrets that can be told from the journal's words");
    let record = |act| How {
        act,
        record: true,
        ..How::default()
    };
    let run = player.play(Left::fresh(cloud.clone()), &record(Act::Run));
    let dying: Played = match course {
        Course::Undoing => {
            let mut done = run.left.clone();
            done.now = done.now.max(done.stage.cloud.now());
            player.play(done, &record(Act::RollBack))
        }
        Course::Resumed | Course::Undone => run,
    };
    let mut dice = Dice::new(7);
    (0..DEATHS)
        .filter(|_| !dying.moments.is_empty())
        .map(|_| {
            let moment = dice.pick(&dying.moments);
            let death = *dice.pick(&fates_of(moment));
            let downtime = *dice.pick(&[Millis(0), Millis::mins(31)]);
            Point {
                course,
                deaths: vec![(death, downtime)],
                ..Point::default()
            }
        })
        .collect()
}

fn options(case: &Case<'_, '_>, cloud: &Sim, rollback: bool) -> Options {
    let options = match std::env::var("R5FLOW_PROOF").as_deref() {
        Ok("all") => Options::new(true),
        Ok("reduced") => Options::new(false),
        _ => {
            let courses: &[Course] = match rollback {
                true => &[Course::Undone, Course::Undoing],
                false => &[Course::Resumed],
            };
            let points = courses.iter().flat_map(|c| drawn(case, cloud, *c));
            Options {
                points: points.collect(),
                ..Options::new(false)
            }
        }
    };
    Options {
        rollback,
        ..options
    }
}

fn die(rollback: bool) {
    let only = std::env::var("R5FLOW_PROOF_OF").ok();
    let meant = |s: &&Subject| only.as_deref().is_none_or(|name| name == s.flow);
    let mut wrong = Vec::new();
    for subject in SUBJECTS.iter().filter(meant) {
        let cloud = left_by(subject.before);
        let careful = match rollback {
            true => &subject.careful,
            false => &Careful::Enough,
        };
        let proof = with_case(subject.flow, careful, |case| {
            crash_everywhere(case, &cloud, &options(case, &cloud, rollback))
        });
        wrong.extend(judged(subject.flow, proof));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn judged(flow: &str, proof: Result<Proof, String>) -> Option<String> {
    let proof = match proof {
        Ok(proof) => proof,
        Err(why) => return Some(format!("{flow}: {why}")),
    };
    let total = proof.total();
    println!(
        "{flow}: {} deaths, {} differences, {} asked a person",
        total.tried, total.differences, total.decisions
    );
    let said = proof.text(r5flow::report::Look::PLAIN, flow);
    (total.differences > 0 || total.tried == 0).then_some(said)
}

#[test]
fn every_red5_flow_that_dies_ends_as_if_it_had_not() {
    die(false);
}

#[test]
fn every_red5_flow_that_dies_can_be_taken_back() {
    die(true);
}
