//! How many operations are in flight at a time in each container: learned from the API's refusals,
//! raised again slowly.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::line::{Line, Rank};
use crate::run::effect::TaskId;
use crate::world::{Millis, Timestamp};

/// After so long without a refusal one tenth more may fly.
const CALM: Millis = Millis::mins(1);

#[derive(Debug)]
pub struct Flights {
    /// How many may be on their way at a time: no more than requests can be sent.
    abreast: usize,
    lanes: BTreeMap<Arc<str>, Lane>,
    /// Lanes in which somebody may have become able to go on.
    hopeful: BTreeSet<Arc<str>>,
}

#[derive(Debug, Default)]
struct Lane {
    /// Intents on their way, and operations that run.
    flying: usize,
    /// Those whose operation is known to run.
    accepted: usize,
    limit: Option<usize>,
    /// When the limit last changed.
    since: Timestamp,
    /// How often the limit was lowered.
    lowered: u32,
    line: Line<TaskId>,
}

impl Lane {
    fn has_room(&mut self, abreast: usize, now: Timestamp) -> bool {
        if self.flying - self.accepted >= abreast {
            return false;
        }
        let Some(limit) = &mut self.limit else {
            return true;
        };
        if self.flying >= *limit && now.since(self.since) >= CALM {
            *limit += (*limit / 10).max(1);
            self.since = now;
        }
        self.flying < *limit
    }
}

/// One place in a lane.
#[derive(Debug)]
pub struct Place {
    pub lane: Arc<str>,
    accepted: bool,
    /// How often the lane's limit had been lowered when this one began.
    lowered: u32,
}

impl Flights {
    /// `abreast`: how many requests are sent at a time.
    pub fn new(abreast: usize) -> Self {
        Flights {
            abreast,
            lanes: BTreeMap::new(),
            hopeful: BTreeSet::new(),
        }
    }

    pub fn ask(&mut self, task: TaskId, rank: Rank, lane: &Arc<str>) {
        let found = self.lanes.entry(Arc::clone(lane)).or_default();
        found.line.push(rank, task);
        self.hopeful.insert(Arc::clone(lane));
    }

    /// Lets one task fly, if there is one that can; its place is to be [entered](Self::enter).
    pub fn grant(&mut self, now: Timestamp) -> Option<TaskId> {
        while let Some(name) = self.hopeful.first().cloned() {
            if let Some(lane) = self.lanes.get_mut(&name)
                && !lane.line.is_empty()
                && lane.has_room(self.abreast, now)
            {
                lane.flying += 1;
                return lane.line.pop();
            }
            self.hopeful.remove(&name);
        }
        None
    }

    /// The place that was granted.
    pub fn enter(&mut self, lane: &Arc<str>) -> Place {
        let lowered = self.lanes.get(lane).map_or(0, |l| l.lowered);
        Place {
            lane: Arc::clone(lane),
            accepted: false,
            lowered,
        }
    }

    /// A place for an operation that flies already, whatever the limit says.
    pub fn admit(&mut self, lane: &Arc<str>) -> Place {
        self.lanes.entry(Arc::clone(lane)).or_default().flying += 1;
        self.enter(lane)
    }

    /// The operation runs.
    pub fn accepted(&mut self, place: &mut Place) {
        if !std::mem::replace(&mut place.accepted, true)
            && let Some(lane) = self.lanes.get_mut(&place.lane)
        {
            lane.accepted += 1;
            self.hopeful.insert(Arc::clone(&place.lane));
        }
    }

    /// The API has too many operations in flight there.
    pub fn refused(&mut self, place: &Place, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&place.lane) else {
            return;
        };
        let fits = lane.accepted.max(1);
        lane.limit = Some(match lane.limit {
            // Sent before the limit was known: it tells no more than the others of its kind.
            Some(limit) if place.lowered < lane.lowered => limit.max(fits),
            limit => {
                lane.lowered += 1;
                limit.map_or(fits, |limit| fits.min(limit.saturating_sub(1)).max(1))
            }
        });
        lane.since = now;
    }

    pub fn leave(&mut self, place: &Place) {
        if let Some(lane) = self.lanes.get_mut(&place.lane) {
            lane.flying = lane.flying.saturating_sub(1);
            lane.accepted = lane.accepted.saturating_sub(usize::from(place.accepted));
            self.hopeful.insert(Arc::clone(&place.lane));
        }
    }

    /// Sends everybody home who waits.
    pub fn dismiss(&mut self) -> Vec<TaskId> {
        self.hopeful.clear();
        self.lanes
            .values_mut()
            .flat_map(|lane| lane.line.take())
            .collect()
    }
}
