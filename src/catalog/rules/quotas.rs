//! Quota groups: requests that share one limit per minute.

use crate::wire::Verb;

/// Which requests a row is for.
#[derive(Clone, Copy, Debug)]
pub(in crate::catalog) enum Which {
    /// Methods whose id ends so.
    Ending(&'static str),
    Reads,
    Any,
}

pub(in crate::catalog) struct Row {
    /// Empty: every service.
    pub service: &'static str,
    pub which: Which,
    pub group: &'static str,
    /// Whether each region has a limit of its own.
    pub regional: bool,
    /// Where the knowledge comes from.
    pub why: &'static str,
}

use Which::{Any, Ending, Reads};

const fn row(
    service: &'static str,
    which: Which,
    group: &'static str,
    regional: bool,
    why: &'static str,
) -> Row {
    Row {
        service,
        which,
        group,
        regional,
        why,
    }
}

const COMPUTE: &str = "cloud.google.com/compute/docs/api-rate-limits";
const SQL: &str = "assumed: lists, reads and writes apart";

/// The first row that fits decides.
pub(in crate::catalog) const TABLE: &[Row] = &[
    row(
        "compute",
        Ending("Operations.wait"),
        "heavy-weight reads",
        false,
        COMPUTE,
    ),
    row(
        "compute",
        Ending(".aggregatedList"),
        "heavy-weight reads",
        false,
        COMPUTE,
    ),
    row(
        "compute",
        Ending("Operations.get"),
        "operation reads",
        false,
        COMPUTE,
    ),
    row(
        "compute",
        Ending(".setCommonInstanceMetadata"),
        "project metadata writes",
        false,
        COMPUTE,
    ),
    row(
        "compute",
        Ending("images.insert"),
        "global resource writes",
        false,
        COMPUTE,
    ),
    row(
        "compute",
        Ending("images.delete"),
        "global resource writes",
        false,
        COMPUTE,
    ),
    row(
        "compute",
        Ending("images.deprecate"),
        "global resource writes",
        false,
        COMPUTE,
    ),
    row(
        "compute",
        Ending("InstanceGroupManagers.listManagedInstances"),
        "writes",
        true,
        COMPUTE,
    ),
    row(
        "compute",
        Ending("InstanceGroupManagers.listErrors"),
        "writes",
        true,
        COMPUTE,
    ),
    row("compute", Reads, "reads", true, COMPUTE),
    row("compute", Any, "writes", true, COMPUTE),
    row("sqladmin", Ending(".list"), "lists", false, SQL),
    row("sqladmin", Reads, "reads", false, SQL),
    row("sqladmin", Any, "writes", false, SQL),
    row(
        "",
        Ending("operations.get"),
        "operation reads",
        false,
        "assumed: apart from other reads",
    ),
    row("", Reads, "reads", false, "assumed: apart from writes"),
    row("", Any, "writes", false, "assumed: apart from reads"),
];

/// The row of a method.
pub(in crate::catalog) fn of(method: &str, verb: Verb) -> Option<&'static Row> {
    let service = method.split('.').next()?;
    TABLE.iter().find(|row| {
        let which = match row.which {
            Ending(end) => method
                .to_ascii_lowercase()
                .ends_with(&end.to_ascii_lowercase()),
            Reads => matches!(verb, Verb::Get | Verb::Head),
            Any => true,
        };
        (row.service.is_empty() || row.service == service) && which
    })
}
