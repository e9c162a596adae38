//! Death at every effect: what is tried, and how each attempt is judged.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::compare::{Difference, Reference};
use super::death::{Course, Death, Fate, Point, fates_of, remains};
use super::dice::Dice;
use super::lines::{LeftOpen, begun_steps, open_intents};
use super::meddle;
use super::player::{Act, Case, How, Left, Line, Played, Player};
use super::promises::keeps_the_order;
use super::proof::{Proof, Tried};
use super::tape::{Kind, Moment};
use super::undone::{Before, Remains};
use super::work::in_parallel;
use crate::journal::RunStatus;
use crate::sim::Sim;
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
    /// A rollback of the run, instead of the run alone.
    pub rollback: bool,
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
            rollback: false,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

impl Options {
    fn courses(&self) -> &'static [Course] {
        match (self.points.is_empty(), self.rollback) {
            (false, _) => &[],
            (true, false) => &[Course::Resumed],
            (true, true) => &[Course::Undone, Course::Undoing],
        }
    }
}

/// One undisturbed run or rollback, and what is held against it.
pub(super) struct Schedule {
    course: Course,
    seed: Option<u64>,
    /// What the process finds that dies.
    pub(super) start: Left,
    pub(super) played: Played,
    /// The undisturbed end: of the run, or of the rollback.
    pub(super) reference: Reference,
    /// What a rollback puts back, of a run that died anywhere.
    before: Option<Before>,
    /// Open intents, by the length of the journal.
    open: Vec<usize>,
}

pub(super) type Schedules = BTreeMap<(Course, Option<u64>), Schedule>;

/// Kills the flow everywhere, and its rollback.
///
/// # Errors
/// The undisturbed run does not end well, so that there is nothing to compare with.
pub fn crash_everywhere(
    case: &Case<'_, '_>,
    cloud: &Sim,
    options: &Options,
) -> Result<Proof, String> {
    let player = Player::new(case).map_err(|e| e.to_string())?;
    let mut schedules = Schedules::new();
    let mut wanted: Vec<(Course, Option<u64>)> = Vec::new();
    for course in options.courses() {
        let drawn = (0..options.schedules as u64).map(|i| Some(options.seed.wrapping_add(i)));
        wanted.push((*course, None));
        wanted.extend(
            drawn
                .filter(|_| options.points.is_empty())
                .map(|s| (*course, s)),
        );
    }
    wanted.extend(options.points.iter().map(Point::schedule));
    for (course, seed) in wanted {
        if let Entry::Vacant(free) = schedules.entry((course, seed)) {
            free.insert(Schedule::of(&player, cloud, course, seed)?);
        }
    }
    let plan = match options.points.is_empty() {
        true => planned(&schedules, options),
        false => Plan {
            jobs: options.points.clone(),
            points: options.points.len(),
        },
    };
    let judged = in_parallel(&plan.jobs, options.threads, || {
        let player = Player::new(case).ok();
        let schedules = &schedules;
        move |point: &Point| {
            let schedule = schedules.get(&point.schedule())?;
            schedule.attempt(player.as_ref()?, point)
        }
    });
    Ok(Proof::of(&schedules, &plan, judged))
}

/// Plays a process twice, since everything else rests on its being repeatable.
fn undisturbed(
    player: &Player<'_, '_>,
    start: &Left,
    act: Act,
    seed: Option<u64>,
) -> Result<(Played, Reference), String> {
    let how = How {
        act,
        seed,
        record: true,
        ..How::default()
    };
    let name = match act {
        Act::Run => "run",
        Act::RollBack => "rollback",
    };
    let played = player.play(start.clone(), &how);
    let reference =
        Reference::of(&played).map_err(|why| format!("the undisturbed {name}: {why}"))?;
    keeps_the_order(&player.case.catalog, &start.journal, &played)?;
    if let Some(secret) = &played.leaked {
        return Err(format!("the secret `{secret}` stands in the journal"));
    }
    let again = player.play(start.clone(), &how);
    let alike = played.moments.iter().zip(&again.moments);
    let same = alike.take_while(|(a, b)| a.hash == b.hash).count();
    if same < played.moments.len().max(again.moments.len()) {
        return Err(format!(
            "the {name} is not repeatable: effect {} is another the second time",
            same + 1
        ));
    }
    Ok((played, reference))
}

/// What will be tried.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) jobs: Vec<Point>,
    pub(super) points: usize,
}

fn planned(schedules: &Schedules, options: &Options) -> Plan {
    let mut plan = Plan::default();
    let mut dice = Dice::new(options.seed);
    for ((_, seed), schedule) in schedules {
        match seed {
            None => {
                let every = schedule.enumerated(options.all);
                plan.points += every.points;
                plan.jobs.extend(every.jobs);
                plan.jobs.extend(schedule.pairs(&mut dice, options.pairs));
                plan.jobs
                    .extend(schedule.foreign(&mut dice, options.foreign));
            }
            Some(_) => {
                let drawn = schedule.drawn(&mut dice, options.deaths_a_schedule);
                plan.jobs
                    .extend(drawn.map(|death| schedule.point(vec![death])));
            }
        }
    }
    plan
}

impl Schedule {
    /// Plays the flow, and its rollback.
    pub(super) fn of(
        player: &Player<'_, '_>,
        cloud: &Sim,
        course: Course,
        seed: Option<u64>,
    ) -> Result<Schedule, String> {
        let start = Left::fresh(cloud.clone());
        let (run, reference) = undisturbed(player, &start, Act::Run, seed)?;
        let schedule = |start, played: Played, reference| Schedule {
            course,
            seed,
            open: open_intents(&played.left.journal),
            start,
            played,
            reference,
            before: None,
        };
        if course == Course::Resumed {
            return Ok(schedule(start, run, reference));
        }
        let mut done = run.left.clone();
        done.now = done.now.max(done.stage.cloud.now());
        let (rollback, reference) = undisturbed(player, &done, Act::RollBack, seed)?;
        Ok(match course {
            Course::Undoing => schedule(done, rollback, reference),
            Course::Resumed | Course::Undone => Schedule {
                before: Some(Before::of(&start, &rollback)),
                ..schedule(start, run, reference)
            },
        })
    }

    fn point(&self, deaths: Vec<(Death, Millis)>) -> Point {
        Point {
            course: self.course,
            schedule: self.seed,
            deaths,
            ..Point::default()
        }
    }

    /// What the processes do that come after the first death.
    fn after(&self) -> Act {
        match self.course {
            Course::Resumed => Act::Run,
            Course::Undone | Course::Undoing => Act::RollBack,
        }
    }

    /// The downtimes that can make a difference after a death.
    fn downtimes(&self, moment: &Moment, death: Death) -> &'static [Millis] {
        let open = self.open.get(kept(moment, death)).copied().unwrap_or(0);
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
                    let point = self.point(vec![(death, *downtime)]);
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
                self.point(vec![first, (second, downtime)])
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
                    foreign: Some((at, what, change)),
                    ..self.point(deaths)
                })
            })
            .filter(|p| p.deaths.iter().all(|(d, _)| d.fate != Fate::Late))
            // A run is rolled back when it has died.
            .filter(|p| self.course != Course::Undone || !p.deaths.is_empty())
            .collect()
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = &Moment> {
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
            act: self.after(),
            seed: self.seed,
            fuel: self.reference.effects * FUEL + 2000,
            ..How::default()
        };
        let mut budget = None;
        let counts = self.course != Course::Undone;
        for (i, (death, downtime)) in point.deaths.iter().enumerate() {
            let died = match i {
                0 => {
                    let moment = self.played.moments.get(death.at.checked_sub(1)?)?;
                    let rest = self.reference.requests.saturating_sub(moment.requests);
                    budget = counts.then_some(rest + forgotten(moment, *death));
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
            if left.journal.is_empty() && how.act == Act::RollBack {
                return None;
            }
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
        let catalog = &player.case.catalog;
        let told = |ended: Result<(), Box<Difference>>, tried| match ended {
            Ok(()) => tried,
            Err(difference) => Tried::Differs(difference),
        };
        let open = LeftOpen::of(before);
        let (untraced, repeated) = (open.untraced(catalog), open.repeated(catalog));
        let doubtful = forgotten || !untraced.is_empty();
        let decision = matches!(&played.end, Ok(end) if end.status == RunStatus::Decision);
        let spared = [&untraced[..], &repeated].concat();
        let once = || self.reference.but_for(played, &spared);
        if decision && doubtful {
            return told(once(), Tried::Decision);
        }
        let Some(restored) = &self.before else {
            let compared = self.reference.compare(played, &repeated);
            // `repeat safe`: what nobody can tell is sent again, and may have its effect twice.
            let again = compared.is_err() && played.is_done() && !untraced.is_empty();
            return match again {
                true => told(
                    self.reference.but_for_what_follows(played, &spared),
                    Tried::Kept,
                ),
                false => told(compared, Tried::Same),
            };
        };
        let differs = |what: String| Tried::Differs(self.reference.difference(played, what));
        match restored.remains(catalog, played, forgotten) {
            Remains::Nothing => told(once(), Tried::Same),
            Remains::Doubtful => told(once(), Tried::Decision),
            Remains::Blocked => Tried::Decision,
            Remains::Wrong(what) => differs(what),
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
        let repeated = LeftOpen::of(before).repeated(&player.case.catalog);
        match self.reference.nothing_twice(played, |path| {
            meddle::touches(path, &near) || repeated.iter().any(|r| r.path == path)
        }) {
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

/// How long the journal is that a death leaves.
fn kept(moment: &Moment, death: Death) -> usize {
    match death.fate {
        Fate::Kept(n) => moment.durable + n,
        _ if death.unsynced => moment.durable,
        _ => moment.written,
    }
}

/// Entries that a death loses: what they tell is asked for again.
fn forgotten(moment: &Moment, death: Death) -> usize {
    let adds = match death.fate {
        Fate::Kept(_) => moment.adds,
        _ => 0,
    };
    (moment.written + adds).saturating_sub(kept(moment, death))
}

fn class(moment: &Moment, death: Death) -> Class {
    let length = kept(moment, death);
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
