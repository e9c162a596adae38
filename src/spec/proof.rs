//! Attempts, counted, and what went wrong.

use std::collections::BTreeMap;

use super::compare::Difference;
use super::death::{Course, Point, has_request_id};
use super::everywhere::{Plan, Schedules};
use super::tape::Kind;

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

impl Proof {
    pub(super) fn of(schedules: &Schedules, plan: &Plan, judged: Vec<Option<Tried>>) -> Proof {
        let undrawn = || schedules.iter().filter(|((_, seed), _)| seed.is_none());
        let changes = undrawn().flat_map(|(_, schedule)| schedule.changes());
        let mut proof = Proof {
            effects: undrawn().map(|(_, s)| s.played.moments.len()).sum(),
            points: plan.points,
            schedules: schedules.len(),
            rows: Vec::new(),
            reference: Tally::default(),
            drawn: Tally::default(),
            pairs: Tally::default(),
            foreign: Tally::default(),
            unprotected: changes
                .filter(|m| !m.request.as_deref().is_some_and(has_request_id))
                .count(),
            crashes: Vec::new(),
        };
        let mut rows = BTreeMap::new();
        for (point, tried) in plan.jobs.iter().zip(judged) {
            if let Some(tried) = tried {
                proof.add(schedules, &mut rows, point, tried);
            }
        }
        proof.rows = rows.into_values().collect();
        proof
    }

    fn add(
        &mut self,
        schedules: &Schedules,
        rows: &mut BTreeMap<(Course, usize), Row>,
        point: &Point,
        tried: Tried,
    ) {
        let first = point.deaths.first();
        let schedule = schedules.get(&point.schedule());
        let moment = first
            .filter(|_| point.schedule.is_none())
            .map(|(d, _)| d.at)
            .or(point.fault.map(|(at, _)| at))
            .and_then(|at| schedule?.played.moments.get(at.wrapping_sub(1)));
        let step = moment
            .zip(schedule)
            .map_or("", |(m, s)| s.played.address(m.task));
        let tally = match (point.foreign, point.deaths.len(), point.schedule) {
            (Some(_), ..) => &mut self.foreign,
            (None, 2.., _) => &mut self.pairs,
            (None, _, Some(_)) => &mut self.drawn,
            (None, _, None) => &mut self.reference,
        };
        tally.add(&tried);
        let told = match (point.fault, point.deaths.as_slice(), point.foreign) {
            (Some((_, kind)), ..) => Some(kind.name()),
            (None, [(death, _)], None) => moment.map(|m| death.fate.told(m)),
            _ => None,
        };
        if let (Some(moment), Some(told)) = (moment, &told) {
            let row = rows
                .entry((point.course, moment.number))
                .or_insert_with(|| Row {
                    number: moment.number,
                    step: step.to_owned(),
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
            self.crashes.push(Crash {
                point: point.clone(),
                step: step.to_owned(),
                what: what.unwrap_or_default(),
                difference: *difference,
            });
        }
    }
}
