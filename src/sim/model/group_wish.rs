//! What a managed group wants: its resource, read once for a turn.
//!
//! Source: API description of `InstanceGroupManager`, `InstanceGroupManagerUpdatePolicy`,
//! `InstanceGroupManagerVersion`, `FixedOrPercent` and `InstanceGroupManagerAutoHealingPolicy`.

use serde_json::Value as Json;

use super::super::refs;
use super::super::world::Object;
use crate::world::Millis;

/// How far an update reaches into a machine. In this order: "NONE, REFRESH, RESTART, REPLACE" of
/// `minimalAction` and `mostDisruptiveAllowedAction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Reach {
    None,
    Refresh,
    Restart,
    #[default]
    Replace,
}

impl Reach {
    pub fn parse(text: Option<&str>) -> Reach {
        match text {
            Some("NONE") => Reach::None,
            Some("REFRESH") => Reach::Refresh,
            Some("RESTART") => Reach::Restart,
            _ => Reach::Replace,
        }
    }
}

/// One version and how many machines it is to have.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    pub name: String,
    /// Link of the template.
    pub template: String,
    pub count: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Healing {
    /// Link of the health check.
    pub check: String,
    pub initial_delay: Millis,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wish {
    pub size: i64,
    /// `targetSuspendedSize` and `targetStoppedSize`.
    pub suspended: i64,
    pub stopped: i64,
    /// `standbyPolicy` SCALE_OUT_POOL: machines at rest are woken before others are made.
    pub wakes: bool,
    /// How long a machine runs before it goes to its rest.
    pub standby_delay: Millis,
    /// What the stateful policy keeps (`StatefulPolicyPreservedState`).
    pub policy: Object,
    /// `allInstancesConfig.properties`: labels and metadata of all machines, whatever their template says.
    pub properties: Object,
    pub versions: Vec<Version>,
    /// `updatePolicy.type` PROACTIVE: outdated machines are replaced without being asked.
    pub proactive: bool,
    pub minimal: Reach,
    pub most: Reach,
    /// `replacementMethod` RECREATE: a replaced machine keeps its name, and is down meanwhile.
    pub recreates: bool,
    /// How many machines more than the size there may be in an update.
    pub surge: i64,
    /// How many machines of the size may be unavailable in an update.
    pub unavailable: i64,
    /// A new machine counts as available only this long after it is up.
    pub min_ready: Millis,
    pub zones: Vec<String>,
    /// `targetShape` EVEN; other shapes go where there is room.
    pub even: bool,
    /// `instanceRedistributionType` PROACTIVE.
    pub redistributes: bool,
    pub healing: Option<Healing>,
    /// `defaultActionOnFailure` REPAIR.
    pub repairs: bool,
    /// `forceUpdateOnRepair` YES: a repaired machine gets its target version.
    pub updates_on_repair: bool,
}

fn text_at<'a>(body: &'a Object, pointer: &str) -> Option<&'a str> {
    let (first, rest) = pointer.split_once('/')?;
    body.get(first)?.pointer(&format!("/{rest}"))?.as_str()
}

/// The number that a `FixedOrPercent` means for a size; "if there is a remainder, the number is rounded".
pub fn absolute(limit: &Json, size: i64) -> Option<i64> {
    let number = |name: &str| limit.get(name).and_then(Json::as_i64);
    number("fixed").or_else(|| number("percent").map(|p| (size * p + 99) / 100))
}

impl Wish {
    pub fn of(body: &Object, path: &str) -> Wish {
        let size = body.get("targetSize").and_then(Json::as_i64).unwrap_or(0);
        let zones = zones_of(body, path);
        let limit = |name: &str| {
            let usual = match refs::after(path, "regions") {
                Some(_) => zones.len() as i64,
                None => 1,
            };
            body.get("updatePolicy")
                .and_then(|p| p.get(name))
                .and_then(|l| absolute(l, size))
                .unwrap_or(usual)
        };
        let policy = |name: &str| text_at(body, &format!("updatePolicy/{name}"));
        let life = |name: &str| text_at(body, &format!("instanceLifecyclePolicy/{name}"));
        let resting = |name: &str| body.get(name).and_then(Json::as_i64).unwrap_or(0);
        let standby = body.get("standbyPolicy");
        let delay = standby.and_then(|p| p.get("initialDelaySec")?.as_i64());
        let stateful = body.get("statefulPolicy");
        Wish {
            size,
            suspended: resting("targetSuspendedSize"),
            stopped: resting("targetStoppedSize"),
            wakes: text_at(body, "standbyPolicy/mode") == Some("SCALE_OUT_POOL"),
            standby_delay: Millis::secs(delay.unwrap_or(0).clamp(0, 3600)),
            properties: body
                .get("allInstancesConfig")
                .and_then(|c| c.get("properties")?.as_object().cloned())
                .unwrap_or_default(),
            policy: stateful
                .and_then(|p| p.get("preservedState")?.as_object().cloned())
                .unwrap_or_default(),
            versions: versions_of(body.get("versions"), size),
            proactive: policy("type") == Some("PROACTIVE"),
            minimal: Reach::parse(policy("minimalAction")),
            most: Reach::parse(policy("mostDisruptiveAllowedAction")),
            recreates: policy("replacementMethod") == Some("RECREATE"),
            surge: limit("maxSurge"),
            unavailable: limit("maxUnavailable"),
            min_ready: min_ready(body),
            even: matches!(
                text_at(body, "distributionPolicy/targetShape"),
                None | Some("EVEN")
            ),
            redistributes: zones.len() > 1 && policy("instanceRedistributionType") != Some("NONE"),
            healing: healing(body),
            repairs: life("defaultActionOnFailure") != Some("DO_NOTHING")
                && life("onFailedHealthCheck") != Some("DO_NOTHING"),
            updates_on_repair: life("forceUpdateOnRepair") == Some("YES"),
            zones,
        }
    }

    /// How many machines a version is to have; none when it is no version any more.
    pub fn count(&self, name: &str, template: &str) -> i64 {
        self.versions
            .iter()
            .find(|v| v.name == name && v.template == template)
            .map_or(0, |v| v.count)
    }
}

fn min_ready(body: &Object) -> Millis {
    let seconds = body
        .get("updatePolicy")
        .and_then(|p| p.get("minReadySec"))
        .and_then(Json::as_i64)
        .unwrap_or(0);
    Millis::secs(seconds.clamp(0, 3600))
}

fn healing(body: &Object) -> Option<Healing> {
    let policy = body.get("autoHealingPolicies")?.as_array()?.first()?;
    let delay = policy.get("initialDelaySec").and_then(Json::as_i64);
    Some(Healing {
        check: policy.get("healthCheck")?.as_str()?.to_string(),
        initial_delay: Millis::secs(delay.unwrap_or(0).clamp(0, 3600)),
    })
}

/// Whether a version sets no size of its own. What the server calculated and a client sends back is
/// none.
pub fn takes_the_rest(version: &Json) -> bool {
    let set = |name: &str| {
        version
            .get("targetSize")
            .and_then(|t| t.get(name))
            .is_some_and(|n| !n.is_null())
    };
    !set("fixed") && !set("percent")
}

/// "The minimum of targetSize.fixed and the group's targetSize"; one version takes the rest.
fn versions_of(versions: Option<&Json>, size: i64) -> Vec<Version> {
    let list = versions
        .and_then(Json::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let share = |v: &Json| match takes_the_rest(v) {
        true => None,
        false => absolute(v.get("targetSize")?, size).map(|n| n.clamp(0, size)),
    };
    let taken: i64 = list.iter().filter_map(share).sum();
    list.iter()
        .map(|v| {
            let text = |name: &str| v.get(name).and_then(Json::as_str).unwrap_or("").to_string();
            Version {
                name: text("name"),
                template: text("instanceTemplate"),
                count: share(v).unwrap_or((size - taken).max(0)),
            }
        })
        .collect()
}

pub fn zones_of(body: &Object, path: &str) -> Vec<String> {
    if let Some(zone) = refs::after(path, "zones") {
        return vec![zone.to_string()];
    }
    body.get("distributionPolicy")
        .and_then(|d| d.get("zones"))
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(|z| z.get("zone").and_then(Json::as_str))
        .map(|z| refs::last(z).to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shares_are_of_the_size_and_one_version_takes_the_rest() {
        let versions = json!([
            { "name": "old", "instanceTemplate": "t1" },
            { "name": "new", "instanceTemplate": "t2", "targetSize": { "percent": 20 } },
        ]);
        let counts = |size| {
            let list = versions_of(Some(&versions), size);
            (list[0].count, list[1].count)
        };
        assert_eq!(counts(10), (8, 2));
        assert_eq!(counts(6), (4, 2));
        assert_eq!(counts(0), (0, 0));
    }
}
