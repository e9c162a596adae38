//! The world that a run talks to: Google Cloud, an endpoint, or the simulator in this process.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::catalog::Catalog;
use crate::cloud::{Endpoints, HttpWire, Settings, principal};
use crate::journal;
use crate::run::{GateAnswer, GateQuestion, InboxSource, Local};
use crate::sim::durable::{Cloud, Durable};
use crate::sim::{self, Scenario, SimWire};
use crate::store::{Inbox, InboxKind, StateDir};
use crate::wire::{Answer, NoAnswer, Request, Verb, Wire};
use crate::world::clock::{Clock, RealClock, VirtualClock};
use crate::world::{Millis, Timestamp};

use super::session::SessionError;

/// What the user chose.
#[derive(Clone, Debug)]
pub enum Choice {
    /// The simulator, with a scenario of the user's own or the built-in one.
    Sim(Option<PathBuf>),
    /// Google, as far as no endpoint says otherwise.
    Google(Box<Endpoints>, Settings),
}

impl Choice {
    /// As a run's journal pins it.
    pub fn pinned(&self) -> journal::World {
        match self {
            Choice::Sim(scenario) => journal::World::Sim {
                scenario: scenario.as_ref().map(|p| p.display().to_string()),
            },
            Choice::Google(endpoints, _) => journal::World::Google {
                endpoints: endpoints.overridden(),
            },
        }
    }

    /// Whether any request goes out with Google credentials.
    pub fn sends_credentials(&self) -> bool {
        match self {
            Choice::Sim(_) => false,
            Choice::Google(endpoints, settings) => {
                let elsewhere = endpoints.overridden().contains_key("*");
                !elsewhere || !settings.send_credentials_to.is_empty()
            }
        }
    }

    /// Whose Google credentials the run uses, where it can be told and any go out.
    pub async fn principal(&self) -> Option<String> {
        match self {
            Choice::Google(_, settings) if self.sends_credentials() => {
                principal::of(settings).await
            }
            _ => None,
        }
    }

    /// The world of a recorded run.
    pub fn recorded(
        world: &journal::World,
        catalog: &Catalog,
        settings: Settings,
    ) -> Result<Choice, SessionError> {
        match world {
            journal::World::Sim { scenario } => {
                Ok(Choice::Sim(scenario.as_ref().map(PathBuf::from)))
            }
            journal::World::Google { endpoints } => {
                let mut all = google(catalog)?;
                for (service, url) in endpoints {
                    let flag = match service.as_str() {
                        "*" => url.clone(),
                        service => format!("{service}={url}"),
                    };
                    all.add_flag(&flag)
                        .map_err(|e| SessionError::Usage(e.to_string()))?;
                }
                Ok(Choice::Google(Box::new(all), settings))
            }
        }
    }
}

/// Google's own endpoints.
pub fn google(catalog: &Catalog) -> Result<Endpoints, SessionError> {
    let roots: Vec<(&str, &str)> = catalog
        .services()
        .map(|s| (&*s.name, &*s.root_url))
        .collect();
    Endpoints::new(roots).map_err(|e| SessionError::Usage(e.to_string()))
}

/// A world, opened.
pub struct Open {
    pub wire: Rc<dyn Wire>,
    pub clock: Rc<dyn Clock>,
    pub sim: Option<SimWorld>,
}

/// What only the simulator has.
pub struct SimWorld {
    pub cloud: Rc<RefCell<dyn Cloud>>,
    pub clock: VirtualClock,
    pub scenario: Scenario,
}

/// Opens the chosen world. The simulator's time goes on where it stopped, and not before `earliest`.
pub fn open(
    choice: &Choice,
    catalog: &Catalog,
    state: &StateDir,
    earliest: Timestamp,
) -> Result<Open, SessionError> {
    match choice {
        Choice::Google(endpoints, settings) => {
            let clock: Rc<dyn Clock> = Rc::new(RealClock);
            let wire = HttpWire::google((**endpoints).clone(), settings.clone(), Rc::clone(&clock))
                .map_err(SessionError::World)?;
            Ok(Open {
                wire: Rc::new(wire),
                clock,
                sim: None,
            })
        }
        Choice::Sim(file) => {
            let scenario = scenario(file.as_deref())?;
            let start = earliest.max(Timestamp::now());
            let (cloud, latest) =
                Durable::open(&state.sim()?, catalog.clone(), scenario.clone(), start)
                    .map_err(|e| SessionError::World(e.to_string()))?;
            let clock = VirtualClock::new(latest.max(earliest));
            let cloud: Rc<RefCell<dyn Cloud>> = Rc::new(RefCell::new(cloud));
            Ok(Open {
                wire: Rc::new(SimWire::new(Rc::clone(&cloud), Rc::new(clock.clone()))),
                clock: Rc::new(clock.clone()),
                sim: Some(SimWorld {
                    cloud,
                    clock,
                    scenario,
                }),
            })
        }
    }
}

/// A scenario from its file, or the built-in one.
///
/// # Errors
/// The file cannot be read, or is none.
pub fn scenario(file: Option<&Path>) -> Result<Scenario, SessionError> {
    let Some(file) = file else {
        return Ok(Scenario::default());
    };
    let name = file.display();
    Scenario::read(file).map_err(|e| SessionError::Usage(format!("the scenario {name}: {e}")))
}

/// How long the simulated operator takes when the scenario does not say.
const APPROVES_AFTER: Millis = Millis::mins(5);

/// A person of the simulator: approves everything after a while, and points the DNS as asked.
pub struct Operator {
    cloud: Rc<RefCell<dyn Cloud>>,
    clock: Rc<dyn Clock>,
    after: Millis,
}

impl Operator {
    pub fn new(cloud: Rc<RefCell<dyn Cloud>>, clock: Rc<dyn Clock>, scenario: &Scenario) -> Self {
        Operator {
            cloud,
            clock,
            after: scenario
                .operator
                .approves_after
                .map_or(APPROVES_AFTER, |s| s.0),
        }
    }
}

impl InboxSource for Operator {
    fn ask(&self, _: GateQuestion) -> Local<'_, GateAnswer> {
        Box::pin(async move {
            self.clock
                .sleep_until(self.clock.now().plus(self.after))
                .await;
            let at = self.clock.now();
            if let Err(error) = self.cloud.borrow_mut().approve(at) {
                return GateAnswer {
                    approved: false,
                    by: "the simulator".into(),
                    host: None,
                    note: Some(error.to_string()),
                    at,
                };
            }
            GateAnswer {
                approved: true,
                by: "the simulated operator".into(),
                host: None,
                note: None,
                at,
            }
        })
    }

    fn patient(&self) -> bool {
        true
    }

    fn takes_virtual_time(&self) -> bool {
        true
    }
}

/// The person of a simulator that answers on a port.
pub struct RemoteOperator {
    wire: Rc<dyn Wire>,
    root: String,
}

impl RemoteOperator {
    /// The operator of the simulator behind an endpoint for all services; `None` when what answers
    /// there does not say that it is one. Nobody but a simulator is ever approved by itself.
    pub async fn of(choice: &Choice, wire: &Rc<dyn Wire>) -> Option<RemoteOperator> {
        let Choice::Google(endpoints, _) = choice else {
            return None;
        };
        let operator = RemoteOperator {
            wire: Rc::clone(wire),
            root: endpoints.overridden().remove("*")?,
        };
        let answer = operator.ask_sim(Verb::Get, "operator").await.ok()?;
        (answer.header("server") == Some(sim::SERVER)).then_some(operator)
    }

    async fn ask_sim(&self, verb: Verb, what: &str) -> Result<Answer, NoAnswer> {
        let request = Request {
            method: "http".into(),
            verb,
            path: format!("{}_r5flow/{what}", self.root),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
        };
        self.wire.send(&request, SIM_PATIENCE).await
    }
}

impl InboxSource for RemoteOperator {
    fn ask(&self, _: GateQuestion) -> Local<'_, GateAnswer> {
        Box::pin(async move {
            let answer = self.ask_sim(Verb::Post, "approved").await;
            let refused = match answer {
                Ok(answer) if answer.status < 300 => None,
                Ok(answer) => Some(format!("it answered {}", answer.status)),
                Err(lost) => Some(lost.into_why()),
            };
            GateAnswer {
                approved: refused.is_none(),
                by: "the simulated operator".into(),
                host: None,
                note: refused,
                at: Timestamp::now(),
            }
        })
    }

    fn patient(&self) -> bool {
        true
    }
}

/// How long a simulator's admin endpoint may take.
const SIM_PATIENCE: Millis = Millis::secs(10);

/// How often the inbox is looked into while a gate waits.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(100);

/// Answers that other processes post, by `r5flow approve`.
pub struct Mailbox {
    pub inbox: Inbox,
    pub cloud: Option<Rc<RefCell<dyn Cloud>>>,
    pub clock: Rc<dyn Clock>,
    /// Whether to wait for answers when nothing else is left to do.
    pub patient: bool,
}

impl Mailbox {
    fn answer(&self, question: &GateQuestion) -> Option<GateAnswer> {
        let items = self.inbox.poll(0).ok()?;
        let key = gate_key(&question.address, &question.hash);
        let (_, item) = items
            .into_iter()
            .find(|(_, item)| item.key == key && item.text_hash == question.hash)?;
        Some(GateAnswer {
            approved: item.kind == InboxKind::Approve,
            by: item.by,
            host: Some(item.host).filter(|h| !h.is_empty()),
            note: Some(item.note).filter(|n| !n.is_empty()),
            at: item.at,
        })
    }
}

/// Under which key an answer to a gate is posted.
pub fn gate_key(address: &str, hash: &str) -> String {
    format!("{address}#{hash}")
}

impl InboxSource for Mailbox {
    fn ask(&self, question: GateQuestion) -> Local<'_, GateAnswer> {
        Box::pin(async move {
            loop {
                if let Some(mut answer) = self.answer(&question) {
                    if let (Some(cloud), true) = (&self.cloud, answer.approved) {
                        answer.at = self.clock.now();
                        if let Err(error) = cloud.borrow_mut().approve(answer.at) {
                            answer.note = Some(error.to_string());
                        }
                    }
                    return answer;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        })
    }

    fn patient(&self) -> bool {
        self.patient
    }
}

/// Whether a run may go on in this world, and how it differs when not.
pub fn same_world(recorded: &journal::World, chosen: &journal::World) -> Result<(), String> {
    if recorded == chosen {
        return Ok(());
    }
    Err(format!(
        "the run began against {recorded}, and is now asked to go on against {chosen}"
    ))
}

/// Services whose descriptions are of another revision than the recorded one.
pub fn other_revisions(recorded: &BTreeMap<String, String>, catalog: &Catalog) -> Vec<String> {
    let now = revisions(catalog);
    let other = |service: &&String| {
        let now = now.get(*service);
        now.is_some() && now != recorded.get(*service)
    };
    recorded.keys().filter(other).cloned().collect()
}

/// Whether the account that the run began with is the one that would go on. One that was unknown at
/// the beginning passes; one that cannot be told now does not, since it may be anybody.
pub fn same_principal(recorded: Option<&str>, now: Option<&str>) -> Result<(), String> {
    match (recorded, now) {
        (None, _) => Ok(()),
        (Some(recorded), Some(now)) if recorded == now => Ok(()),
        (Some(recorded), Some(now)) => Err(format!(
            "the run began as {recorded}, and would go on as {now}, who may see and change other things: use the \
             credentials of {recorded}, say `--impersonate` again where it was said, or say `--take-over`"
        )),
        (Some(recorded), None) => Err(format!(
            "the run began as {recorded}, and the credentials here do not say whose they are: use credentials that \
             name {recorded}, say `--impersonate` again where it was said, or say `--take-over` when you know that \
             this account may go on with the run"
        )),
    }
}

/// Revisions of the services' descriptions, as a run records them.
pub fn revisions(catalog: &Catalog) -> BTreeMap<String, String> {
    catalog
        .services()
        .map(|s| (s.name.to_string(), s.revision.to_string()))
        .collect()
}
