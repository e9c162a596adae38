//! Runs the `test` blocks of flows: one cloud for each, and its statements in order.

mod seen;
mod view;
mod why;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use self::seen::Seen;
use super::player::{Case, How, Judgement, Left, Played, Player, Trouble};
use crate::catalog::Catalog;
use crate::check::names::{FlowId, Global, Meaning};
use crate::check::test_blocks::reads;
use crate::check::{Checked, names_of, secrets_of};
use crate::diag::{Code, Diagnostic, Severity};
use crate::eval::{self, EvalError, Fault as Stopped};
use crate::package::ModuleId;
use crate::policy;
use crate::report::tested::Tested;
use crate::run::{Mode, Settings};
use crate::sim::scenario::{FaultRule, StepCalls};
use crate::sim::{Scenario, Sim};
use crate::source::{Source, SourceId, Span};
use crate::store::{Key, Vault, VaultError};
use crate::syntax;
use crate::syntax::ast::{Answer, Expr, Fault, FaultOn, Item, Let, Test, TestRun, TestStmt};
use crate::value::Value;
use crate::world::{Millis, Timestamp};

/// When every test begins: any moment will do, as long as it is always the same.
const START: Timestamp = Timestamp(1_795_000_000_000);
/// How long the simulated operator takes when the scenario does not say.
const APPROVES_AFTER: Millis = Millis::mins(5);

/// The tests of a flow's own file.
pub fn tests_of<'p>(checked: &Checked<'p>) -> Vec<&'p Test> {
    let items = checked.names.program.root().file.items.iter();
    let tests = items.filter_map(|item| match item {
        Item::Test(test) => Some(test),
        _ => None,
    });
    tests.collect()
}

/// Whether a text holds tests, or a mistake that hides whether it does.
pub fn has_tests(name: &str, text: &str) -> bool {
    let parsed = syntax::parse(&Source::new(SourceId(0), name, text));
    let test = |item: &Item| matches!(item, Item::Test(_));
    let hidden = !parsed.diagnostics.is_empty() && text.contains("\ntest \"");
    hidden || parsed.file.items.iter().any(test)
}

/// Runs one test of a program without errors.
pub fn run_test<'p>(checked: &Checked<'p>, test: &'p Test, catalog: &Catalog) -> Tested {
    let mut bench = Bench {
        checked,
        catalog,
        test,
        module: checked.names.program.root().id,
        seen: Seen::new(catalog.clone()),
        left: None,
        judgements: Vec::new(),
        secrets: Vec::new(),
    };
    let mut failures = Vec::new();
    for stmt in &test.stmts {
        match bench.stmt(stmt) {
            Ok(()) => {}
            // What stands behind a false expectation may hold all the same.
            Err(failure) if matches!(stmt, TestStmt::Expect(_)) => failures.push(*failure),
            Err(failure) => {
                failures.push(*failure);
                break;
            }
        }
    }
    Tested {
        title: test.name.text.to_string(),
        span: test.name.span,
        elapsed: bench
            .left
            .as_ref()
            .map_or(Millis(0), |l| l.now.since(START)),
        failures: failures.into_iter().map(|f| bench.masked(f)).collect(),
        secrets: bench.secrets,
    }
}

/// A test under way.
struct Bench<'a, 'p> {
    checked: &'a Checked<'p>,
    catalog: &'a Catalog,
    test: &'p Test,
    module: ModuleId,
    seen: Seen,
    /// The cloud; none before anything needs it.
    left: Option<Left>,
    judgements: Vec<Judgement>,
    /// Of every run so far: none of them is ever printed.
    secrets: Vec<(String, String)>,
}

/// Why a test goes no further.
type Done = Result<(), Box<Diagnostic>>;

impl<'a, 'p> Bench<'a, 'p> {
    fn stmt(&mut self, stmt: &'p TestStmt) -> Done {
        match stmt {
            TestStmt::Given(given) => {
                let value = self.value(&given.value)?;
                let scenario = self
                    .scenario(&value)
                    .map_err(|why| refused(given.value.span, why))?;
                self.left = Some(self.begins(scenario));
                self.look();
                Ok(())
            }
            TestStmt::Fault(fault) => self.fault(fault),
            TestStmt::Answer(answer) => self.answer(answer),
            TestStmt::Run(run) => self.run(run),
            TestStmt::Wait(wait) => match self.value(&wait.time)? {
                Value::Duration(time) => {
                    let left = self.world();
                    left.now = left.now.plus(time);
                    left.stage.cloud.advance(left.now);
                    self.look();
                    Ok(())
                }
                other => Err(failed(
                    wait.time.span,
                    format!("a duration is needed here, this is {}", other.noun()),
                )),
            },
            TestStmt::Let(Let { name, value, .. }) => {
                let value = self.value(value)?;
                self.seen.names.insert(Arc::clone(&name.text), value);
                Ok(())
            }
            TestStmt::Expect(expect) => {
                if self.left.is_none() {
                    self.world();
                    self.look();
                }
                let why = why::Why {
                    scope: &self.scope(),
                    vault: &self
                        .vault()
                        .map_err(|e| failed(expect.span, e.to_string()))?,
                };
                match why.refuted(&expect.condition) {
                    Some(finding) => Err(Box::new(finding)),
                    None => Ok(()),
                }
            }
            TestStmt::Broken(broken) => Err(failed(broken.span, "this does not parse")),
        }
    }

    fn scope(&self) -> seen::InTest<'_, 'p> {
        seen::InTest {
            names: &self.checked.names,
            module: self.module,
            seen: Some(&self.seen),
        }
    }

    fn value(&self, expr: &Expr) -> Result<Value, Box<Diagnostic>> {
        let scope = self.scope();
        eval::eval(expr, &scope).map_err(|e| no_value(expr.span, e))
    }

    /// What `cloud` stands for has changed.
    fn look(&mut self) {
        if let Some(left) = &self.left {
            self.seen.moved(&left.stage.cloud);
        }
    }

    fn begins(&self, scenario: Scenario) -> Left {
        Left::fresh(Sim::new(self.catalog.clone(), scenario, START))
    }

    fn world(&mut self) -> &mut Left {
        let fresh = self.left.take();
        let left = fresh.unwrap_or_else(|| self.begins(Scenario::default()));
        self.left.insert(left)
    }

    /// A scenario's data, or the name of its file beside the test's.
    fn scenario(&self, value: &Value) -> Result<Scenario, String> {
        match value {
            Value::Str(file) => {
                let test = &self.checked.names.program.module(self.module).path;
                let folder = Path::new(test).parent().map(PathBuf::from);
                Scenario::read(&folder.unwrap_or_default().join(&**file))
                    .map_err(|why| format!("the scenario {file}: {why}"))
            }
            Value::Map(_) => Scenario::from_json(&plain(value)),
            other => Err(format!(
                "a scenario is an object or the name of a file, this is {}",
                other.noun()
            )),
        }
    }

    fn fault(&mut self, fault: &Fault) -> Done {
        let mut rule = match &fault.options {
            Some(options) => {
                let scope = self.scope();
                let value = eval::object(options, &scope);
                plain(&value.map_err(|e| no_value(options.span, e))?)
            }
            None => Json::Object(Map::new()),
        };
        rule["kind"] = Json::from(fault.kind.text.replace('_', " "));
        rule["method"] = match &fault.on {
            FaultOn::Method(method) => Json::from(&*method.text),
            FaultOn::Step(_) => Json::from("*"),
        };
        let rule: Result<FaultRule, _> = serde_json::from_value(rule).map_err(|e| e.to_string());
        let step = fault.on.address().map(|step| StepCalls {
            reads: self.only_looks(&step),
            step,
        });
        let rule = rule.map(|rule| FaultRule { step, ..rule });
        let injected = rule.and_then(|rule| self.world().stage.cloud.inject(rule));
        injected.map_err(|why| Box::new(Diagnostic::error(Code::BAD_FAULT, fault.span, why)))
    }

    /// Whether the step at this address changes nothing in what the test runs.
    fn only_looks(&self, address: &str) -> bool {
        let names = &self.checked.names;
        let path = names_of(&address.replace('/', "."));
        let flows = self.test.stmts.iter().filter_map(|stmt| match stmt {
            TestStmt::Run(run) => match names.workflow(self.module, &run.path)? {
                Global::Workflow(flow) => Some(names.flow(flow)),
                _ => None,
            },
            _ => None,
        });
        let mut meant = flows.filter_map(|flow| names.leads_to(flow, &path));
        meant.any(|m| matches!(m, Meaning::Step(step) if reads(&step.action.kind)))
    }

    fn answer(&mut self, answer: &Answer) -> Done {
        let after = match &answer.after {
            None => None,
            Some(expr) => match self.value(expr)? {
                Value::Duration(after) => Some(after),
                other => {
                    let message = format!("a duration is needed here, this is {}", other.noun());
                    return Err(failed(expr.span, message));
                }
            },
        };
        self.judgements.push(Judgement {
            gate: answer.address(),
            approves: answer.approves,
            after,
        });
        Ok(())
    }

    fn run(&mut self, run: &TestRun) -> Done {
        let flow = match self.checked.names.workflow(self.module, &run.path) {
            Some(Global::Workflow(flow)) => flow,
            _ => return Err(failed(run.place(), "there is no such workflow")),
        };
        let case = self.case(flow, run)?;
        self.secrets.extend(case.secrets.iter().cloned());
        let player = Player::new(&case).map_err(|e| failed(run.place(), e.to_string()))?;
        let left = self.world().clone();
        let found = self.found(flow, &player, &left);
        if let Some(broken) = found.iter().find(|d| d.severity == Severity::Error) {
            let value = view::of_refused(&broken.message, &found);
            self.bind(run, value);
            return Ok(());
        }
        let (began, deeds) = (left.now, left.stage.deeds().len());
        let how = How {
            still: true,
            ..How::default()
        };
        let played = player.play(left, &how);
        let refused = match &played.end {
            Err(Trouble::Flow(_)) | Ok(_) => None,
            Err(trouble) => Some(trouble.to_string()),
        };
        if let Some(why) = refused {
            return Err(failed(run.place(), why));
        }
        if let Some(secret) = &played.leaked {
            let message = format!("the secret `{secret}` stands in the journal of this run");
            return Err(failed(run.place(), message));
        }
        self.bind(run, view::of_run(&played, began, deeds, &found));
        self.left = Some(after(played));
        self.look();
        Ok(())
    }

    /// What `check` says of a workflow, and what the policies say of its plan.
    fn found(&self, flow: FlowId, player: &Player<'_, '_>, left: &Left) -> Vec<Diagnostic> {
        let own = self.checked.names.flow(flow).ast.span;
        let of_check = self.checked.diagnostics.iter();
        let mut found: Vec<_> = of_check.filter(|d| own.contains(d.span)).cloned().collect();
        if policy::any(self.checked) {
            found.extend(player.foresee(left.clone()));
        }
        found
    }

    fn bind(&mut self, run: &TestRun, value: Value) {
        if let Some(name) = &run.name {
            self.seen.names.insert(Arc::clone(&name.text), value);
        }
    }

    fn case(&self, flow: FlowId, run: &TestRun) -> Result<Case<'a, 'p>, Box<Diagnostic>> {
        let scope = self.scope();
        let given = match &run.inputs {
            Some(object) => eval::object(object, &scope).map_err(|e| no_value(object.span, e))?,
            None => Value::record([]),
        };
        let mut inputs: std::collections::BTreeMap<Arc<str>, Value> = given
            .as_map()
            .into_iter()
            .flatten()
            .map(|(name, value)| (Arc::clone(name), value.clone()))
            .collect();
        for input in &self.checked.names.flow(flow).inputs {
            if input.default.is_none() {
                let name = Arc::clone(&input.name.text);
                inputs.entry(name).or_insert(Value::Null);
            }
        }
        let scenario = self.left.as_ref().map(|l| l.stage.cloud.scenario());
        let operator = scenario.and_then(|s| s.operator.approves_after);
        Ok(Case {
            secrets: secrets_of(self.checked, flow, &inputs),
            checked: self.checked,
            flow,
            inputs,
            catalog: self.catalog.clone(),
            settings: Settings::new(Mode::Run),
            approves_after: operator.map_or(APPROVES_AFTER, |span| span.0),
            judgements: self.judgements.clone(),
        })
    }

    fn vault(&self) -> Result<Vault, VaultError> {
        Vault::new(Key::new([7; 32]), self.secrets.clone())
    }

    /// What is told of a failure holds no secret.
    fn masked(&self, mut finding: Diagnostic) -> Diagnostic {
        let Ok(vault) = self.vault() else {
            finding.message = "something is wrong here, and cannot be told without a secret".into();
            finding.help = None;
            return finding;
        };
        finding.message = vault.mask(&finding.message);
        finding.help = finding.help.map(|help| vault.mask(&help));
        finding
    }
}

/// The cloud that a run leaves behind, for the next one: as it is at the moment at which the run ended. An operation
/// that was waited for tells that it is done before anything else moves the cloud there.
fn after(played: Played) -> Left {
    let mut left = Left {
        journal: Vec::new(),
        late: None,
        runs: played.left.runs + 1,
        ..played.left
    };
    left.stage.cloud.advance(left.now);
    left
}

fn failed(span: Span, message: impl Into<String>) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(Code::FAILED_TEST, span, message))
}

fn refused(span: Span, why: String) -> Box<Diagnostic> {
    let why = why.trim().replace('\n', " ");
    let message = format!("this is no scenario: {why}");
    Box::new(
        Diagnostic::error(Code::BAD_SCENARIO, span, message)
            .help("docs/simulator.md tells what a scenario may say"),
    )
}

fn no_value(span: Span, stopped: Stopped) -> Box<Diagnostic> {
    let error = match stopped {
        Stopped::Error(error) => *error,
        Stopped::Hook { name, .. } => {
            EvalError::new(span, format!("a test computes no hook such as `{name}`"))
        }
        Stopped::Fresh { .. } => EvalError::new(span, "a test reads nothing afresh: use `cloud`"),
    };
    let mut finding = Diagnostic::error(Code::FAILED_TEST, error.span, error.message);
    finding.help = error.help;
    Box::new(finding)
}

/// A value as scenarios write it: spans and sizes as in a flow, nothing for `null`.
fn plain(value: &Value) -> Json {
    match value {
        Value::Duration(_) => Json::from(value.to_string()),
        Value::Percent(share) => Json::from(share / 100.0),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(fields) => {
            let there = fields
                .iter()
                .filter(|(_, v)| !matches!(v, Value::Null | Value::Unset));
            // Durations of operations are numbers of seconds.
            let field = |name: &str, v: &Value| match name {
                "durations" => v.to_json(),
                _ => plain(v),
            };
            let fields = there.map(|(name, v)| (name.to_string(), field(name, v)));
            Json::Object(fields.collect())
        }
        other => other.to_json(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::check::test_blocks::{FAULT_OPTIONS, FAULTS, REFUSED, SCENARIO, STATUSES};
    use crate::journal::RunStatus;

    #[test]
    fn the_checker_knows_what_a_scenario_may_say() {
        let built_in = serde_json::to_value(Scenario::default()).expect("a scenario");
        let fields = built_in.as_object().expect("an object");
        // A file beside a scenario's file belongs to those.
        let known: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
        let said: BTreeSet<&str> = SCENARIO.into_iter().chain(["load", "loaded"]).collect();
        assert_eq!(known, said);
    }

    #[test]
    fn the_checker_knows_the_faults_of_the_simulator() {
        for kind in FAULTS {
            let mut rule = serde_json::json!({ "kind": kind.replace('_', " "), "method": "*" });
            rule["delay"] = "1s".into();
            rule["error"] = "QUOTA_EXCEEDED".into();
            let rule: FaultRule = serde_json::from_value(rule).expect(kind);
            let fields = serde_json::to_value(rule).expect("a rule");
            let more = fields.as_object().expect("an object").keys();
            let more: BTreeSet<&str> = more.map(String::as_str).collect();
            let said = FAULT_OPTIONS.into_iter().chain(["kind", "method"]);
            assert_eq!(more, said.collect());
        }
    }

    #[test]
    fn the_checker_knows_how_a_run_ends() {
        use RunStatus::*;
        let all = [
            Done, Failed, Paused, Cancelled, TimedOut, Decision, Permission,
        ];
        let mut all: Vec<&str> = all.map(RunStatus::as_str).to_vec();
        all.push(REFUSED);
        assert_eq!(all, STATUSES);
    }
}
