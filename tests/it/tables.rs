//! The tables of the docs are made from the code, or compared with it.
//! `R5FLOW_UPDATE=1 cargo test --test it tables` writes them anew.

use std::collections::BTreeMap;
use std::path::Path;

use r5flow::catalog::Catalog;
use r5flow::diag::Code;
use r5flow::types::functions::Function;

use crate::book::{findings, generated, listed, read};

#[test]
fn the_list_of_functions_is_complete() {
    let mut table = String::from("| function | gives |\n|---|---|\n");
    for function in Function::ALL {
        let summary = function.summary().replace('|', "\\|");
        let call = format!("{}({})", function.name(), function.params().join(", "));
        table.push_str(&format!("| `{call}` | {summary} |\n"));
    }
    generated("docs/language.md", "functions", &table);
}

/// How many methods of each class each service has.
#[test]
fn the_count_of_settle_classes_is_right() {
    use r5flow::catalog::SettleClass;
    let catalog = Catalog::embedded();
    let mut total = [0; 9];
    let classes = SettleClass::ALL;
    let names: Vec<&str> = classes.iter().map(|c| c.as_str()).collect();
    let mut table = format!("| service | {} | methods |\n", names.join(" | "));
    table.push_str(&format!("|---|{}\n", "--:|".repeat(10)));
    for service in catalog.services() {
        let mut count = [0; 9];
        for id in catalog.methods(&service.name) {
            let method = catalog.method(&id).expect("listed");
            let at = classes.iter().position(|c| *c == method.settle);
            count[at.expect("every class is listed")] += 1;
        }
        for (sum, n) in total.iter_mut().zip(count) {
            *sum += n;
        }
        table.push_str(&row(&format!("`{}`", service.name), &count));
    }
    table.push_str(&row("all", &total));
    generated("docs/settle-classes.md", "counts", &table);
}

fn row(name: &str, count: &[usize; 9]) -> String {
    let cells: Vec<String> = count
        .iter()
        .map(|n| match n {
            0 => "·".to_owned(),
            n => n.to_string(),
        })
        .collect();
    let all: usize = count.iter().sum();
    format!("| {name} | {} | {all} |\n", cells.join(" | "))
}

/// A step of each kind, to which a clause can be added.
const KINDS: [(&str, &str); 9] = [
    ("read", "read compute.networks(\"n\")"),
    (
        "ensure",
        "ensure compute.networks(\"n\") { description: \"d\" }",
    ),
    ("call", "call compute.networks.delete(\"n\")"),
    ("wait", "wait compute.networks.get(\"n\")"),
    ("wait 5m", "wait 5m"),
    ("approve", "approve \"Go on?\""),
    ("http", "http GET \"https://example.com\""),
    ("run", "run part"),
    ("hook", "hook one()"),
];

const CLAUSES: [(&str, &str); 22] = [
    ("after", "after other"),
    ("when", "when 1 == 1"),
    ("require", "require 1 == 1"),
    ("unless", "unless 1 == 2"),
    ("until", "until 1 == 1"),
    ("fail when", "fail when 1 == 2"),
    ("every", "every 5s"),
    ("timeout", "timeout 5m"),
    ("retry", "retry 2"),
    ("retry … for", "retry in_use for 20m"),
    ("repeat safe", "repeat safe"),
    ("on absent", "on absent stop"),
    ("on change", "on change stop"),
    ("on timeout", "on timeout continue"),
    ("on failure", "on failure continue"),
    ("on deny", "on deny continue"),
    ("on doubt", "on doubt ask"),
    ("expires", "expires 1d"),
    ("expect", "expect 1 == 1"),
    (
        "settle",
        "settle http GET \"https://example.com\" when 1 == 1",
    ),
    ("undo", "undo http DELETE \"https://example.com\""),
    ("protect", "protect"),
];

/// `yes` is taken by the checker, `·` is not.
#[test]
fn the_table_of_clauses_is_what_the_checker_takes() {
    let page = read(Path::new("docs/language.md"));
    let rows: BTreeMap<String, Vec<String>> = page
        .split_once("<!-- clauses -->\n")
        .and_then(|(_, rest)| rest.split_once("<!-- end -->"))
        .expect("the table of clauses")
        .0
        .lines()
        .skip(2)
        .map(|line| {
            let cells: Vec<String> = line
                .trim_matches('|')
                .split('|')
                .map(|c| c.trim().to_owned())
                .collect();
            (cells[0].trim_matches('`').to_owned(), cells[1..].to_vec())
        })
        .collect();
    assert_eq!(rows.len(), CLAUSES.len());
    for (name, clause) in CLAUSES {
        let cells = rows.get(name).unwrap_or_else(|| panic!("no row `{name}`"));
        for ((kind, action), cell) in KINDS.iter().zip(cells) {
            let taken = takes(action, clause);
            assert_eq!(
                taken,
                cell != "·",
                "`{name}` on `{kind}`: the page says `{cell}`"
            );
        }
    }
}

fn takes(action: &str, clause: &str) -> bool {
    let text = format!(
        "hook one() -> int = \"\"\"rhai\n  1\n  \"\"\"\nworkflow part {{\n  output a = 1\n}}\n\
         workflow page {{\n  at {{ project: \"demo\" }}\n  step other = wait 1s\n  step x = {action}\n    {clause}\n}}\n"
    );
    let found = findings(&text);
    let parses = found.iter().all(|d| d.code.0 >= 200);
    assert!(parses, "{}", listed(&found));
    !found
        .iter()
        .any(|d| d.code == Code::BAD_CLAUSE && d.message.contains("takes no"))
}

/// Where the catalogue says that what is created can carry labels.
#[test]
fn the_collections_that_carry_marks_are_listed() {
    let catalog = r5flow::catalog::Catalog::embedded();
    let mut table = String::new();
    for service in catalog.services() {
        let marked: Vec<String> = catalog
            .collections(&service.name)
            .iter()
            .filter_map(|path| catalog.collection(path))
            .filter(|c| catalog.takes_labels(c))
            .map(|c| format!("`{}`", c.path))
            .collect();
        if !marked.is_empty() {
            table.push_str(&format!("- {}: {}\n", service.name, marked.join(", ")));
        }
    }
    generated("docs/marks.md", "marks", &table);
}

/// The classes of errors and what follows, as the steps have it.
#[test]
fn the_table_of_error_classes_is_the_one_of_the_steps() {
    use r5flow::wire::policy::{Next, POLICIES};
    let mut table = String::from(
        "| class | in a flow | means | then | pauses | at most | exit code | what the reader is told |\n|---|---|---|---|---|---|--:|---|\n",
    );
    for policy in POLICIES {
        let (then, pauses) = match policy.next {
            Next::Again => ("again".to_owned(), true),
            Next::Settle => ("settled, again".to_owned(), true),
            Next::Anew(times) => (format!("anew, {times} times"), false),
            Next::Stop => ("stop".to_owned(), true),
            Next::Never => ("stop".to_owned(), false),
        };
        let dash = || "·".to_owned();
        let word = match policy.class.may_pass() {
            true => format!("`{}`", policy.class.word()),
            false => dash(),
        };
        let pauses = match pauses {
            true => format!("{} … {}", policy.pauses.first, policy.pauses.longest),
            false => dash(),
        };
        let limit = match policy.limit.0 {
            0 => dash(),
            _ => policy.limit.to_string(),
        };
        table.push_str(&format!(
            "| {} | {word} | {} | {then} | {pauses} | {limit} | {} | {} |\n",
            policy.class.as_str(),
            policy.means,
            policy.ends.exit_code(),
            policy.advice.replace('|', "\\|")
        ));
    }
    generated("docs/errors-of-the-cloud.md", "classes", &table);
}

/// The patience of a run, as its settings have it.
#[test]
fn the_times_of_a_run_are_right() {
    let s = r5flow::run::Settings::new(r5flow::run::Mode::Run);
    let rows = [
        ("one request, its answer included", s.patience),
        (
            "a server that gives no answer at all is tried for",
            s.silence_timeout,
        ),
        (
            "a server that cannot be reached at all is tried for",
            s.unreachable_timeout,
        ),
        ("a step without `timeout`", s.step_timeout),
        (
            "a request id is trusted to make a repetition a replay for",
            r5flow::catalog::Catalog::embedded().replay_window("compute"),
        ),
        ("a guard counts when the request leaves within", s.guard_age),
    ];
    let mut table = String::from("| what | at most |\n|---|---|\n");
    for (what, span) in rows {
        table.push_str(&format!("| {what} | {span} |\n"));
    }
    generated("docs/errors-of-the-cloud.md", "times", &table);
}

#[test]
fn the_tables_of_scheduling_are_the_catalogues() {
    use r5flow::catalog::traffic::{domain_rows, quota_rows};
    let mut domains = String::from("| domain | changes of | why |\n|---|---|---|\n");
    for row in domain_rows() {
        let of: Vec<String> = row.of.iter().map(|of| format!("`{of}`")).collect();
        domains.push_str(&format!(
            "| {} | {} | {} |\n",
            row.noun,
            of.join(", "),
            row.why
        ));
    }
    generated("docs/scheduling.md", "domains", &domains);
    let mut quotas = String::from(
        "| service | requests | group | each region apart | from |\n|---|---|---|---|---|\n",
    );
    for row in quota_rows() {
        let service = if row.service.is_empty() {
            "others"
        } else {
            row.service
        };
        let apart = if row.regional { "yes" } else { "no" };
        quotas.push_str(&format!(
            "| {service} | {} | `{}` | {apart} | {} |\n",
            row.which, row.group, row.why
        ));
    }
    generated("docs/scheduling.md", "quotas", &quotas);
}

/// What the simulator does by rule, and how much of each service it answers.
#[test]
fn the_tables_of_the_simulator_are_what_it_tells() {
    use r5flow::sim::explain::{self, How};
    let code = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
        names.join(", ")
    };
    let mut rules =
        String::from("| of | what it does | known from | held by |\n|---|---|---|---|\n");
    for rule in explain::rules() {
        rules.push_str(&format!(
            "| {} | {} | {} | `{}` |\n",
            code(rule.of),
            rule.says,
            rule.source,
            rule.test
        ));
    }
    generated("docs/simulator.md", "rules", &rules);
    let mut services = String::from(
        "| service | collections modelled | generic | refused | methods modelled | generic | refused |\n\
         |---|--:|--:|--:|--:|--:|--:|\n",
    );
    for line in explain::overview(&Catalog::embedded()) {
        services.push_str(&format!("| `{}` |", line.service));
        for counts in [&line.collections, &line.methods] {
            for how in How::ALL {
                let count = counts.get(&how).copied().unwrap_or(0);
                services.push_str(&format!(" {count} |"));
            }
        }
        services.push('\n');
    }
    generated("docs/simulator.md", "services", &services);
}
