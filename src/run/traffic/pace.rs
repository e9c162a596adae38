//! How many requests a minute each quota group takes: learned from the API's refusals.
//!
//! Google counts by the minutes of its own clock, all groups apart. After a refusal the group rests
//! until the minute turns, or for as long as `Retry-After` says. A minute that was seen from its
//! beginning tells how many fit into one; the next ones ask for no more, and then for a quarter more.

use std::collections::BTreeMap;

use crate::world::{Millis, Timestamp};

const MINUTE: i64 = 60_000;
/// Who sends so soon after the turn has seen the whole minute.
const EARLY: i64 = 3_000;

#[derive(Debug, Default)]
pub struct Pace {
    groups: BTreeMap<String, Group>,
    /// How far the server's clock is ahead of this one; never more than it really is.
    ahead: i64,
}

#[derive(Debug, Default)]
struct Group {
    /// Of the server's clock.
    minute: i64,
    /// Whether the group was at work from the minute's beginning.
    whole: bool,
    /// Requests that left in this minute.
    sent: u32,
    /// Requests of this minute that were not refused.
    taken: u32,
    refused: bool,
    most: Option<u32>,
    rests_until: Timestamp,
}

impl Pace {
    /// What the server's clock showed when an answer arrived.
    pub fn synchronise(&mut self, server: Timestamp, now: Timestamp) {
        self.ahead = server.since(now).0;
    }

    fn minute(&self, now: Timestamp) -> i64 {
        (now.0 + self.ahead).div_euclid(MINUTE)
    }

    /// Whether the server's minute has only just begun.
    fn is_early(&self, now: Timestamp) -> bool {
        (now.0 + self.ahead).rem_euclid(MINUTE) < EARLY
    }

    /// When the server's next minute begins.
    fn turn(&self, now: Timestamp) -> Timestamp {
        Timestamp((self.minute(now) + 1) * MINUTE - self.ahead)
    }

    /// Counts one request that is about to leave.
    ///
    /// # Errors
    /// The moment until which it must wait, and then ask again.
    pub fn ask(&mut self, group: &str, now: Timestamp) -> Result<(), Timestamp> {
        let (minute, turn, early) = (self.minute(now), self.turn(now), self.is_early(now));
        let Some(group) = self.groups.get_mut(group) else {
            let fresh = Group {
                minute,
                sent: 1,
                ..Group::default()
            };
            self.groups.insert(group.to_owned(), fresh);
            return Ok(());
        };
        if now < group.rests_until {
            return Err(group.rests_until);
        }
        group.turn_to(minute, early);
        if group.most.is_some_and(|most| group.sent >= most) {
            return Err(turn);
        }
        group.sent += 1;
        Ok(())
    }

    /// A request was answered, and not for want of quota.
    pub fn taken(&mut self, group: &str) {
        if let Some(group) = self.groups.get_mut(group) {
            group.taken += 1;
        }
    }

    /// A request was refused: too many.
    pub fn refused(&mut self, group: &str, now: Timestamp, asked: Option<Millis>) {
        let turn = self.turn(now);
        let Some(group) = self.groups.get_mut(group) else {
            return;
        };
        group.refused = true;
        let until = asked.map_or(turn, |span| now.plus(span));
        group.rests_until = group.rests_until.max(until);
        if group.whole {
            group.most = Some(group.taken.max(1));
        }
    }
}

impl Group {
    fn turn_to(&mut self, minute: i64, early: bool) {
        if minute == self.minute {
            return;
        }
        let full = self.most.is_some_and(|most| self.sent >= most);
        if let (true, false, Some(most)) = (full, self.refused, &mut self.most) {
            *most += (*most / 4).max(1);
        }
        self.whole = early;
        self.minute = minute;
        (self.sent, self.taken, self.refused) = (0, 0, false);
    }
}
