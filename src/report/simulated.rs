//! What the simulator makes of the catalogue, as text: `r5flow sim --explain`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::catalog::Catalog;
use crate::catalog::describe::wrapped;
use crate::sim::explain::{self, Explanation, How, Rule};

/// Of one collection, of a service, or without a name of all services.
///
/// # Errors
/// No collection and no service has that name.
pub fn told(catalog: &Catalog, name: Option<&str>) -> Result<String, String> {
    match name {
        None => Ok(overview(catalog)),
        Some(name) if catalog.service(name).is_some() => Ok(service(catalog, name)),
        Some(name) => Ok(collection(&explain::explain(catalog, name)?)),
    }
}

fn meaning(how: How) -> &'static str {
    match how {
        How::Modelled => "by a model",
        How::Generic => "as every collection answers it",
        How::Refused => "not at all: 501",
    }
}

fn collection(told: &Explanation) -> String {
    let mut out = format!("{}: {}\n", told.collection, told.how().as_str());
    for (how, names) in &told.methods {
        let names: Vec<&str> = names.iter().map(|n| &**n).collect();
        let _ = writeln!(out, "\n{} ({}):", how.as_str(), meaning(*how));
        wrapped(&mut out, "  ", &names.join(", "));
    }
    section(&mut out, "its rules", &told.rules);
    section(&mut out, "rules that hold elsewhere too", &told.wide);
    if told.how() == How::Generic {
        out.push_str(
            "\nNothing is modelled beyond these: what is sent is checked, kept and shown.\n",
        );
    }
    out
}

fn section(out: &mut String, head: &str, rules: &[&Rule]) {
    if rules.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{head}:");
    for rule in rules {
        wrapped(out, "  - ", rule.says);
        wrapped(out, "    source: ", rule.source);
        wrapped(out, "    test:   ", rule.test);
    }
}

fn service(catalog: &Catalog, name: &str) -> String {
    let mut out = format!("{name}\n");
    let all = explain::of_service(catalog, name);
    for how in How::ALL {
        let names: Vec<&str> = all
            .iter()
            .filter(|told| told.how() == how)
            .map(|told| &*told.collection)
            .collect();
        if !names.is_empty() {
            let _ = writeln!(out, "\n{} ({}):", how.as_str(), meaning(how));
            wrapped(&mut out, "  ", &names.join(", "));
        }
    }
    out.push_str("\nrefused methods (501):\n");
    let before = out.len();
    for told in &all {
        if let Some(names) = told.methods.get(&How::Refused) {
            let short = told.collection.strip_prefix(&format!("{name}."));
            let head = format!("  {}: ", short.unwrap_or(&told.collection));
            wrapped(&mut out, &head, &names.join(", "));
        }
    }
    if out.len() == before {
        out.push_str("  none\n");
    }
    out
}

fn overview(catalog: &Catalog) -> String {
    let names = How::ALL.map(How::as_str);
    let mut out = format!("{:28}{:32}methods\n", "", "collections");
    let _ = writeln!(out, "{:28}{1:32}{1}", "service", names.join("  "));
    let cells = |counts: &BTreeMap<How, usize>| {
        let count = |how: &How| counts.get(how).copied().unwrap_or(0);
        let cell = |how: &How| format!("{:<1$}", count(how), how.as_str().len());
        How::ALL.iter().map(cell).collect::<Vec<_>>().join("  ")
    };
    for line in explain::overview(catalog) {
        let (collections, methods) = (cells(&line.collections), cells(&line.methods));
        let row = format!("{:28}{collections:32}{methods}", line.service);
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out.push_str(
        "\n`r5flow sim --explain SERVICE` and `r5flow sim --explain COLLECTION` tell more.\n",
    );
    out
}
