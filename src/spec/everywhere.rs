//! Death at every effect: what is tried, and how each attempt is judged.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{Difference, Reference};
use super::death::{Death, Fate, Point, fates_of, has_request_id, remains};
use super::dice::Dice;
use super::meddle;
use super::player::{Case, How, Left, Line, Played, Player};
use super::promises::keeps_the_order;
use super::tape::{Kind, Moment};
use super::work::in_parallel;
use crate::catalog::{Catalog, SettleClass};
use crate::journal::{Event, RunStatus};
use crate::sim::Sim;
use crate::wire::Verb;
use crate::world::Millis;
use std::sync::Arc;

const NO_TIME: Millis = Millis(0);
/// After it a request id is no longer relied on.
const BEYOND_IDS: Millis = Millis::mins(31);
/// After it the cloud has forgotten its operations, and its request ids.
const BEYOND_OPERATIONS: Millis = Millis::mins(25 * 60);

/// Requests that a resumed run may make beyond what was left to do, for each step that was begun.
const EXTRA_REQUESTS: usize = 6;
/// Effects of a resumed run, in those of the undisturbed one.
const FUEL: usize = 4;

/// What is tried.
#[derive(Clone, Debug)]
pub struct Options {
    /// Every point, and not only the first and the last of those that leave the same.
    pub all: bool,
    /// What is drawn, is drawn by it.
    pub seed: u64,
    /// Schedules besides the reference schedule.
    pub schedules: usize,
    /// Deaths drawn for each of these schedules.
    pub deaths_a_schedule: usize,
    /// Pairs of deaths, the second in the process that resumes.
    pub pairs: usize,
    /// Points at which somebody else works on the same target.
    pub foreign: usize,
    /// Only these.
    pub points: Vec<Point>,
    pub threads: usize,
}

impl Options {
    /// What is usual: reduced, or with every point of the reference schedule.
    pub fn new(all: bool) -> Self {
        Options {
            all,
            seed: 1,
            schedules: 20,
            deaths_a_schedule: if all { 200 } else { 10 },
            pairs: if all { 1000 } else { 60 },
            foreign: if all { 600 } else { 60 },
            points: Vec::new(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Tried {
    /// As the run that nobody disturbed.
    Same,
    /// A person is asked: the cloud has forgotten even its operations, or shows no trace of the call;
    /// nothing was done twice.
    Decision,
    /// Somebody else worked on the same target; the run kept its promises.
    Kept,
    Differs(Box<Difference>),
}

/// One attempt that went wrong.
#[derive(Clone, Debug)]
pub struct Crash {
    pub point: Point,
    pub step: String,
    pub what: String,
    pub difference: Difference,
}

/// One effect of the reference schedule.
#[derive(Clone, Debug)]
pub struct Row {
    pub number: usize,
    pub step: String,
    pub kind: Kind,
    pub label: String,
    /// The fates that were tried.
    pub fates: Vec<String>,
    pub tally: Tally,
}

/// Attempts, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub tried: usize,
    pub same: usize,
    pub decisions: usize,
    pub kept: usize,
    pub differences: usize,
}

impl Tally {
    fn add(&mut self, tried: &Tried) {
        self.tried += 1;
        match tried {
            Tried::Same => self.same += 1,
            Tried::Decision => self.decisions += 1,
            Tried::Kept => self.kept += 1,
            Tried::Differs(_) => self.differences += 1,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Effects of the reference schedule.
    pub effects: usize,
    /// Deaths that the reference schedule has, before any are left out for leaving the same.
    pub points: usize,
    pub schedules: usize,
    pub rows: Vec<Row>,
    /// On the reference schedule.
    pub reference: Tally,
    /// On drawn schedules.
    pub drawn: Tally,
    pub pairs: Tally,
    pub foreign: Tally,
    /// Changes whose API takes no request id, so that nothing can be done about a late delivery.
    pub unprotected: usize,
    pub crashes: Vec<Crash>,
}

/// One undisturbed run, and what is held against it.
pub(super) struct Schedule {
    seed: Option<u64>,
    pub(super) start: Left,
    pub(super) played: Played,
    pub(super) reference: Reference,
    /// Open intents, by the length of the journal.
    open: Vec<usize>,
}

/// Kills the flow everywhere.
///
/// # Errors
/// The undisturbed run does not end well, so that there is nothing to compare with.
pub fn crash_everywhere(
    case: &Case<'_, '_>,
    cloud: &Sim,
    options: &Options,
) -> Result<Proof, String> {
    let player = Player::new(case).map_err(|e| e.to_string())?;
    let base = Schedule::of(&player, cloud, None)?;
    let mut plan = match options.points.is_empty() {
        true => base.enumerated(options.all),
        false => Plan::default(),
    };
    let mut schedules = BTreeMap::new();
    let mut add_schedule = |seed: u64| -> Result<(), String> {
        if let std::collections::btree_map::Entry::Vacant(free) = schedules.entry(seed) {
            free.insert(Schedule::of(&player, cloud, Some(seed))?);
        }
        Ok(())
    };
    for point in &options.points {
        if let Some(seed) = point.schedule {
            add_schedule(seed)?;
        }
        plan.jobs.push(point.clone());
    }
    if options.points.is_empty() {
        let mut dice = Dice::new(options.seed);
        for i in 0..options.schedules {
            add_schedule(options.seed.wrapping_add(i as u64))?;
        }
        for (seed, schedule) in &schedules {
            let drawn = schedule.drawn(&mut dice, options.deaths_a_schedule);
            plan.jobs.extend(drawn.map(|deaths| Point {
                schedule: Some(*seed),
                deaths: vec![deaths],
                ..Point::default()
            }));
        }
        plan.jobs.extend(base.pairs(&mut dice, options.pairs));
        plan.jobs.extend(base.foreign(&mut dice, options.foreign));
    }
    let judged = in_parallel(&plan.jobs, options.threads, || {
        let player = Player::new(case).ok();
        let (base, schedules) = (&base, &schedules);
        move |point: &Point| {
            let schedule = point.schedule.map_or(Some(base), |s| schedules.get(&s));
            schedule?.attempt(player.as_ref()?, point)
        }
    });
    Ok(base.proof(&plan, judged, schedules.len()))
}

/// What will be tried.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) jobs: Vec<Point>,
    pub(super) points: usize,
}

impl Schedule {
    /// Plays the flow twice, since everything else rests on its being repeatable.
    pub(super) fn of(
        player: &Player<'_, '_>,
        cloud: &Sim,
        seed: Option<u64>,
    ) -> Result<Schedule, String> {
        let how = How {
            seed,
            record: true,
            ..How::default()
        };
        let start = Left::fresh(cloud.clone());
        let played = player.play(start.clone(), &how);
        let catalog = &player.case.catalog;
        let reference =
            Reference::of(&played).map_err(|why| format!("the undisturbed run: {why}"))?;
        keeps_the_order(catalog, &[], &played)?;
        if let Some(name) = &played.leaked {
            return Err(format!("the secret `{name}` stands in the journal"));
        }
        let again = player.play(start.clone(), &how);
        let hashes = |p: &Played| p.moments.iter().map(|m| m.hash).collect::<Vec<_>>();
        let (first, second) = (hashes(&played), hashes(&again));
        if first != second {
            let at = first
                .iter()
                .zip(&second)
                .take_while(|(a, b)| a == b)
                .count();
            return Err(format!(
                "the run is not repeatable: effect {} is another the second time",
                at + 1
            ));
        }
        Ok(Schedule {
            seed,
            open: open_intents(&played.left.journal),
            start,
            reference,
            played,
        })
    }

    /// The downtimes that can make a difference after a death.
    fn downtimes(&self, moment: &Moment, death: Death) -> &'static [Millis] {
        let length = match death.fate {
            Fate::Kept(n) => moment.durable + n,
            _ if death.unsynced => moment.durable,
            _ => moment.written,
        };
        let open = self.open.get(length).copied().unwrap_or(0);
        match (death.fate, open) {
            // What arrives more than a while late is no longer the client's request.
            (Fate::Late, _) | (_, 0) => &[NO_TIME],
            _ => &[NO_TIME, BEYOND_IDS, BEYOND_OPERATIONS],
        }
    }

    /// Every death of this schedule, or the first and the last of each class.
    fn enumerated(&self, all: bool) -> Plan {
        let mut classes: BTreeMap<(Class, Millis), (Point, Point)> = BTreeMap::new();
        let mut plan = Plan::default();
        for moment in &self.played.moments {
            for death in fates_of(moment) {
                for downtime in self.downtimes(moment, death) {
                    let point = Point {
                        schedule: self.seed,
                        deaths: vec![(death, *downtime)],
                        ..Point::default()
                    };
                    plan.points += 1;
                    if all {
                        plan.jobs.push(point);
                        continue;
                    }
                    let key = (class(moment, death), *downtime);
                    classes
                        .entry(key)
                        .and_modify(|(_, last)| *last = point.clone())
                        .or_insert((point.clone(), point));
                }
            }
        }
        let chosen: BTreeSet<Point> = classes
            .into_values()
            .flat_map(|(first, last)| [first, last])
            .collect();
        plan.jobs.extend(chosen);
        plan.jobs
            .sort_by_key(|p| p.deaths.first().map(|(d, _)| d.at));
        plan
    }

    /// Deaths by chance.
    fn drawn<'s>(
        &'s self,
        dice: &'s mut Dice,
        count: usize,
    ) -> impl Iterator<Item = (Death, Millis)> + 's {
        (0..count).filter_map(move |_| {
            let moment = self.pick_moment(dice)?;
            let deaths = fates_of(moment);
            let death = *dice.pick(&deaths);
            let downtime = *dice.pick(self.downtimes(moment, death));
            Some((death, downtime))
        })
    }

    /// Half of the time one at which something is appended or changed.
    fn pick_moment(&self, dice: &mut Dice) -> Option<&Moment> {
        let weighty: Vec<&Moment> = self
            .played
            .moments
            .iter()
            .filter(|m| matches!(m.kind, Kind::Append | Kind::Change))
            .collect();
        match dice.chance(50) || weighty.is_empty() {
            true if self.played.moments.is_empty() => None,
            true => Some(dice.pick(&self.played.moments)),
            false => Some(*dice.pick(&weighty)),
        }
    }

    fn pairs(&self, dice: &mut Dice, count: usize) -> Vec<Point> {
        let mut firsts = Vec::new();
        for _ in 0..count {
            let one = self.drawn(dice, 1).find(|(d, _)| d.fate != Fate::Late);
            firsts.extend(one);
        }
        firsts
            .into_iter()
            .map(|first| {
                // The second effect is drawn among few: most resumed runs are short, and a run that
                // ends before it has simply died once.
                let at = 1 + dice.below(40);
                let fate = *dice.pick(&[Fate::Before, Fate::Lost, Fate::Kept(0), Fate::Kept(1)]);
                let second = Death {
                    at,
                    fate,
                    unsynced: false,
                };
                let downtime = *dice.pick(&[NO_TIME, BEYOND_IDS]);
                Point {
                    schedule: self.seed,
                    deaths: vec![first, (second, downtime)],
                    ..Point::default()
                }
            })
            .collect()
    }

    fn foreign(&self, dice: &mut Dice, count: usize) -> Vec<Point> {
        let changes: Vec<&Moment> = self.changes().collect();
        if changes.is_empty() {
            return Vec::new();
        }
        (0..count)
            .filter_map(|_| {
                let change = dice.below(changes.len());
                let what = *dice.pick(&super::death::Foreign::ALL);
                let near = changes[change].number;
                let from = near.saturating_sub(6).max(1);
                let at = from + dice.below(16);
                let moment = self.played.moments.get(at - 1)?;
                let deaths = match dice.chance(60) {
                    true => vec![(*dice.pick(&fates_of(moment)), NO_TIME)],
                    false => Vec::new(),
                };
                Some(Point {
                    schedule: self.seed,
                    deaths,
                    foreign: Some((at, what, change)),
                    ..Point::default()
                })
            })
            .filter(|p| p.deaths.iter().all(|(d, _)| d.fate != Fate::Late))
            .collect()
    }

    fn changes(&self) -> impl Iterator<Item = &Moment> {
        let moments = self.played.moments.iter();
        moments.filter(|m| m.kind == Kind::Change)
    }

    /// Dies, or is meddled with, as the point says; `None` when the point does not exist.
    fn attempt(&self, player: &Player<'_, '_>, point: &Point) -> Option<Tried> {
        let catalog = &player.case.catalog;
        let foreign = match point.foreign {
            None => None,
            Some((at, what, change)) => {
                let request = self.changes().nth(change)?.request.clone()?;
                let requests = vec![meddle::request(catalog, &request, what)?];
                Some((at, requests, request))
            }
        };
        let mut left = self.start.clone();
        let mut how = How {
            seed: self.seed,
            fuel: self.reference.effects * FUEL + 2000,
            ..How::default()
        };
        let mut budget = None;
        for (i, (death, downtime)) in point.deaths.iter().enumerate() {
            let died = match i {
                0 => {
                    let moment = self.played.moments.get(death.at.checked_sub(1)?)?;
                    budget = Some(self.reference.requests.saturating_sub(moment.requests));
                    remains(catalog, &self.start, &self.played, *death)?
                }
                _ => {
                    let recorded = How {
                        record: true,
                        ..how.clone()
                    };
                    let played = player.play(left.clone(), &recorded);
                    budget = None;
                    match remains(catalog, &left, &played, fitting(&played, *death)) {
                        Some(died) => died,
                        None => continue,
                    }
                }
            };
            left = died;
            left.now = left.now.plus(*downtime);
        }
        match (&foreign, point.deaths.is_empty()) {
            (Some((_, requests, _)), false) => {
                for request in requests {
                    left.stage.answer(catalog, request, left.now, false);
                }
            }
            (Some((at, requests, _)), true) => {
                how.meddling = Some(super::player::Meddling {
                    at: *at,
                    requests: requests.clone(),
                });
            }
            (None, _) => {}
        }
        let before = left.journal.clone();
        let played = player.play(left, &how);
        Some(match foreign {
            Some((_, _, target)) => self.judge_meddled(player, &before, &played, &target),
            None => {
                let forgotten = point.deaths.iter().any(|(_, d)| *d == BEYOND_OPERATIONS);
                let tried = self.judge(player, &before, &played, forgotten);
                match (tried, budget) {
                    (Tried::Same, Some(rest)) => self.frugal(&before, &played, rest),
                    (tried, _) => tried,
                }
            }
        })
    }

    fn judge(
        &self,
        player: &Player<'_, '_>,
        before: &[Arc<Line>],
        played: &Played,
        forgotten: bool,
    ) -> Tried {
        if let Some(wrong) = self.broken_promise(player, before, played) {
            return wrong;
        }
        let decision = matches!(&played.end, Ok(end) if end.status == RunStatus::Decision);
        if decision && (forgotten || shows_no_trace(&player.case.catalog, before)) {
            return match self.reference.nothing_twice(played, |_| false) {
                Ok(()) => Tried::Decision,
                Err(difference) => Tried::Differs(difference),
            };
        }
        match self.reference.compare(played) {
            Ok(()) => Tried::Same,
            Err(difference) => Tried::Differs(difference),
        }
    }

    /// Somebody else worked on the same target: the run may end otherwise, but not break a promise.
    fn judge_meddled(
        &self,
        player: &Player<'_, '_>,
        before: &[Arc<Line>],
        played: &Played,
        target: &crate::wire::Request,
    ) -> Tried {
        if let Some(wrong) = self.broken_promise(player, before, played) {
            return wrong;
        }
        let near = meddle::resource_of(target);
        match self
            .reference
            .nothing_twice(played, |path| meddle::touches(path, &near))
        {
            Ok(()) => Tried::Kept,
            Err(difference) => Tried::Differs(difference),
        }
    }

    /// Whether the resumed run made no more requests than it needed.
    fn frugal(&self, before: &[Arc<Line>], played: &Played, rest: usize) -> Tried {
        let begun = begun_steps(before);
        let most = rest + EXTRA_REQUESTS * (begun + 2);
        match played.requests > most {
            false => Tried::Same,
            true => Tried::Differs(self.reference.difference(
                played,
                format!(
                    "the resumed run made {} requests, and {rest} were left to make",
                    played.requests
                ),
            )),
        }
    }

    pub(super) fn proof(&self, plan: &Plan, judged: Vec<Option<Tried>>, schedules: usize) -> Proof {
        let mut proof = Proof {
            effects: self.played.moments.len(),
            points: plan.points,
            schedules,
            rows: Vec::new(),
            reference: Tally::default(),
            drawn: Tally::default(),
            pairs: Tally::default(),
            foreign: Tally::default(),
            unprotected: self
                .changes()
                .filter(|m| !m.request.as_deref().is_some_and(has_request_id))
                .count(),
            crashes: Vec::new(),
        };
        let mut rows: BTreeMap<usize, Row> = BTreeMap::new();
        for (point, tried) in plan.jobs.iter().zip(judged) {
            let Some(tried) = tried else { continue };
            let first = point.deaths.first();
            let moment = first
                .filter(|_| point.schedule.is_none())
                .map(|(d, _)| d.at)
                .or(point.fault.map(|(at, _)| at))
                .and_then(|at| self.played.moments.get(at.wrapping_sub(1)));
            let tally = match (point.foreign, point.deaths.len(), point.schedule) {
                (Some(_), ..) => &mut proof.foreign,
                (None, 2.., _) => &mut proof.pairs,
                (None, _, Some(_)) => &mut proof.drawn,
                (None, _, None) => &mut proof.reference,
            };
            tally.add(&tried);
            let told = match (point.fault, point.deaths.as_slice(), point.foreign) {
                (Some((_, kind)), ..) => Some(kind.name()),
                (None, [(death, _)], None) => moment.map(|m| death.fate.told(m)),
                _ => None,
            };
            if let (Some(moment), Some(told)) = (moment, &told) {
                let row = rows.entry(moment.number).or_insert_with(|| Row {
                    number: moment.number,
                    step: self.played.address(moment.task).to_owned(),
                    kind: moment.kind,
                    label: moment.label.clone(),
                    fates: Vec::new(),
                    tally: Tally::default(),
                });
                if !row.fates.contains(told) {
                    row.fates.push(told.clone());
                }
                row.tally.add(&tried);
            }
            if let Tried::Differs(difference) = tried {
                let what = moment.map(|m| {
                    let told = told.unwrap_or_default();
                    let later = first.map(|(_, d)| format!(", {d} later"));
                    let later = later.unwrap_or_default();
                    format!("{} `{}`, {told}{later}", m.kind.as_str(), m.label)
                });
                proof.crashes.push(Crash {
                    point: point.clone(),
                    step: moment
                        .map_or("", |m| self.played.address(m.task))
                        .to_owned(),
                    what: what.unwrap_or_default(),
                    difference: *difference,
                });
            }
        }
        proof.rows = rows.into_values().collect();
        proof
    }
}

/// A death in a process whose effects nobody knows beforehand: the last effect when it has fewer,
/// and a fate that the effect has.
fn fitting(played: &Played, wanted: Death) -> Death {
    let at = wanted.at.min(played.moments.len());
    let fates = match played.moments.get(at.wrapping_sub(1)) {
        Some(moment) => fates_of(moment),
        None => return wanted,
    };
    let same = fates.iter().find(|d| d.fate == wanted.fate);
    same.or(fates.last())
        .copied()
        .map_or(wanted, |d| Death { at, ..d })
}

/// What a death leaves, but for the moment: the journal's length and what reached the cloud.
type Class = (usize, usize, Option<(usize, Fate)>);

fn class(moment: &Moment, death: Death) -> Class {
    let length = match death.fate {
        Fate::Kept(n) => moment.durable + n,
        _ if death.unsynced => moment.durable,
        _ => moment.written,
    };
    let own = Some((moment.number, death.fate));
    match death.fate {
        Fate::Before | Fate::Kept(_) => (length, moment.changes, None),
        Fate::Lost if moment.leaving.is_empty() => (length, moment.changes + 1, None),
        Fate::Lost | Fate::Late => (length, moment.changes, own),
        Fate::Answered => {
            let answered = moment.answered;
            let length = answered.map_or(length, |a| match death.unsynced {
                true => a.durable,
                false => a.written,
            });
            (length, answered.map_or(0, |a| a.changes), None)
        }
        Fate::AllFlew if moment.leaving.is_empty() => (length, moment.changes, None),
        Fate::AllFlew | Fate::NoneFlew | Fate::AllBut(_) => {
            let flying = moment.unanswered.first().copied().unwrap_or(0);
            (length, moment.changes, Some((flying, death.fate)))
        }
    }
}

/// Whether a call is open of which the API shows no trace, so that only a person can tell (R0511).
fn shows_no_trace(catalog: &Catalog, journal: &[Arc<Line>]) -> bool {
    let mut open = BTreeMap::new();
    for line in journal {
        match &line.event {
            Event::Intent { address, intent } => {
                open.insert(address, &intent.request);
            }
            Event::Called { address, .. } | Event::Voided { address, .. } => {
                open.remove(address);
            }
            _ => {}
        }
    }
    open.values()
        .any(|request| match catalog.method(&request.method) {
            Some(method) => matches!(
                method.settle,
                SettleClass::Unsafe | SettleClass::OnceOnlyResult | SettleClass::MarkedCreate
            ),
            None => !matches!(request.verb, Verb::Put | Verb::Delete),
        })
}

/// How many intents are open after each line of a journal.
fn open_intents(journal: &[Arc<Line>]) -> Vec<usize> {
    let mut open = 0usize;
    let mut all = vec![0];
    for line in journal {
        match &line.event {
            Event::Intent { .. } => open += 1,
            Event::Called { .. } | Event::Voided { .. } => open = open.saturating_sub(1),
            _ => {}
        }
        all.push(open);
    }
    all
}

/// Steps that a journal tells of, and that are not over.
fn begun_steps(journal: &[Arc<Line>]) -> usize {
    let mut begun = BTreeSet::new();
    for line in journal {
        if let Some(address) = line.event.address() {
            match &line.event {
                Event::Finished { .. } | Event::Grew { .. } => begun.remove(address),
                _ => begun.insert(Arc::clone(address)),
            };
        }
    }
    begun.len()
}
