use std::sync::Arc;

use super::{Domains, Pace};
use crate::run::effect::TaskId;
use crate::world::{Millis, Timestamp};

fn keys(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|n| Arc::from(*n)).collect()
}

#[test]
fn crossed_domains_are_had_all_or_none_and_nobody_is_passed_over() {
    let mut domains = Domains::default();
    domains.ask(TaskId(1), 0, keys(&["a"]));
    assert_eq!(domains.grant(), Some(TaskId(1)));
    domains.ask(TaskId(2), 0, keys(&["a", "b"]));
    // `b` is free, but the second task came first.
    domains.ask(TaskId(3), 0, keys(&["b"]));
    domains.ask(TaskId(4), 0, keys(&["b", "a"]));
    assert_eq!(domains.grant(), None);
    domains.free(&keys(&["a"]));
    assert_eq!(domains.grant(), Some(TaskId(2)));
    assert_eq!(domains.grant(), None);
    domains.free(&keys(&["a", "b"]));
    assert_eq!(domains.grant(), Some(TaskId(3)));
    assert_eq!(domains.grant(), None);
    domains.free(&keys(&["b"]));
    assert_eq!(domains.grant(), Some(TaskId(4)));
}

#[test]
fn the_longer_path_is_ahead_in_a_domain() {
    let mut domains = Domains::default();
    domains.ask(TaskId(1), 1, keys(&["a"]));
    domains.ask(TaskId(2), 9, keys(&["a"]));
    assert_eq!(domains.grant(), Some(TaskId(2)));
    assert_eq!(domains.grant(), None);
}

#[test]
fn a_group_rests_until_the_servers_minute_turns_or_as_long_as_it_is_told() {
    let mut pace = Pace::default();
    let now = Timestamp(1_000_000 * 60_000 + 40_000);
    // The server's clock is ten seconds ahead.
    pace.synchronise(now.plus(Millis::secs(10)), now);
    assert_eq!(pace.ask("g", now), Ok(()));
    pace.refused("g", now, None);
    assert_eq!(pace.ask("g", now), Err(now.plus(Millis::secs(10))));
    assert_eq!(pace.ask("other", now), Ok(()));
    pace.refused("other", now, Some(Millis::secs(3)));
    assert_eq!(pace.ask("other", now), Err(now.plus(Millis::secs(3))));
    assert_eq!(pace.ask("g", now.plus(Millis::secs(10))), Ok(()));
}
