//! What `--explain` tells is what the code does.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::explain::{self, How};
use super::super::model::rules;
use crate::catalog::Catalog;

/// All Rust texts below a folder.
fn texts(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.to_str().expect("a path of text").to_string();
        if path.is_dir() {
            found.extend(texts(&name));
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).expect("a text");
            found.push((name, text));
        }
    }
    found
}

#[test]
fn every_rule_has_a_source_and_a_test_that_exists() {
    let all: String = ["src", "tests"]
        .into_iter()
        .flat_map(texts)
        .map(|(_, text)| text)
        .collect();
    for rule in rules::all() {
        assert!(!rule.says.is_empty() && !rule.source.is_empty());
        assert!(!rule.of.is_empty(), "{}", rule.says);
        let there = match rule.test.contains('/') {
            true => Path::new(rule.test).is_file(),
            false => all.contains(&format!("fn {}()", rule.test)),
        };
        assert!(there, "no test `{}` for: {}", rule.test, rule.says);
    }
}

#[test]
fn every_rule_holds_for_a_collection_that_there_is() {
    let catalog = Catalog::embedded();
    let all: Vec<_> = explain::everything(&catalog).collect();
    for rule in rules::all() {
        for pattern in rule.of {
            let fits = |c: &str| super::super::scenario::fits(pattern, c);
            assert!(
                all.iter().any(|told| fits(&told.collection)),
                "`{pattern}` is no collection: {}",
                rule.says
            );
        }
    }
}

#[test]
fn every_file_with_rules_is_in_the_registry() {
    let said: usize = texts("src/sim")
        .iter()
        .filter(|(name, _)| !name.contains("/tests/"))
        .map(|(_, text)| text.matches("of: &[").count())
        .sum();
    assert_eq!(said, rules::all().count());
}

/// The collections that a model's text names, in arms or tables.
fn named_by_models(catalog: &Catalog) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, text) in texts("src/sim/model") {
        if name.ends_with("/usage.rs") || name.ends_with("/quotas.rs") {
            continue; // they name those that use others, and those that are counted
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in code.split('"').skip(1).step_by(2) {
            if catalog.collection(word).is_some_and(|c| *c.path == *word) {
                found.insert(word.to_string());
            }
        }
    }
    found
}

#[test]
fn every_collection_that_a_model_names_has_a_rule_of_its_own() {
    let catalog = Catalog::embedded();
    let named = named_by_models(&catalog);
    assert!(named.len() > 30, "{named:?}");
    let without: Vec<_> = named
        .iter()
        .filter(|name| !rules::all().any(|r| !r.is_wide() && r.holds_for(name)))
        .collect();
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn every_collection_gets_an_answer() {
    let catalog = Catalog::embedded();
    for told in explain::everything(&catalog) {
        let methods: usize = told.methods.values().map(Vec::len).sum();
        assert!(methods > 0, "{}", told.collection);
        assert!(!told.wide.is_empty(), "{}", told.collection);
        let again = explain::explain(&catalog, &told.collection).expect("it is there");
        assert_eq!(again.collection, told.collection);
    }
    let wrong = explain::explain(&catalog, "compute.instance").err();
    assert_eq!(
        wrong.as_deref(),
        Some(
            "the catalogue has no collection `compute.instance`; did you mean `compute.instances`?"
        )
    );
}

/// What is told to be refused is refused, and nothing else is.
#[test]
fn what_is_told_to_be_refused_answers_501() {
    let catalog = Catalog::embedded();
    let instances = explain::explain(&catalog, "compute.instances").expect("it is there");
    let refused = &instances.methods[&How::Refused];
    assert!(
        refused.iter().any(|m| **m == *"simulateMaintenanceEvent"),
        "{refused:?}"
    );
    let mut client = super::Client::new();
    for (path, status) in [
        (
            "zones/us-central1-a/instances/stream-manager-1/simulateMaintenanceEvent",
            501,
        ),
        ("zones/us-central1-a/instances/stream-manager-1/stop", 200),
    ] {
        let body = serde_json::json!({});
        let path = super::compute(path);
        let (answered, _) = client.send(crate::wire::Verb::Post, &path, body);
        assert_eq!(answered, status, "{path}");
    }
}
