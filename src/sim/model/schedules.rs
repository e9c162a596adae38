//! Schedules of autoscalers: from when to when they raise the minimum.
//!
//! Sources: API description of `AutoscalingPolicyScalingSchedule` ("extended cron format (with an optional year
//! field)"; "the minimum allowed value is 300"; time zones by their names in the tz database, UTC when left empty; "a
//! scaling schedule changes the minimum number of VM instances an autoscaler can recommend") and of
//! `ScalingScheduleStatus`. The words of the refusals are not established.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, TimeDelta, Timelike};
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde_json::{Value as Json, json};

use super::super::refusal::Refusal;
use super::super::world::{Object, pacific};
use super::rules::Rule;
use crate::world::{Millis, Timestamp};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["compute.autoscalers", "compute.regionAutoscalers"],
    says: "a schedule raises the minimum while it is active: cron with an optional year, in its time zone; machines that it called for leave after the stabilization period",
    source: "API description of `AutoscalingPolicyScalingSchedule` and `ScalingScheduleStatus`",
    test: "a_schedule_raises_the_minimum_while_it_is_active",
}];

const AT: &str = "resource.autoscalingPolicy.scalingSchedules";

/// Days that are looked at for the next start: a leap day comes within eight years.
const HORIZON: u64 = 8 * 366;

/// One schedule, read.
struct Schedule {
    cron: Cron,
    zone: TimeZone,
    lasts: Millis,
    least: i64,
    disabled: bool,
}

/// Which minutes a line of cron names.
#[derive(Clone, Debug, PartialEq)]
struct Cron {
    minutes: Vec<u32>,
    hours: Vec<u32>,
    days: Vec<u32>,
    months: Vec<u32>,
    weekdays: Vec<u32>,
    years: Vec<u32>,
    /// Both days of the month and of the week are named: either will do.
    either: bool,
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The numbers of one field: lists of values, ranges and steps.
fn field(text: &str, (low, high): (u32, u32), names: &[&str]) -> Option<Vec<u32>> {
    let number = |word: &str| -> Option<u32> {
        let word = word.to_lowercase();
        let named = names.iter().position(|n| *n == word);
        match named {
            Some(at) => Some(u32::try_from(at).ok()? + low),
            None => word.parse().ok().filter(|n| (low..=high).contains(n)),
        }
    };
    let mut out = Vec::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|s| *s > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((from, to)) => (number(from)?, number(to)?),
            None if step > 1 => (number(range)?, high),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return None;
        }
        out.extend((from..=to).step_by(step));
    }
    out.sort_unstable();
    out.dedup();
    Some(out)
}

impl Cron {
    fn parse(text: &str) -> Option<Cron> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let (minute, hour, day, month, weekday, year) = match parts.as_slice() {
            [a, b, c, d, e] => (a, b, c, d, e, "*"),
            [a, b, c, d, e, year] => (a, b, c, d, e, *year),
            _ => return None,
        };
        let mut weekdays = field(weekday, (0, 7), &WEEKDAYS)?;
        for day in &mut weekdays {
            *day %= 7;
        }
        Some(Cron {
            minutes: field(minute, (0, 59), &[])?,
            hours: field(hour, (0, 23), &[])?,
            days: field(day, (1, 31), &[])?,
            months: field(month, (1, 12), &MONTHS)?,
            weekdays,
            years: field(year, (1970, 2200), &[])?,
            either: !day.starts_with('*') && !weekday.starts_with('*'),
        })
    }

    fn fits(&self, date: NaiveDate) -> bool {
        let year = u32::try_from(date.year()).unwrap_or(0);
        let day = self.days.contains(&date.day());
        let weekday = (self.weekdays).contains(&date.weekday().num_days_from_sunday());
        let days = match self.either {
            true => day || weekday,
            false => day && weekday,
        };
        days && self.months.contains(&date.month()) && self.years.contains(&year)
    }
}

fn local(at: Timestamp, zone: &TimeZone) -> Option<NaiveDateTime> {
    let utc = DateTime::from_timestamp_millis(at.0)?.naive_utc();
    let offset = zone.to_offset(jiff::Timestamp::from_millisecond(at.0).ok()?);
    utc.checked_add_signed(TimeDelta::seconds(offset.seconds().into()))
}

/// The first moment at which the clocks of a zone show this; none when they leave it out.
fn first_shown(local: NaiveDateTime, zone: &TimeZone) -> Option<Timestamp> {
    let (year, month, day) = (local.year(), local.month(), local.day());
    let civil = jiff::civil::DateTime::new(
        year.try_into().ok()?,
        month.try_into().ok()?,
        day.try_into().ok()?,
        local.hour().try_into().ok()?,
        local.minute().try_into().ok()?,
        0,
        0,
    );
    let offset = match zone.to_ambiguous_timestamp(civil.ok()?).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Fold { before, .. } => before,
        AmbiguousOffset::Gap { .. } => return None,
    };
    let utc = local.checked_sub_signed(TimeDelta::seconds(offset.seconds().into()))?;
    Some(Timestamp(utc.and_utc().timestamp_millis()))
}

impl Schedule {
    fn read(json: &Json) -> Option<Schedule> {
        let text = |name: &str| json.get(name).and_then(Json::as_str);
        let number = |name: &str| json.get(name).and_then(Json::as_i64);
        Some(Schedule {
            cron: Cron::parse(text("schedule")?)?,
            zone: zone(text("timeZone").unwrap_or_default())?,
            lasts: Millis::secs(number("durationSec")?.clamp(0, 31_536_000)),
            least: number("minRequiredReplicas")?,
            disabled: json.get("disabled") == Some(&json!(true)),
        })
    }

    /// The starts of one day, in order. A minute that the clocks leave out is none; of one that they
    /// show twice, the first counts.
    fn starts(&self, date: NaiveDate) -> impl Iterator<Item = Timestamp> + '_ {
        let fits = self.cron.fits(date);
        let hours = self.cron.hours.iter().filter(move |_| fits);
        let minutes = hours.flat_map(|h| self.cron.minutes.iter().map(move |m| (*h, *m)));
        minutes.filter_map(move |(hour, minute)| {
            let local = date.and_hms_opt(hour, minute, 0)?;
            first_shown(local, &self.zone)
        })
    }

    /// The last start that is not after a moment, if it still lasts.
    fn running(&self, now: Timestamp) -> Option<Timestamp> {
        let begin = Timestamp(now.0 - self.lasts.0);
        let mut date = local(now, &self.zone)?.date();
        let first = local(begin, &self.zone)?.date();
        while date >= first {
            let past = self.starts(date).filter(|at| *at <= now && *at > begin);
            if let Some(at) = past.max() {
                return Some(at);
            }
            date = date.pred_opt()?;
        }
        None
    }

    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let today = local(now, &self.zone)?.date();
        (0..HORIZON).find_map(|days| {
            let date = today.checked_add_days(Days::new(days))?;
            self.starts(date).filter(|at| *at > now).min()
        })
    }
}

fn zone(name: &str) -> Option<TimeZone> {
    match name {
        "" => Some(TimeZone::UTC),
        name => TimeZone::get(name).ok(),
    }
}

fn entries(scaler: &Object) -> impl Iterator<Item = (&String, &Json)> {
    let policy = scaler.get("autoscalingPolicy");
    let map = policy.and_then(|p| p.get("scalingSchedules")?.as_object());
    map.into_iter().flatten()
}

fn schedules(scaler: &Object) -> impl Iterator<Item = Schedule> {
    let read = entries(scaler).filter_map(|(_, json)| Schedule::read(json));
    read.filter(|s| !s.disabled)
}

pub fn has_any(scaler: &Object) -> bool {
    schedules(scaler).next().is_some()
}

/// The number of machines below which the schedules that are active let nothing go.
pub fn floor(scaler: &Object, now: Timestamp) -> i64 {
    let active = schedules(scaler).filter(|s| s.running(now).is_some());
    active.map(|s| s.least).max().unwrap_or(0)
}

/// When the next of the schedules begins or ends.
pub fn next(scaler: &Object, now: Timestamp) -> Option<Timestamp> {
    let ends = schedules(scaler).filter_map(|s| Some(s.running(now)?.plus(s.lasts)));
    let begins = schedules(scaler).filter_map(|s| s.next(now));
    ends.chain(begins).min()
}

/// # Errors
/// A schedule that cannot be read, lasts less than five minutes, or lacks what is required.
pub fn check(scaler: &mut Object) -> Result<(), Refusal> {
    for (name, json) in entries(scaler) {
        let at = |field: &str| format!("{AT}[{name}].{field}");
        let text = |field: &str| json.get(field).and_then(Json::as_str);
        let number = |field: &str| {
            let number = json.get(field).and_then(Json::as_i64);
            number.ok_or_else(|| Refusal::required(&at(field)))
        };
        let cron = text("schedule").ok_or_else(|| Refusal::required(&at("schedule")))?;
        if Cron::parse(cron).is_none() {
            let why = "Must be in the extended cron format.";
            return Err(Refusal::invalid(&at("schedule"), cron, why));
        }
        let named = text("timeZone").unwrap_or_default();
        if zone(named).is_none() {
            let why = "Must be a time zone name from the tz database.";
            return Err(Refusal::invalid(&at("timeZone"), named, why));
        }
        let (lasts, least) = (number("durationSec")?, number("minRequiredReplicas")?);
        if lasts < 300 {
            let why = "Must be greater than or equal to 300.";
            return Err(Refusal::invalid(
                &at("durationSec"),
                &lasts.to_string(),
                why,
            ));
        }
        if least < 0 {
            let why = "Must be greater than or equal to 0.";
            let field = at("minRequiredReplicas");
            return Err(Refusal::invalid(&field, &least.to_string(), why));
        }
    }
    let policy = scaler.get_mut("autoscalingPolicy");
    let Some(policy) = policy.and_then(Json::as_object_mut) else {
        return Ok(());
    };
    let map = policy
        .get_mut("scalingSchedules")
        .and_then(Json::as_object_mut);
    for (_, json) in map.into_iter().flatten() {
        if json["timeZone"].as_str().is_none_or(str::is_empty) {
            json["timeZone"] = json!("UTC");
        }
    }
    // A map without entries is not shown; gcloud falls over one after it removed the last schedule.
    if policy.get("scalingSchedules") == Some(&json!({})) {
        policy.shift_remove("scalingSchedules");
    }
    Ok(())
}

/// `scalingScheduleStatus` of an autoscaler.
pub fn status(scaler: &Object, now: Timestamp) -> Option<Json> {
    let all: Object = entries(scaler)
        .filter_map(|(name, json)| {
            let schedule = Schedule::read(json)?;
            let (runs, next) = (schedule.running(now), schedule.next(now));
            let state = match (schedule.disabled, runs, next) {
                (true, ..) => "DISABLED",
                (false, Some(_), _) => "ACTIVE",
                (false, None, Some(_)) => "READY",
                (false, None, None) => "OBSOLETE",
            };
            let mut out = json!({ "state": state });
            if let (Some(at), false) = (runs, schedule.disabled) {
                out["lastStartTime"] = json!(pacific(at));
            }
            if let (Some(at), false) = (next, schedule.disabled) {
                out["nextStartTime"] = json!(pacific(at));
            }
            Some((name.clone(), out))
        })
        .collect();
    (!all.is_empty()).then_some(Json::Object(all))
}

/// What the status details say of schedules that the policy's limits cut.
pub fn details(scaler: &Object, min: i64, max: i64) -> Vec<(&'static str, &'static str)> {
    let mut out = Vec::new();
    if schedules(scaler).any(|s| s.least < min) {
        out.push((
            "SCHEDULED_INSTANCES_LESS_THAN_AUTOSCALER_MIN",
            "A schedule requires fewer instances than the minimum number of replicas.",
        ));
    }
    if schedules(scaler).any(|s| s.least > max) {
        out.push((
            "SCHEDULED_INSTANCES_GREATER_THAN_AUTOSCALER_MAX",
            "A schedule requires more instances than the maximum number of replicas.",
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let parsed = DateTime::parse_from_rfc3339(text).expect("a moment");
        Timestamp(parsed.timestamp_millis())
    }

    fn schedule(cron: &str, zone: &str, seconds: i64) -> Schedule {
        let json = json!({ "schedule": cron, "timeZone": zone, "durationSec": seconds, "minRequiredReplicas": 3 });
        Schedule::read(&json).expect("a schedule")
    }

    #[test]
    fn cron_lines_name_their_minutes() {
        for (cron, now, next) in [
            ("0 8 * * *", "2026-03-01T08:00:00Z", "2026-03-02T08:00:00Z"),
            (
                "*/20 * * * *",
                "2026-03-01T08:01:00Z",
                "2026-03-01T08:20:00Z",
            ),
            (
                "0 8 * * Mon-Fri",
                "2026-03-06T09:00:00Z",
                "2026-03-09T08:00:00Z",
            ),
            ("0 8 * * 7", "2026-03-02T09:00:00Z", "2026-03-08T08:00:00Z"),
            (
                "30 6 1,15 * *",
                "2026-03-02T00:00:00Z",
                "2026-03-15T06:30:00Z",
            ),
            (
                "0 0 13 * fri",
                "2026-03-02T00:00:00Z",
                "2026-03-06T00:00:00Z",
            ),
            (
                "0 0 29 feb *",
                "2026-03-02T00:00:00Z",
                "2028-02-29T00:00:00Z",
            ),
            (
                "0 0 1 1 * 2030",
                "2026-03-02T00:00:00Z",
                "2030-01-01T00:00:00Z",
            ),
        ] {
            let found = schedule(cron, "UTC", 300).next(at(now));
            assert_eq!(found, Some(at(next)), "{cron}");
        }
        assert_eq!(
            schedule("0 0 1 1 * 2020", "", 300).next(at("2026-03-02T00:00:00Z")),
            None
        );
        for wrong in [
            "",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "5-1 * * * *",
            "*/0 * * * *",
            "a * * * *",
            "* * * * * * *",
        ] {
            assert_eq!(Cron::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_schedule_keeps_to_the_clocks_of_its_zone() {
        let eight = schedule("0 8 * * *", "America/New_York", 3600);
        // Winter, and summer time from the 8th of March 2026 on.
        assert_eq!(
            eight.next(at("2026-03-07T00:00:00Z")),
            Some(at("2026-03-07T13:00:00Z"))
        );
        assert_eq!(
            eight.next(at("2026-03-08T00:00:00Z")),
            Some(at("2026-03-08T12:00:00Z"))
        );
        let gap = schedule("30 2 * * *", "America/New_York", 3600);
        let after_the_gap = Some(at("2026-03-09T06:30:00Z"));
        assert_eq!(
            gap.next(at("2026-03-08T06:00:00Z")),
            after_the_gap,
            "half past two is left out"
        );
        assert_eq!(
            eight.running(at("2026-03-07T13:59:59Z")),
            Some(at("2026-03-07T13:00:00Z"))
        );
        assert_eq!(eight.running(at("2026-03-07T14:00:00Z")), None);
        let night = schedule("0 22 * * *", "Europe/Berlin", 8 * 3600);
        assert_eq!(
            night.running(at("2026-01-02T04:00:00Z")),
            Some(at("2026-01-01T21:00:00Z"))
        );
    }
}
