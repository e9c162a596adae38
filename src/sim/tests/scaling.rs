//! Autoscalers under a load that the scenario drives.

use serde_json::{Value as Json, json};

use super::groups::{GROUP, insert, machines, manager, scenario};
use super::{Client, compute};
use crate::wire::Verb;

const SCALER: &str = "regions/us-central1/autoscalers/scaler";

/// From half an hour on the work of four machines for an hour, then of half a one.
const WAVE: &str = r#"
[[loads]]
group = "fleet"
curve = [{ at = "0s", machines = 0.5 }, { at = "30m", machines = 0.5 }, { at = "31m", machines = 4.0 }, { at = "90m", machines = 4.0 }, { at = "91m", machines = 0.5 }]
"#;

fn policy(mode: &str) -> Json {
    json!({ "mode": mode, "minNumReplicas": 3, "maxNumReplicas": 10, "coolDownPeriodSec": 120,
        "cpuUtilization": { "utilizationTarget": 0.5 } })
}

fn scaled(more: &str, policy: Json) -> Client {
    let mut client = Client::of(scenario(more));
    insert(&mut client, 3, json!({}));
    client.done(
        Verb::Post,
        "regions/us-central1/autoscalers",
        json!({ "name": "scaler", "target": format!("projects/demo/{GROUP}"), "autoscalingPolicy": policy }),
    );
    client.until(5, &compute(GROUP), |g| g["status"]["isStable"] == true);
    client
}

/// The target size so many minutes after the start of the cloud.
fn size_at(client: &mut Client, minute: i64) -> i64 {
    let at = super::START.plus(crate::world::Millis::mins(minute));
    assert!(client.now <= at, "{minute} has passed");
    client.now = at;
    manager(client)["targetSize"].as_i64().expect("size")
}

fn details(client: &mut Client) -> Vec<String> {
    let shown = client.get(&compute(SCALER));
    shown["statusDetails"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|d| Some(d["type"].as_str()?.to_string()))
        .collect()
}

#[test]
fn on_follows_the_load_both_ways() {
    let mut client = scaled(WAVE, policy("ON"));
    assert_eq!(size_at(&mut client, 29), 3);
    assert_eq!(
        size_at(&mut client, 45),
        8,
        "4 machines' work at half usage"
    );
    assert_eq!(client.get(&compute(SCALER))["recommendedSize"], 8);
    assert_eq!(
        size_at(&mut client, 99),
        8,
        "ten minutes of stabilization before anything goes"
    );
    assert_eq!(size_at(&mut client, 110), 3, "not below the minimum");
    assert_eq!(details(&mut client), [] as [&str; 0]);
    client.sleep(3 * 3600);
    let now = client.now;
    client.sim.advance(now);
    assert!(client.sim.is_quiet(), "nothing left to decide");
}

#[test]
fn scale_out_only_never_shrinks() {
    let mut client = scaled(WAVE, policy("ONLY_SCALE_OUT"));
    assert_eq!(size_at(&mut client, 45), 8);
    assert_eq!(size_at(&mut client, 180), 8);
    assert_eq!(details(&mut client), ["MODE_ONLY_SCALE_OUT"]);
    let shown = client.get(&compute(SCALER));
    assert_eq!(shown["recommendedSize"], 3, "what it would have");
    assert_eq!(shown["status"], "ACTIVE");
    // The older name of the mode means the same.
    client.done(
        Verb::Patch,
        "regions/us-central1/autoscalers?autoscaler=scaler",
        json!({ "autoscalingPolicy": policy("ONLY_UP") }),
    );
    assert_eq!(details(&mut client), ["MODE_ONLY_UP"]);
}

#[test]
fn off_recommends_and_does_nothing() {
    let mut client = scaled(WAVE, policy("OFF"));
    assert_eq!(size_at(&mut client, 45), 3);
    let shown = client.get(&compute(SCALER));
    assert!(
        shown["recommendedSize"].as_i64().expect("size") > 3,
        "{shown}"
    );
    assert_eq!(details(&mut client), ["MODE_OFF"]);
}

#[test]
fn the_maximum_caps_and_says_so() {
    let mut small = policy("ON");
    small["maxNumReplicas"] = json!(5);
    let mut client = scaled(WAVE, small);
    assert_eq!(size_at(&mut client, 60), 5);
    assert_eq!(details(&mut client), ["CAPPED_AT_MAX_NUM_REPLICAS"]);
}

#[test]
fn scale_in_control_slows_the_way_down() {
    let mut slow = policy("ON");
    slow["scaleInControl"] =
        json!({ "maxScaledInReplicas": { "fixed": 2 }, "timeWindowSec": 1800 });
    let mut client = scaled(WAVE, slow);
    assert_eq!(size_at(&mut client, 60), 8);
    assert_eq!(
        size_at(&mut client, 110),
        6,
        "two fewer than the peak of half an hour"
    );
    assert_eq!(size_at(&mut client, 240), 3);
}

#[test]
fn cool_down_keeps_growth_to_what_is_known() {
    let mut long = policy("ON");
    long["coolDownPeriodSec"] = json!(900);
    let mut client = scaled(WAVE, long);
    // Of machines that are not initialised nothing is known: three at full usage call for six.
    assert_eq!(size_at(&mut client, 40), 6);
    assert_eq!(size_at(&mut client, 55), 8);
}

#[test]
fn a_size_set_by_hand_is_overruled() {
    let mut client = scaled(WAVE, policy("ONLY_SCALE_OUT"));
    assert_eq!(size_at(&mut client, 60), 8);
    client.done(Verb::Patch, GROUP, json!({ "targetSize": 3 }));
    client.sleep(60);
    assert_eq!(manager(&mut client)["targetSize"], 8);
    // Without load the autoscaler still holds its minimum.
    let mut client = scaled("", policy("ON"));
    client.done(Verb::Post, &format!("{GROUP}/resize?size=1"), Json::Null);
    client.sleep(60);
    assert_eq!(manager(&mut client)["targetSize"], 3);
    client.done(Verb::Post, &format!("{GROUP}/resize?size=5"), Json::Null);
    client.sleep(60);
    assert_eq!(manager(&mut client)["targetSize"], 5, "within its range");
    client.until(5, &compute(GROUP), |g| g["status"]["isStable"] == true);
    assert_eq!(machines(&mut client).len(), 5);
}

#[test]
fn a_full_zone_is_told_by_the_autoscaler() {
    let more = format!("{WAVE}\n[[stockouts]]\nzone = \"us-central1-b\"\nfrom = \"10m\"");
    let mut client = scaled(&more, policy("ON"));
    size_at(&mut client, 60);
    assert_eq!(details(&mut client), ["ZONE_RESOURCE_STOCKOUT"]);
    let stuck = machines(&mut client)
        .iter()
        .filter(|m| m["currentAction"] == "CREATING")
        .count();
    assert!(stuck > 0);
}

/// The tests' clock starts at 11:06:40 UTC.
#[test]
fn a_schedule_raises_the_minimum_while_it_is_active() {
    assert_eq!(super::START.rfc3339(), "2026-11-18T11:06:40.000Z");
    let mut by_day = policy("ON");
    by_day["scalingSchedules"] = json!({
        "noon": { "schedule": "0 13 * * *", "timeZone": "Europe/Berlin", "durationSec": 3600, "minRequiredReplicas": 6 },
        "off": { "schedule": "* * * * *", "durationSec": 3600, "minRequiredReplicas": 9, "disabled": true },
        "past": { "schedule": "0 0 1 1 * 2020", "durationSec": 300, "minRequiredReplicas": 1 },
    });
    let mut client = scaled("", by_day);
    let state = |client: &mut Client, name: &str| {
        let shown = client.get(&compute(SCALER));
        shown["scalingScheduleStatus"][name].clone()
    };
    assert_eq!(state(&mut client, "noon")["state"], "READY");
    assert_eq!(state(&mut client, "off"), json!({ "state": "DISABLED" }));
    assert_eq!(state(&mut client, "past"), json!({ "state": "OBSOLETE" }));
    assert_eq!(
        client.get(&compute(SCALER))["autoscalingPolicy"]["scalingSchedules"]["off"]["timeZone"],
        "UTC"
    );
    assert_eq!(size_at(&mut client, 53), 3);
    assert_eq!(
        size_at(&mut client, 54),
        6,
        "12:00 UTC is one o'clock in Berlin"
    );
    assert_eq!(state(&mut client, "noon")["state"], "ACTIVE");
    assert_eq!(
        state(&mut client, "noon")["lastStartTime"],
        "2026-11-18T04:00:00.000-08:00"
    );
    assert_eq!(size_at(&mut client, 113), 6);
    assert_eq!(size_at(&mut client, 120), 6, "ten minutes of stabilization");
    assert_eq!(size_at(&mut client, 125), 3);
    assert_eq!(
        details(&mut client),
        ["SCHEDULED_INSTANCES_LESS_THAN_AUTOSCALER_MIN"]
    );
    assert_eq!(
        size_at(&mut client, 24 * 60 + 60),
        6,
        "and again the next day"
    );
}

#[test]
fn a_schedule_that_is_none_is_refused() {
    let mut client = scaled("", policy("ON"));
    let good = json!({ "schedule": "0 8 * * 1-5", "durationSec": 300, "minRequiredReplicas": 4 });
    for (field, value, says) in [
        ("schedule", json!("at noon"), "cron"),
        ("durationSec", json!(299), "299"),
        ("timeZone", json!("Mars/Olympus"), "tz database"),
        ("minRequiredReplicas", Json::Null, "not specified"),
    ] {
        let mut wrong = policy("ON");
        wrong["scalingSchedules"] = json!({ "s": good });
        wrong["scalingSchedules"]["s"][field] = value;
        let line = compute("regions/us-central1/autoscalers?autoscaler=scaler");
        let (status, body) = client.send(Verb::Patch, &line, json!({ "autoscalingPolicy": wrong }));
        assert_eq!(status, 400, "{field}: {body}");
        let said = body["error"]["message"].as_str().expect("a message");
        assert!(said.contains(says), "{field}: {said}");
    }
}
