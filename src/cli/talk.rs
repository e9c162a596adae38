//! What a session says to the person, or the machine, that called it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::Write;
use std::rc::Rc;

use super::failure::{Exit, Failure};
use super::session::{self, EditView, PlanView, Report, RollbackView, Talk};
use super::settings::Settings;
use super::terminal;
use super::world::Choice;
use crate::diag::{Diagnostic, render};
use crate::journal::{Started, State};
use crate::package::Program;
use crate::report::edit::{Review, drift_json, drift_text};
use crate::report::end::Ending;
use crate::report::plan::Plan;
use crate::report::progress::{Form, observer};
use crate::report::{clean, head, rollback};
use crate::run::Observer;
use crate::run::edit::Drifted;
use crate::store::{Key, Vault};
use crate::world::Timestamp;
use crate::world::clock::Clock;

pub struct Speaker<'s> {
    settings: &'s Settings,
    json: bool,
    /// The clock of the run is people's clock.
    real_time: bool,
    /// Steps that an earlier process finished.
    past: BTreeSet<String>,
    vault: RefCell<Option<Rc<Vault>>>,
    declined: Cell<bool>,
}

impl<'s> Speaker<'s> {
    pub fn new(settings: &'s Settings, json: bool, world: &Choice) -> Self {
        Speaker {
            settings,
            json,
            real_time: matches!(world, Choice::Google(..)),
            past: BTreeSet::new(),
            vault: RefCell::new(None),
            declined: Cell::new(false),
        }
    }

    /// The same for a run of which these steps are finished.
    pub fn after(self, past: impl IntoIterator<Item = String>) -> Self {
        Speaker {
            past: past.into_iter().collect(),
            ..self
        }
    }

    /// Somebody looked at the plan and said no.
    pub fn declined(&self) -> bool {
        self.declined.get()
    }

    /// Shows how a run ended.
    pub fn ended(&self, report: &Report) -> Result<Exit, Failure> {
        let exit = Exit::from(report.end.status);
        let state = self.settings.state_dir()?;
        // What the journal tells only adds to the report; it is not needed for it.
        let past =
            session::history(&state, &report.run).map_or_else(|_| State::default(), |h| h.state);
        let vault = self.vault.borrow().clone();
        let vault = vault.unwrap_or_else(|| Rc::new(Vault::empty(Key::new([0; 32]))));
        let options = self.options();
        let ending = Ending {
            run: &report.run,
            end: &report.end,
            took: report.ended.since(report.began),
            secret_outputs: &report.secret_outputs,
            sources: &report.program.sources,
            state: &past,
            vault: &vault,
            exit: exit as u8,
            options: &options,
        };
        let terminal = &self.settings.terminal;
        if self.json {
            // A run that is over already had no beginning here.
            if self.vault.borrow().is_none() {
                terminal.line(head("run"))?;
            }
            for line in ending.json() {
                terminal.line(line)?;
            }
        } else {
            terminal.tell(&ending.text(terminal.err));
            terminal.print(&ending.outputs())?;
        }
        Ok(exit)
    }

    /// What a command about this run must repeat.
    fn options(&self) -> String {
        match self.settings.state.to_str() {
            Some(".r5flow") => String::new(),
            _ => format!(" --state '{}'", self.settings.state.display()),
        }
    }
}

impl Talk for Speaker<'_> {
    fn warnings(&self, program: &Program, findings: &[Diagnostic]) {
        let terminal = &self.settings.terminal;
        terminal.tell(&render::text(
            &program.sources,
            findings,
            terminal.err.into(),
        ));
    }

    fn confirm(&self, found: &PlanView<'_>) -> Option<bool> {
        let terminal = &self.settings.terminal;
        terminal.tell(&view(found).text(terminal.err));
        let question = match found.changes() {
            true => "\nRun it?",
            false => "\nRun it, although it changes nothing?",
        };
        let answer = terminal.ask(question);
        self.declined.set(answer == Some(false));
        answer
    }

    fn review(&self, edit: &EditView<'_>, asks: bool) -> Option<bool> {
        let terminal = &self.settings.terminal;
        let review = Review {
            run: edit.run,
            flow: "the flow as it is now",
            lines: edit.lines,
            vault: edit.mask,
        };
        match self.json {
            // Whether it can be read is the reader's affair; the question below is not.
            true => review.json().into_iter().for_each(|line| {
                let _ = terminal.line(line);
            }),
            false => terminal.tell(&review.text(terminal.err)),
        }
        match asks {
            true => terminal.ask("\nGo on with the run so?"),
            false => Some(true),
        }
    }

    fn drifted(&self, drifted: &[Drifted], mask: &Vault, asks: bool) -> Option<bool> {
        let terminal = &self.settings.terminal;
        match self.json {
            true => drift_json(drifted, mask).into_iter().for_each(|line| {
                let _ = terminal.line(line);
            }),
            false => terminal.tell(&drift_text(drifted, mask, terminal.err)),
        }
        match asks {
            true => terminal.ask("\nGo on all the same?"),
            false => Some(true),
        }
    }

    fn confirm_destruction(&self, environment: &str, count: usize) -> Option<bool> {
        let things = crate::report::count(count, "thing");
        let question = format!(
            "\n`{environment}` is protected, and {things} will be deleted or replaced in it.\n\
             Type the name of the environment to go on: "
        );
        let answer = self.settings.terminal.ask_for(&question, environment);
        self.declined.set(answer == Some(false));
        answer
    }

    fn rollback(&self, view: &RollbackView<'_>) {
        let plan = rollback::Plan {
            run: &view.started.run,
            workflow: &view.started.workflow,
            to: view.to,
            rollback: view.rollback,
            vault: view.vault,
        };
        let terminal = &self.settings.terminal;
        match self.json {
            // What cannot be written now is missed by nobody who went away.
            true => plan.json().into_iter().for_each(|line| {
                let _ = terminal.line(line);
            }),
            false => terminal.tell(&plan.text(terminal.err)),
        }
    }

    fn confirm_rollback(&self) -> Option<bool> {
        let answer = self.settings.terminal.ask("\nRoll it back?");
        self.declined.set(answer == Some(false));
        answer
    }

    fn begins(&self, run: &str, started: &Started, resumed: bool) {
        if self.json {
            return;
        }
        let word = if resumed { "resumes" } else { "begins" };
        let text = format!(
            "run {run} {word}: {} against {}\n",
            started.workflow, started.world
        );
        self.settings.terminal.tell(&clean(&text));
    }

    fn other_descriptions(&self, services: &[String]) {
        if self.json {
            return;
        }
        let text = format!(
            "note: the catalogue describes {} otherwise than when the run began; what was recorded counts by its \
             contents\n",
            services.join(", ")
        );
        self.settings.terminal.tell(&clean(&text));
    }

    fn observer(&self, vault: Rc<Vault>, _: Rc<dyn Clock>) -> Rc<dyn Observer> {
        *self.vault.borrow_mut() = Some(Rc::clone(&vault));
        let terminal = &self.settings.terminal;
        let (form, out): (Form, Box<dyn Write + Send>) = match (self.json, terminal.live) {
            (true, _) => (Form::Json, Box::new(std::io::stdout())),
            (false, false) => (Form::Lines(terminal.err), Box::new(std::io::stderr())),
            (false, true) => {
                let live = Form::Live {
                    look: terminal.err,
                    width: Box::new(terminal::width_now),
                    now: self.real_time.then_some(Timestamp::now),
                };
                (live, Box::new(std::io::stderr()))
            }
        };
        observer(form, out, vault, self.past.clone())
    }
}

/// A plan as the reports take it.
pub fn view<'a>(found: &'a PlanView<'a>) -> Plan<'a> {
    Plan {
        workflow: found.workflow,
        world: &found.world,
        items: &found.items,
        graph: found.graph,
        end: &found.end,
        durations: &found.durations,
        estimate: found.estimate.as_ref(),
        sources: &found.program.sources,
        vault: &found.mask,
    }
}
