//! What the simulator does beyond storing what it is sent, as data: each file of the models says its
//! rules beside the code, with where each is known from and the test that holds it.

use super::super::scenario::fits;
use super::super::{conform, filter, generic, limits, page, partial, refs};
use super::*;

/// One rule of the simulated cloud.
pub struct Rule {
    /// The collections it holds for; `*` stands for anything (`compute.*`, `*.operations`).
    pub of: &'static [&'static str],
    pub says: &'static str,
    /// Where it is known from: the API's description, a page of Google's, a public issue, recorded traffic.
    pub source: &'static str,
    /// The function that fails when the rule is broken, or the file of command lines that does.
    pub test: &'static str,
}

/// The rules of every file, those of single subjects first.
const ALL: &[&[Rule]] = &[
    addresses::RULES,
    autoscalers::RULES,
    scaling::RULES,
    schedules::RULES,
    balancing::RULES,
    bulk::RULES,
    capacity::RULES,
    certificates::RULES,
    dns::RULES,
    group_calls::RULES,
    group_health::RULES,
    group_machine::RULES,
    group_roll::RULES,
    group_spec::RULES,
    group_standby::RULES,
    group_state::RULES,
    group_view::RULES,
    groups::RULES,
    images::RULES,
    instance_calls::RULES,
    instances::RULES,
    machine_calls::RULES,
    network_calls::RULES,
    networks::RULES,
    operations::RULES,
    places::RULES,
    policies::RULES,
    projects::RULES,
    quotas::RULES,
    reach::RULES,
    secrets::RULES,
    services::RULES,
    setters::RULES,
    snapshots::RULES,
    exports::RULES,
    objects::RULES,
    sql::RULES,
    sql_calls::RULES,
    sql_certs::RULES,
    unmanaged::RULES,
    usage::RULES,
    generic::RULES,
    conform::RULES,
    refs::RULES,
    page::RULES,
    filter::RULES,
    partial::RULES,
    limits::RULES,
];

impl Rule {
    pub fn holds_for(&self, collection: &str) -> bool {
        self.of.iter().any(|pattern| fits(pattern, collection))
    }

    /// Whether it holds for a whole service or for all, and tells nothing of one collection.
    pub fn is_wide(&self) -> bool {
        self.of.iter().all(|p| *p == "*" || p.ends_with(".*"))
    }
}

pub fn all() -> impl Iterator<Item = &'static Rule> {
    ALL.iter().flat_map(|rules| rules.iter())
}
