//! Reads scenario files: what they leave out is as in the built-in one, and a name that is none is
//! answered with its line and the nearest right one.

use std::path::Path;

use serde_json::Value as Json;

use super::{DEMO, Scenario, fits};
use crate::diag::nearest;

impl Scenario {
    /// Reads a scenario's text. It cannot `load` files: that needs [`Scenario::read`].
    ///
    /// # Errors
    /// The text of the TOML reader, with line and column.
    pub fn parse(text: &str) -> Result<Scenario, String> {
        // Read twice: by itself for errors with their places, then over the built-in one.
        let own: Scenario = toml::from_str(text).map_err(|e| explain(&e.to_string()))?;
        let given: toml::Table = toml::from_str(text).map_err(|e| e.to_string())?;
        Scenario::over_the_built_in(&own, given)
    }

    /// A scenario from its data.
    ///
    /// # Errors
    /// What is no scenario, with the path to it. It cannot `load` files.
    pub fn from_json(data: &Json) -> Result<Scenario, String> {
        let plain = |e: &dyn std::fmt::Display| explain(&e.to_string());
        let given = toml::Table::try_from(data).map_err(|e| plain(&e))?;
        let own: Scenario = given.clone().try_into().map_err(|e| plain(&e))?;
        Scenario::over_the_built_in(&own, given)
    }

    fn over_the_built_in(own: &Scenario, mut given: toml::Table) -> Result<Scenario, String> {
        own.check()?;
        let demo: toml::Table = toml::from_str(DEMO).map_err(|e| e.to_string())?;
        // A project that is loaded holds what was loaded.
        let bare = own.load_file.is_some();
        for (key, value) in demo
            .into_iter()
            .filter(|(k, _)| !(bare && k == "resources"))
        {
            given.entry(key).or_insert(value);
        }
        let whole: Scenario = given
            .try_into()
            .map_err(|e: toml::de::Error| e.to_string())?;
        whole.check_places()?;
        Ok(whole)
    }

    /// Reads a scenario file and the file that it loads, which is beside it.
    ///
    /// # Errors
    /// A file that cannot be read, or is not what it should be.
    pub fn read(file: &Path) -> Result<Scenario, String> {
        let text = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
        let mut scenario = Scenario::parse(&text)?;
        if let Some(load) = &scenario.load_file {
            let beside = file.parent().unwrap_or(Path::new("")).join(load);
            let fail = |why: String| format!("load = \"{load}\": {why}");
            let text = std::fs::read_to_string(&beside).map_err(|e| fail(e.to_string()))?;
            let json: Json = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
            scenario.loaded = resources(json);
            if scenario.loaded.is_empty() {
                return Err(fail("it holds no resource with a `selfLink`".into()));
            }
        }
        Ok(scenario)
    }

    /// # Errors
    /// Values that contradict each other.
    fn check(&self) -> Result<(), String> {
        for (i, fault) in self.faults.iter().enumerate() {
            let at = format!("fault {} (`{}`)", i + 1, fault.method);
            fault.check().map_err(|why| format!("{at}: {why}"))?;
        }
        for load in &self.loads {
            let ordered = load.curve.windows(2).all(|p| p[0].at.0 < p[1].at.0);
            if load.curve.is_empty() || !ordered {
                return Err(format!(
                    "the load of `{}`: its curve needs points, each later than the one before",
                    load.group
                ));
            }
        }
        const CERTIFICATE: [&str; 3] = [
            "FAILED_CAA_CHECKING",
            "FAILED_CAA_FORBIDDEN",
            "FAILED_RATE_LIMITED",
        ];
        for (domain, status) in &self.certificate_failures {
            if !CERTIFICATE.contains(&status.as_str()) {
                return Err(format!(
                    "the certificate failure of `{domain}`: `{status}` is none of {}{}",
                    CERTIFICATE.join(", "),
                    meant(status, CERTIFICATE)
                ));
            }
        }
        Ok(())
    }

    /// # Errors
    /// A place that the scenario, completed, does not have.
    fn check_places(&self) -> Result<(), String> {
        for scope in self.quotas.0.keys() {
            let regions = self.regions.keys().map(String::as_str);
            let known = ["global", "regions"].contains(&scope.as_str());
            if !known && !self.regions.contains_key(scope) {
                return Err(format!(
                    "quotas of `{scope}`: there is no such region{}",
                    meant(scope, regions.chain(["global", "regions"]))
                ));
            }
        }
        let zones = || self.regions.keys().flat_map(|region| self.zones_of(region));
        for stockout in &self.stockouts {
            if !zones().any(|zone| fits(&stockout.zone, &zone)) {
                let zones: Vec<String> = zones().collect();
                return Err(format!(
                    "a stockout in `{}`: there is no such zone{}",
                    stockout.zone,
                    meant(&stockout.zone, zones.iter().map(String::as_str))
                ));
            }
        }
        Ok(())
    }
}

impl super::FaultRule {
    /// # Errors
    /// What its kind needs and it does not say.
    pub fn check(&self) -> Result<(), String> {
        use super::FaultKind::{NotVisibleYet, OperationFails, Slow};
        let needs_delay = matches!(self.kind, Slow | NotVisibleYet);
        if needs_delay && self.delay.is_none() {
            return Err("its kind needs a `delay`, such as \"30s\"".into());
        }
        if self.kind == OperationFails && self.error.is_none() {
            return Err("its kind needs an `error`, such as \"QUOTA_EXCEEDED\"".into());
        }
        if self.chance.is_some_and(|c| !(0.0..=1.0).contains(&c)) {
            return Err("`chance` is from 0 to 1".into());
        }
        if self.nth == Some(0) {
            return Err("`nth` counts from 1".into());
        }
        Ok(())
    }
}

/// `; did you mean `x`?`, or nothing.
fn meant<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, names).map_or(String::new(), |n| format!("; did you mean `{n}`?"))
}

/// Adds the nearest right name to the TOML reader's text about an unknown one.
fn explain(error: &str) -> String {
    let unknown = ["unknown field `", "unknown variant `"];
    let Some((_, rest)) = unknown.iter().find_map(|what| error.split_once(what)) else {
        return error.to_string();
    };
    let Some((word, names)) = rest.split_once('`') else {
        return error.to_string();
    };
    let names: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
    format!("{}{}", error.trim_end(), meant(word, names))
}

/// Every resource in what the real API lists: a list answer, an aggregated one, an array, or an object
/// of such.
fn resources(json: Json) -> Vec<Json> {
    match json {
        Json::Array(items) => items.into_iter().flat_map(resources).collect(),
        Json::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Json::as_str).unwrap_or("");
            let list = text("kind").ends_with("List") || fields.contains_key("items");
            match text("selfLink").is_empty() || list {
                true => fields
                    .into_iter()
                    .filter(|(_, v)| v.is_array() || v.is_object())
                    .flat_map(|(_, v)| resources(v))
                    .collect(),
                false => vec![Json::Object(fields)],
            }
        }
        _ => Vec::new(),
    }
}
