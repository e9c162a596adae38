//! Failure at every call: each request of the undisturbed run gets every wrong answer once.
//!
//! The run must be done all the same, or stop with the exit code that the answer's class has; then
//! it must be done when it is resumed and the fault is gone.

use std::collections::BTreeMap;

use super::death::{Course, Point};
use super::everywhere::{Options, Plan, Schedule};
use super::fault::FaultKind;
use super::lines::leaves_no_trace;
use super::player::{Case, How, Left, Played, Player};
use super::promises::keeps_the_order;
use super::proof::{Proof, Tried};
use super::tape::Moment;
use super::work::in_parallel;
use crate::journal::{Event, Outcome, RunStatus};
use crate::run::{grant_may_end, repeats_unseen};
use crate::sim::Sim;
use crate::wire::Request;

/// Lets every call fail.
///
/// # Errors
/// The undisturbed run does not end well, so that there is nothing to compare with.
pub fn fail_everywhere(
    case: &Case<'_, '_>,
    cloud: &Sim,
    options: &Options,
) -> Result<Proof, String> {
    let player = Player::new(case).map_err(|e| e.to_string())?;
    let base = Schedule::of(&player, cloud, Course::Resumed, None)?;
    let plan = match options.points.is_empty() {
        true => base.failures(options.all, &player),
        false => Plan {
            jobs: options.points.clone(),
            points: options.points.len(),
        },
    };
    let judged = in_parallel(&plan.jobs, options.threads, || {
        let player = Player::new(case).ok();
        let base = &base;
        move |point: &Point| base.fail(player.as_ref()?, point)
    });
    let schedules = [((Course::Resumed, None), base)].into();
    Ok(Proof::of(&schedules, &plan, judged))
}

impl Schedule {
    /// Every wrong answer to every request; of requests that a step repeats, to the first and last.
    fn failures(&self, all: bool, player: &Player<'_, '_>) -> Plan {
        let mut plan = Plan::default();
        let mut alike: BTreeMap<(u32, String), Vec<&Moment>> = BTreeMap::new();
        for moment in &self.played.moments {
            if let Some(request) = &moment.request {
                let key = (
                    moment.task.0,
                    format!("{} {}", request.method, request.path),
                );
                alike.entry(key).or_default().push(moment);
            }
        }
        for moments in alike.values() {
            let count = moments.len();
            for (i, moment) in moments.iter().enumerate() {
                let chosen = all || i == 0 || i + 1 == count;
                for kind in FaultKind::all() {
                    let request = moment.request.as_deref();
                    let possible = request
                        .is_some_and(|r| kind.at(&player.case.catalog, moment.number, r).is_some());
                    if !possible {
                        continue;
                    }
                    plan.points += 1;
                    if chosen {
                        plan.jobs.push(Point {
                            fault: Some((moment.number, kind)),
                            ..Point::default()
                        });
                    }
                }
            }
        }
        plan.jobs.sort();
        plan
    }

    fn fail(&self, player: &Player<'_, '_>, point: &Point) -> Option<Tried> {
        let catalog = &player.case.catalog;
        let (at, kind) = point.fault?;
        let request = self
            .played
            .moments
            .get(at.checked_sub(1)?)?
            .request
            .clone()?;
        let how = How {
            fault: Some(kind.at(catalog, at, &request)?),
            ..How::default()
        };
        let played = player.play(self.start.clone(), &how);
        if let Some(wrong) = self.broken_promise(player, &[], &played) {
            return Some(wrong);
        }
        let differs = |what: String| Tried::Differs(self.reference.difference(&played, what));
        let spared: Vec<Request> = match repeats_unseen(catalog, &request) {
            true => vec![Request::clone(&request)],
            false => Vec::new(),
        };
        let status = played
            .end
            .as_ref()
            .map_or(RunStatus::Failed, |end| end.status);
        // The newest operation is only a help: without it the time tells which came later.
        let helps = request.method.ends_with("perations.list");
        let forgiven = tolerates(&played) || helps;
        Some(match status {
            RunStatus::Done if kind.stops() && !forgiven && !grants(&played, kind) => {
                differs(format!("it ended well although it met `{}`", kind.name()))
            }
            RunStatus::Done if forgiven || kind.lies() => self.kept(&played, &spared),
            RunStatus::Done if leaves_no_trace(catalog, &request) => {
                let again = [Request::clone(&request)];
                match self.reference.but_for_what_follows(&played, &again) {
                    Ok(()) => Tried::Kept,
                    Err(difference) => Tried::Differs(difference),
                }
            }
            RunStatus::Done => self.like_reference(&played, &spared),
            // No API tells what became of some calls; then a person is asked.
            RunStatus::Decision if !kind.stops() => self.kept(&played, &spared),
            status if status != kind.ends() && !kind.lies() => differs(format!(
                "it met `{}` and ended: {}, and should have ended: {}",
                kind.name(),
                status.as_str(),
                kind.ends().as_str()
            )),
            _ => self.after_all(player, &played, kind, &spared),
        })
    }

    /// The fault is gone: the run goes on.
    fn after_all(
        &self,
        player: &Player<'_, '_>,
        stopped: &Played,
        kind: FaultKind,
        spared: &[Request],
    ) -> Tried {
        let before = stopped.left.journal.clone();
        let left: Left = stopped.left.clone();
        let resumed = player.play(left, &How::default());
        if let Some(wrong) = self.broken_promise(player, &before, &resumed) {
            return wrong;
        }
        match kind.lies() {
            true => self.kept(&resumed, spared),
            false => self.like_reference(&resumed, spared),
        }
    }

    fn like_reference(&self, played: &Played, repeated: &[Request]) -> Tried {
        match self.reference.compare(played, repeated) {
            Ok(()) => Tried::Same,
            Err(difference) => Tried::Differs(difference),
        }
    }

    fn kept(&self, played: &Played, spared: &[Request]) -> Tried {
        match self.reference.but_for(played, spared) {
            Ok(()) => Tried::Kept,
            Err(difference) => Tried::Differs(difference),
        }
    }

    /// Whether a process broke what holds whatever happens.
    pub(super) fn broken_promise(
        &self,
        player: &Player<'_, '_>,
        before: &[std::sync::Arc<super::player::Line>],
        played: &Played,
    ) -> Option<Tried> {
        let differs = |what: String| Some(Tried::Differs(self.reference.difference(played, what)));
        if let Err(trouble) = &played.end {
            return differs(trouble.to_string());
        }
        if let Some(name) = &played.leaked {
            return differs(format!("the secret `{name}` stands in the journal"));
        }
        match keeps_the_order(&player.case.catalog, before, played) {
            Err(what) => differs(what),
            Ok(()) => None,
        }
    }
}

/// Whether the run itself did what may end such a refusal: then it passes for a while.
fn grants(played: &Played, kind: FaultKind) -> bool {
    let FaultKind::Refused(class) = kind else {
        return false;
    };
    played.left.journal.iter().any(|line| match &line.event {
        Event::Intent { intent, .. } => grant_may_end(&intent.request.method, class),
        _ => false,
    })
}

/// Whether the flow said to go on after a failure.
fn tolerates(played: &Played) -> bool {
    played.left.journal.iter().any(|line| {
        matches!(
            &line.event,
            Event::Finished {
                outcome: Outcome::Failed {
                    tolerated: true,
                    ..
                },
                ..
            }
        )
    })
}
