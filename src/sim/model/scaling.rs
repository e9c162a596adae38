//! What an autoscaler decides.
//!
//! Load comes from the scenario. Without a curve for its group an autoscaler sees no reason to change
//! anything, and only holds the size between its minimum and its maximum; with schedules it takes the machines
//! to be idle, so that what a schedule called for leaves again.
//!
//! Sources: API description of `AutoscalingPolicy` ("coolDownPeriodSec: the autoscaler ignores usage
//! data of instances that are initializing"; modes; `scaleInControl`: "maximum allowed number of VMs
//! that can be deducted from the peak recommendation during the window"; `stabilizationPeriodSec`,
//! default 600; `utilizationTarget`, default 0.6), Google's "Autoscaler decisions" (it looks at the
//! largest recommendation of the stabilization period before it scales in).

use std::collections::VecDeque;

use serde_json::{Value as Json, json};

use super::super::operation::Then;
use super::super::refs;
use super::super::scenario::{Load, fits};
use super::super::timing::Happening;
use super::super::world::{Due, Object, World};
use super::group_wish::absolute;
use super::rules::Rule;
use super::{group_health, groups, schedules};
use crate::world::{Millis, Timestamp};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["compute.autoscalers", "compute.regionAutoscalers"],
    says: "follows the load of the scenario between minimum and maximum: cool-down, the largest recommendation of the stabilization period, scale-in control",
    source: "API description of `AutoscalingPolicy`; Google, \"Autoscaler decisions\"",
    test: "on_follows_the_load_both_ways",
}];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    On,
    /// ONLY_SCALE_OUT, and its older name ONLY_UP.
    OnlyOut,
    Off,
}

/// An autoscaling policy, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub mode: Mode,
    /// The mode was given by its older name.
    pub legacy: bool,
    pub min: i64,
    pub max: i64,
    pub cool_down: Millis,
    pub target: f64,
    pub stabilization: Millis,
    /// At most so many machines fewer than the peak of the window.
    pub scale_in: Option<(Json, Millis)>,
}

impl Policy {
    pub fn of(scaler: &Object) -> Policy {
        let policy = scaler.get("autoscalingPolicy").unwrap_or(&Json::Null);
        let number =
            |name: &str, usual: i64| policy.get(name).and_then(Json::as_i64).unwrap_or(usual);
        let mode = policy.get("mode").and_then(Json::as_str).unwrap_or("ON");
        let min = number("minNumReplicas", 2);
        let control = policy.get("scaleInControl");
        Policy {
            mode: match mode {
                "OFF" => Mode::Off,
                "ONLY_UP" | "ONLY_SCALE_OUT" => Mode::OnlyOut,
                _ => Mode::On,
            },
            legacy: mode == "ONLY_UP",
            min,
            max: number("maxNumReplicas", min),
            cool_down: Millis::secs(number("coolDownPeriodSec", 60)),
            target: policy
                .pointer("/cpuUtilization/utilizationTarget")
                .and_then(Json::as_f64)
                .unwrap_or(0.6),
            stabilization: Millis::secs(number("stabilizationPeriodSec", 600)),
            scale_in: control.and_then(|c| {
                let window = c.get("timeWindowSec").and_then(Json::as_i64).unwrap_or(0);
                Some((c.get("maxScaledInReplicas")?.clone(), Millis::secs(window)))
            }),
        }
    }
}

/// What an autoscaler remembers.
#[derive(Clone, Debug, Default)]
pub struct Scaler {
    /// The size that it would have, between minimum and maximum.
    pub recommended: i64,
    /// It would have more than its maximum.
    pub capped: bool,
    /// Earlier recommendations, as far back as any window reaches.
    history: VecDeque<(Timestamp, i64)>,
}

impl Scaler {
    fn peak(&self, now: Timestamp, window: Millis) -> i64 {
        let inside = |at: &Timestamp| now.since(*at) <= window;
        let past = self.history.iter().filter(|(at, _)| inside(at));
        past.map(|(_, n)| *n).max().unwrap_or(0)
    }

    fn remember(&mut self, now: Timestamp, policy: &Policy, size: i64) {
        let window = policy.scale_in.as_ref().map_or(Millis(0), |(_, w)| *w);
        let reach = policy.stabilization.max(window);
        self.history.push_back((now, size));
        while self
            .history
            .front()
            .is_some_and(|(at, _)| now.since(*at) > reach)
        {
            self.history.pop_front();
        }
    }
}

pub fn inserted(world: &mut World, key: &str) -> Vec<Then> {
    world.scalers.insert(key.to_string(), Scaler::default());
    apply(world, key);
    Vec::new()
}

/// Looks at once: the policy is new, or somebody changed the size of the group.
pub fn apply(world: &mut World, key: &str) {
    decide(world, key);
    go_on(world, key);
}

/// One look on the clock.
pub fn look(world: &mut World, key: &str) {
    if world.live(key).is_none() {
        return;
    }
    decide(world, key);
    go_on(world, key);
}

/// Somebody changed a group: its autoscaler, if it has one, has the last word.
pub fn group_changed(world: &mut World, group: &str) {
    let Some(scaler) = super::autoscalers::of_group(world, super::path_of(group)) else {
        return;
    };
    let due = Due::ScalerLooks(format!("compute/{scaler}"));
    if !world.is_scheduled(&due) {
        let at = world.now.plus(world.takes(Happening::ScalerLook));
        world.schedule(at, due);
    }
}

/// The group of an autoscaler.
fn target(world: &World, key: &str) -> Option<String> {
    let scaler = world.live(key)?;
    world.linked(scaler.body.get("target")?).map(|(key, _)| key)
}

fn load_of<'a>(world: &'a World, group: &str) -> Option<&'a Load> {
    let name = refs::last(group);
    world.scenario.loads.iter().find(|l| fits(&l.group, name))
}

/// Looks again after a while, as long as there is load or a schedule that may still change what it decides.
fn go_on(world: &mut World, key: &str) {
    let due = Due::ScalerLooks(key.to_string());
    let next = [after_the_load(world, key), after_a_schedule(world, key)];
    if let Some(at) = next.into_iter().flatten().min()
        && !world.is_scheduled_before(&due, at)
    {
        world.schedule(at, due);
    }
}

/// When a schedule begins, ends, or no longer keeps what it called for.
fn after_a_schedule(world: &World, key: &str) -> Option<Timestamp> {
    let body = &world.live(key)?.body;
    let policy = Policy::of(body);
    let scaler = world.scalers.get(key)?;
    if policy.mode == Mode::Off || !schedules::has_any(body) {
        return None;
    }
    let least = policy.min.max(schedules::floor(body, world.now));
    let settles = world.now.plus(Millis(policy.stabilization.0 + 1));
    let settles = (scaler.recommended > least).then_some(settles);
    [settles, schedules::next(body, world.now)]
        .into_iter()
        .flatten()
        .min()
}

fn after_the_load(world: &World, key: &str) -> Option<Timestamp> {
    let group = target(world, key)?;
    let load = load_of(world, &group)?;
    let policy = Policy::of(&world.live(key)?.body);
    // After the curve everything settles within the windows; then nothing changes any more.
    let window = policy.scale_in.as_ref().map_or(Millis(0), |(_, w)| *w);
    let settles = Millis(4 * policy.stabilization.max(window).max(policy.cool_down).0 + 1_800_000);
    let end = world.start.plus(load.end()).plus(settles);
    let size = size_of(world, &group);
    let calm = world.now > end
        && world
            .scalers
            .get(key)
            .is_some_and(|s| s.recommended == size);
    let at = world.now.plus(world.takes(Happening::ScalerLook));
    (!calm).then_some(at)
}

fn size_of(world: &World, group: &str) -> i64 {
    world
        .live(group)
        .and_then(|r| r.body.get("targetSize")?.as_i64())
        .unwrap_or(0)
}

fn decide(world: &mut World, key: &str) {
    let Some(group) = target(world, key) else {
        return;
    };
    let Some(body) = world.live(key).map(|r| r.body.clone()) else {
        return;
    };
    let (now, policy) = (world.now, Policy::of(&body));
    let have = size_of(world, &group);
    let driven = load_of(world, &group).is_some();
    let scheduled = schedules::has_any(&body);
    let wanted = match driven || !scheduled {
        true => wanted(world, &group, &policy, have),
        false => policy.min,
    };
    let scaler = world.scalers.entry(key.to_string()).or_default();
    scaler.capped = wanted > policy.max;
    let most = policy.max.max(policy.min);
    let least = schedules::floor(&body, now).clamp(policy.min, most);
    let held = wanted.clamp(least, most);
    if !driven && let Some((_, before)) = scaler.history.back().copied() {
        // Nobody looked meanwhile: what it recommended it has recommended until now.
        scaler.remember(now, &policy, before);
    }
    scaler.remember(now, &policy, held);
    scaler.recommended = match driven || scheduled {
        true => steady(scaler, now, &policy, held),
        false => held,
    };
    let recommended = scaler.recommended;
    let next = match policy.mode {
        Mode::Off => have,
        Mode::OnlyOut => have.max(recommended),
        Mode::On => recommended,
    };
    if next == have {
        return;
    }
    world.change(&group, |body| {
        body.insert("targetSize".into(), json!(next));
    });
    groups::noticed_at(world, &group, now);
}

/// Growth counts at once; a smaller size only when the whole stabilization period agrees, and never by
/// more than the scale-in control allows.
fn steady(scaler: &Scaler, now: Timestamp, policy: &Policy, held: i64) -> i64 {
    let peak = scaler.peak(now, policy.stabilization).max(held);
    let Some((most, window)) = &policy.scale_in else {
        return peak;
    };
    let top = scaler.peak(now, *window).max(held);
    let least = top - absolute(most, top).unwrap_or(top);
    peak.max(least)
        .clamp(policy.min, policy.max.max(policy.min))
}

/// The size that the load calls for: as many machines as bring the usage of those that are initialised
/// to the target. While others initialise, it does not go below what there is.
fn wanted(world: &World, group: &str, policy: &Policy, have: i64) -> i64 {
    let (Some(load), Some(state)) = (load_of(world, group), world.groups.get(group)) else {
        return have;
    };
    let serving: Vec<_> = state
        .machines
        .iter()
        .filter(|m| m.stays() && group_health::serves(world, m))
        .collect();
    let initialised = serving
        .iter()
        .filter(|m| m.born.plus(policy.cool_down) <= world.now)
        .count();
    if initialised == 0 {
        return have;
    }
    let load = load.at(world.now.since(world.start));
    let usage = (load / serving.len() as f64).min(1.0);
    let called = (initialised as f64 * usage / policy.target.max(0.01) - 1e-9).ceil() as i64;
    let settling = (initialised as i64) < state.staying() || state.staying() < have;
    match settling {
        true => called.max(have),
        false => called.max(0),
    }
}
