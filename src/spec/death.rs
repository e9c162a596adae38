//! Where a process dies, what the world has seen of it, and what it leaves.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::fault::FaultKind;
use super::player::{Left, Played};
use super::tape::{Kind, Moment};
use crate::catalog::Catalog;
use crate::sim::scenario::parse_span;
use crate::wire::Request;
use crate::world::Millis;

/// What the world has seen of the effect at which a process dies, and of what else was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Nothing of it.
    Before,
    /// So many of the journal's entries that were not acknowledged are durable.
    Kept(usize),
    /// The request took effect; its answer is lost.
    Lost,
    /// The answer arrived, and nothing was recorded of it.
    Answered,
    /// The request leaves the dead process late: after the next one has looked around.
    Late,
    /// Every change that was under way took effect.
    AllFlew,
    /// No change that was under way took effect.
    NoneFlew,
    /// Every change that was under way took effect but this one, counted from 0.
    AllBut(usize),
}

/// One death.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Death {
    /// The number of the effect.
    pub at: usize,
    pub fate: Fate,
    /// Whether everything that was not acknowledged is lost to the journal.
    pub unsynced: bool,
}

/// What somebody else does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Foreign {
    Insert,
    Patch,
    Delete,
}

/// What dies, and what the processes after it do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Course {
    /// The run dies, and goes on.
    #[default]
    Resumed,
    /// The run dies, and is rolled back.
    Undone,
    /// The run is done and rolled back; the rollback dies, and goes on.
    Undoing,
}

impl Course {
    fn name(self) -> Option<&'static str> {
        match self {
            Course::Resumed => None,
            Course::Undone => Some("undone"),
            Course::Undoing => Some("undoing"),
        }
    }
}

/// A whole disturbance: which schedule, the deaths with the downtimes after them, and what somebody
/// else does before an effect of the first process, or while nobody is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub course: Course,
    /// `None`: the reference schedule.
    pub schedule: Option<u64>,
    pub deaths: Vec<(Death, Millis)>,
    /// Before which effect, and which change of the undisturbed run is meddled with.
    pub foreign: Option<(usize, Foreign, usize)>,
    /// Which request gets which wrong answer.
    pub fault: Option<(usize, FaultKind)>,
}

impl Point {
    /// Which undisturbed run it disturbs.
    pub fn schedule(&self) -> (Course, Option<u64>) {
        (self.course, self.schedule)
    }
}

impl Fate {
    fn name(self) -> String {
        match self {
            Fate::Before => "before".into(),
            Fate::Kept(n) => format!("kept-{n}"),
            Fate::Lost => "lost".into(),
            Fate::Answered => "answered".into(),
            Fate::Late => "late".into(),
            Fate::AllFlew => "all".into(),
            Fate::NoneFlew => "none".into(),
            Fate::AllBut(n) => format!("all-but-{n}"),
        }
    }

    fn parse(text: &str) -> Option<Fate> {
        if let Some(n) = text.strip_prefix("all-but-") {
            return n.parse().ok().map(Fate::AllBut);
        }
        if let Some(n) = text.strip_prefix("kept-") {
            return n.parse().ok().map(Fate::Kept);
        }
        Some(match text {
            "before" => Fate::Before,
            "lost" => Fate::Lost,
            "answered" => Fate::Answered,
            "late" => Fate::Late,
            "all" => Fate::AllFlew,
            "none" => Fate::NoneFlew,
            _ => return None,
        })
    }

    /// For people; `moment` tells which of a batch's entries are meant.
    pub fn told(self, moment: &Moment) -> String {
        let pending = moment.written - moment.durable;
        match self {
            Fate::Before if moment.kind == Kind::Change => "not sent".into(),
            Fate::Kept(n) if n == pending => "not made".into(),
            Fate::Kept(n) if n == pending + moment.adds => "durable, not acknowledged".into(),
            Fate::Kept(n) => format!("torn after {n} of {}", pending + moment.adds),
            Fate::Lost => "answer lost".into(),
            Fate::Answered => "answered, not recorded".into(),
            Fate::Late => "delivered late".into(),
            Fate::AllFlew => "all in flight applied".into(),
            Fate::NoneFlew => "none in flight applied".into(),
            Fate::AllBut(n) => format!("in flight applied but number {n}"),
            Fate::Before => "before".into(),
        }
    }
}

impl std::fmt::Display for Death {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unsynced = if self.unsynced { "-unsynced" } else { "" };
        write!(f, "{}:{}{unsynced}", self.at, self.fate.name())
    }
}

impl std::str::FromStr for Death {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no death; write it like `17:lost`");
        let (at, fate) = text.split_once(':').ok_or_else(wrong)?;
        let (fate, unsynced) = match fate.strip_suffix("-unsynced") {
            Some(fate) => (fate, true),
            None => (fate, false),
        };
        Ok(Death {
            at: at.parse().map_err(|_| wrong())?,
            fate: Fate::parse(fate).ok_or_else(wrong)?,
            unsynced,
        })
    }
}

impl Foreign {
    pub const ALL: [Foreign; 3] = [Foreign::Insert, Foreign::Patch, Foreign::Delete];

    pub fn as_str(self) -> &'static str {
        match self {
            Foreign::Insert => "insert",
            Foreign::Patch => "patch",
            Foreign::Delete => "delete",
        }
    }
}

/// `s4/17:lost:31m/9:before:0s`, `17~delete-2` for what somebody else does, `9!quota` for a fault,
/// `undone/17:lost:0s` for a run that is rolled back, `undoing/5:lost:0s` for the death of a rollback.
impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts: Vec<String> = self.course.name().map(Into::into).into_iter().collect();
        if let Some(seed) = self.schedule {
            parts.push(format!("s{seed}"));
        }
        if let Some((at, foreign, change)) = self.foreign {
            parts.push(format!("{at}~{}-{change}", foreign.as_str()));
        }
        if let Some((at, kind)) = self.fault {
            parts.push(format!("{at}!{}", kind.name()));
        }
        for (death, downtime) in &self.deaths {
            parts.push(format!("{death}:{downtime}"));
        }
        f.write_str(&parts.join("/"))
    }
}

impl std::str::FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |part: &str| {
            format!("`{part}` is no part of a point; copy one from a report, like `17:lost:31m`")
        };
        let mut point = Point::default();
        for part in text.split('/') {
            let named = |course: &Course| course.name() == Some(part);
            if let Some(course) = [Course::Undone, Course::Undoing].into_iter().find(named) {
                point.course = course;
            } else if let Some(seed) = part.strip_prefix('s') {
                point.schedule = Some(seed.parse().map_err(|_| wrong(part))?);
            } else if let Some((at, kind)) = part.split_once('!') {
                let kind = FaultKind::parse(kind).ok_or_else(|| wrong(part))?;
                point.fault = Some((at.parse().map_err(|_| wrong(part))?, kind));
            } else if let Some((at, what)) = part.split_once('~') {
                let (what, change) = what.rsplit_once('-').ok_or_else(|| wrong(part))?;
                let foreign = Foreign::ALL.into_iter().find(|f| f.as_str() == what);
                point.foreign = Some((
                    at.parse().map_err(|_| wrong(part))?,
                    foreign.ok_or_else(|| wrong(part))?,
                    change.parse().map_err(|_| wrong(part))?,
                ));
            } else {
                let (death, downtime) = part.rsplit_once(':').ok_or_else(|| wrong(part))?;
                let downtime = parse_span(downtime).ok_or_else(|| wrong(part))?;
                point.deaths.push((death.parse()?, downtime));
            }
        }
        match point.deaths.is_empty() && point.foreign.is_none() && point.fault.is_none() {
            true => Err(wrong(text)),
            false => Ok(point),
        }
    }
}

/// Everything that can be left at a moment.
pub fn fates_of(moment: &Moment) -> Vec<Death> {
    let at = moment.number;
    let death = |fate| Death {
        at,
        fate,
        unsynced: false,
    };
    let pending = moment.written - moment.durable;
    let mut all: Vec<Death> = match moment.kind {
        Kind::Append => (0..=pending + moment.adds)
            .map(|n| death(Fate::Kept(n)))
            .collect(),
        Kind::Change => {
            let mut fates = vec![Fate::Before, Fate::Lost];
            if moment.answered.is_some() {
                fates.push(Fate::Answered);
            }
            if moment.request.as_deref().is_some_and(has_request_id) {
                fates.push(Fate::Late);
            }
            fates.into_iter().map(death).collect()
        }
        Kind::Read | Kind::Sleep | Kind::Inbox | Kind::Hook => vec![death(Fate::Before)],
    };
    if pending > 0 && moment.kind != Kind::Append {
        let unsynced = all.iter().map(|d| Death {
            unsynced: true,
            ..*d
        });
        all.extend(unsynced.collect::<Vec<_>>());
    }
    let flying = moment.unanswered.len() + moment.leaving.len();
    if flying > 0 {
        all.extend([Fate::AllFlew, Fate::NoneFlew].map(death));
    }
    if flying > 1 {
        all.extend((0..flying).map(|n| death(Fate::AllBut(n))));
    }
    all
}

/// Whether the API tells a repetition of the request from a second one.
pub fn has_request_id(request: &Request) -> bool {
    let ids = ["requestId", "clientOperationId"];
    request.query.iter().any(|(name, _)| ids.contains(&&**name))
}

/// What a process leaves that dies so; `None` when it has no such effect. `start`: what it found.
pub fn remains(catalog: &Catalog, start: &Left, played: &Played, death: Death) -> Option<Left> {
    let moment = played.moments.get(death.at.checked_sub(1)?)?;
    let (mut now, mut touches) = (moment.at, moment.touches);
    let mut length = match death.unsynced {
        true => moment.durable,
        false => moment.written,
    };
    let mut without = BTreeSet::new();
    let mut with: Vec<Arc<Request>> = Vec::new();
    let mut late = None;
    match death.fate {
        Fate::Before => {}
        Fate::Kept(n) => length = moment.durable + n,
        Fate::Lost => with.extend(moment.request.clone()),
        Fate::Answered => {
            let answered = moment.answered?;
            now = answered.at;
            touches = answered.touches;
            length = match death.unsynced {
                true => answered.durable,
                false => answered.written,
            };
        }
        Fate::Late => late = moment.request.clone(),
        Fate::AllFlew => with.extend(moment.leaving.iter().cloned()),
        Fate::NoneFlew => without.extend(moment.unanswered.iter().copied()),
        Fate::AllBut(n) => {
            let arrived = moment.unanswered.len();
            without.extend(moment.unanswered.get(n));
            let leaving = moment.leaving.iter().enumerate();
            with.extend(
                leaving
                    .filter(|(i, _)| i + arrived != n)
                    .map(|(_, request)| Arc::clone(request)),
            );
        }
    }
    let mut stage = played.tape.stage(catalog, &start.stage, touches, &without);
    for request in with {
        stage.answer(catalog, &request, now, true);
    }
    let added = moment.adds.min(length.saturating_sub(moment.written));
    let journal = played.left.journal.get(..moment.written + added);
    Some(Left {
        journal: journal?.get(..length)?.to_vec(),
        stage,
        now,
        late,
        runs: start.runs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_as_they_are_written() {
        for text in [
            "17:lost:31m",
            "s4/17:kept-3:0s/9:before-unsynced:1d1h",
            "12~delete-2",
            "s1/12~insert-0/14:all-but-1:0s",
            "9!rate-limit",
            "undone/17:lost:31m",
            "undoing/s4/17:lost:31m/9:before:0s",
        ] {
            let point: Point = text.parse().expect(text);
            assert_eq!(point.to_string(), text);
        }
        for text in [
            "",
            "17",
            "17:gone:0s",
            "x:lost:0s",
            "s4",
            "undone",
            "17:lost:later",
        ] {
            assert!(text.parse::<Point>().is_err(), "{text}");
        }
    }
}
