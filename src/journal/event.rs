//! The events of a run, as they are stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::undo::Undo;
use crate::wire::Request;
use crate::wire::error::ApiError;
use crate::world::Timestamp;

/// The version of the stored form; it rises when an older r5flow could misread a journal.
pub const FORMAT: u32 = 1;

pub type Address = Arc<str>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first event: everything that resuming needs.
    Started(Box<Started>),
    /// Another process goes on.
    Resumed { by: String, host: String, pid: u32 },
    /// A person changed the flow, or wants steps done again. What is recorded counts from here on
    /// only as far as this says.
    Edited(Box<super::Edited>),
    /// A `for` or an `if` got its answer.
    Grew { address: Address, to: GrewTo },
    /// How a call is taken back, should the run be rolled back. Durable before the call's intent, as
    /// far as it is known by then; what depends on the result stands before the step's end. The last
    /// one counts.
    Undo {
        address: Address,
        call: u32,
        undo: Box<Undo>,
    },
    /// A request will be sent. Durable before the first byte leaves.
    Intent {
        address: Address,
        intent: Box<Intent>,
    },
    /// The intent was never sent and never will be.
    Voided { address: Address, call: u32 },
    /// The cloud accepted the request and works on it; `poll` asks how far it is.
    Operation {
        address: Address,
        call: u32,
        name: String,
        poll: Box<Request>,
    },
    /// What became of a call.
    Called {
        address: Address,
        call: u32,
        result: CallResult,
    },
    /// A hook inside an expression was computed. The key is its module and name, and its arguments.
    Hooked { key: String, value: Json },
    /// A pause began: a resumed run waits for the rest of it only.
    Began { address: Address, at: Timestamp },
    /// A gate waits for a person.
    Asked {
        address: Address,
        text: String,
        hash: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<Timestamp>,
    },
    Answered {
        address: Address,
        approved: bool,
        by: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        at: Timestamp,
    },
    /// A step, an assertion or a checkpoint is over. `began`: when everything it waits for was there.
    Finished {
        address: Address,
        began: Timestamp,
        outcome: Outcome,
    },
    /// From here on the run is rolled back: to this checkpoint, or to its beginning.
    RollingBack {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Address>,
        by: String,
        host: String,
        pid: u32,
    },
    /// Nothing is left of what these did, as far as it could be undone: they are as if they had never
    /// begun, and their calls go on counting.
    Undone { addresses: Vec<Address> },
    /// This process stops driving the run, for good or until it is resumed.
    Ended(Box<Ended>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    pub format: u32,
    /// The version of r5flow that began the run.
    pub version: String,
    pub run: String,
    /// 128 random bits in hexadecimal: what request ids are made of.
    pub nonce: String,
    pub file: String,
    pub workflow: String,
    /// Every text of the program by its path.
    pub program: BTreeMap<String, String>,
    pub inputs: BTreeMap<String, Json>,
    /// Inputs whose values are secrets: sealed above, and needed again to resume.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    pub environment: String,
    pub world: World,
    /// Revision of each service's description.
    pub catalog: BTreeMap<String, String>,
    /// The account of the Google credentials, where their file tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    pub by: String,
    pub host: String,
    pub pid: u32,
}

/// Where the calls of a run go; a run resumes only against the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum World {
    Google {
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        endpoints: BTreeMap<String, String>,
    },
    /// The simulator in this process, with its scenario's file where it is not the built-in one.
    Sim {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scenario: Option<String>,
    },
}

impl std::fmt::Display for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            World::Google { endpoints } if endpoints.is_empty() => f.write_str("Google Cloud"),
            World::Google { endpoints } => {
                let list: Vec<String> = endpoints.iter().map(|(k, v)| format!("{k}={v}")).collect();
                write!(f, "the endpoints {}", list.join(", "))
            }
            World::Sim { scenario: None } => f.write_str("the built-in simulator"),
            World::Sim {
                scenario: Some(file),
            } => write!(f, "the built-in simulator with {file}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrewTo {
    /// The keys of the iterations, in order: their values are computed again.
    Keys(Vec<Arc<str>>),
    /// The iterations of a `for`, whole.
    Entries(Box<Iterations>),
    Taken(bool),
}

/// What a `for` led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Iterations {
    /// A hash of the loop's text: these are the iterations of this loop, and of no other.
    pub plan: String,
    /// How many of them go on at a time, when that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<usize>,
    pub entries: Vec<Iteration>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Iteration {
    pub key: Arc<str>,
    /// The position, or the key of a map.
    pub first: Json,
    pub value: Json,
}

/// Everything that is known of a call before it is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Calls of a step are numbered from 1.
    pub call: u32,
    /// Rises with every request that differs from the one before, and after every definite failure.
    pub generation: u32,
    /// The whole request, its request id included.
    pub request: Request,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What was observed of the target before: `id`, `fingerprint`, `settingsVersion`, the newest
    /// operation. Null: the target was absent, or was not looked at.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub before: Json,
    /// The server's clock when it last answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_time: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallResult {
    Ok {
        origin: Origin,
        /// The answer, where nothing but the answer shows what the call brought.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        answer: Json,
        /// What tells the resource that the call made from a later one of its name, where the answer
        /// or the operation says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incarnation: Option<String>,
    },
    /// It had no effect and will not be repeated under this intent.
    Failed { error: ApiError },
    /// It failed, and left a resource that is not whole: created, broken.
    Broken {
        error: ApiError,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incarnation: Option<String>,
    },
}

/// How sure it is that a call of this run brought about what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Proved by the answer or the operation.
    Created,
    /// Found as wished for after a lost answer; somebody else may have made it.
    Presumed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done {
        verdict: Verdict,
        #[serde(default, skip_serializing_if = "Json::is_null")]
        value: Json,
    },
    Skipped,
    Failed {
        failure: Box<StepFailure>,
        /// `on failure continue`: dependents go on, with `null` for its value.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        tolerated: bool,
    },
}

/// How a step came to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Read,
    /// It was already so.
    Adopted,
    Created,
    Updated,
    Replaced,
    Called,
    Waited,
    /// The wait ran out, and the flow goes on.
    GaveUp,
    Approved,
    Denied,
    Computed,
    /// An assertion holds, or a checkpoint is reached.
    Passed,
    /// Found as wished for after a lost answer; whether the run created it nobody can prove.
    Presumed,
    /// Taken back by a rollback.
    Undone,
    /// A rollback left it, since it is not what the run left there.
    Kept,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Read => "read",
            Verdict::Adopted => "adopted",
            Verdict::Created => "created",
            Verdict::Updated => "updated",
            Verdict::Replaced => "replaced",
            Verdict::Called => "called",
            Verdict::Waited => "waited",
            Verdict::GaveUp => "gave up",
            Verdict::Approved => "approved",
            Verdict::Denied => "denied",
            Verdict::Computed => "computed",
            Verdict::Passed => "passed",
            Verdict::Presumed => "presumed",
            Verdict::Undone => "undone",
            Verdict::Kept => "kept",
        }
    }
}

/// Why a step did not succeed: what happened, where in the flow, what to do now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepFailure {
    pub reason: Reason,
    pub message: String,
    /// `file:line:column`, or `file:line:column-column` where the last character is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Box<ApiError>>,
}

/// What kind of failure it is; the exit code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Failed,
    Denied,
    TimedOut,
    /// Credentials, permission, or an API that is not enabled.
    Permission,
    /// Only a person can tell what happened.
    Decision,
    /// An error of the flow that shows only with these values.
    Flow,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Failed => "failed",
            Reason::Denied => "denied",
            Reason::TimedOut => "timed out",
            Reason::Permission => "permission",
            Reason::Decision => "decision",
            Reason::Flow => "flow",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    pub status: RunStatus,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Json>,
    /// Outputs that are secrets: sealed above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_outputs: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Done,
    Failed,
    /// Waits for a person, or stopped at `--until`.
    Paused,
    Cancelled,
    TimedOut,
    Decision,
    Permission,
    /// What it did is undone, as far as it can be.
    RolledBack,
}

impl RunStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            RunStatus::Done => "done",
            RunStatus::Failed => "failed",
            RunStatus::Paused => "paused",
            RunStatus::Cancelled => "cancelled",
            RunStatus::TimedOut => "timed out",
            RunStatus::Decision => "needs a decision",
            RunStatus::Permission => "lacks permission",
            RunStatus::RolledBack => "rolled back",
        }
    }
}

impl Event {
    /// The step, checkpoint or growth that the event is about.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Event::Grew { address, .. }
            | Event::Undo { address, .. }
            | Event::Intent { address, .. }
            | Event::Voided { address, .. }
            | Event::Operation { address, .. }
            | Event::Called { address, .. }
            | Event::Asked { address, .. }
            | Event::Began { address, .. }
            | Event::Answered { address, .. }
            | Event::Finished { address, .. } => Some(address),
            Event::Started(_)
            | Event::Resumed { .. }
            | Event::Edited(_)
            | Event::Hooked { .. }
            | Event::RollingBack { .. }
            | Event::Undone { .. }
            | Event::Ended(_) => None,
        }
    }
}

/// The words of which every journal is made: its field names and tags. A secret that is part of one
/// could not be told from the journal's own text.
pub const OWN_WORDS: &str = "event started resumed grew intent voided operation called hooked asked answered finished \
    ended format version run nonce file workflow program inputs secrets environment world catalog by host pid kind \
    google endpoints sim scenario address to keys taken call generation request request_id before server_time method \
    verb path query headers body name poll result ok origin created presumed answer failed error key value text hash plan turns \
    entries first expires approved note at began outcome done verdict skipped failure tolerated reason message place help api class \
    status retry_after details read adopted updated replaced waited gave_up denied computed passed timed_out \
    permission decision flow outputs secret_outputs why paused cancelled true false null undo rolling_back undone \
    addresses delete get restore fields protected incarnation broken kept rolled_back edited source steps from \
    principal keep update redo orphaned forgotten again asked meant kind target guards refs";

#[cfg(test)]
mod tests {
    use super::*;

    /// A field or tag that is missing in the list is found as soon as an event carries it.
    #[test]
    fn the_own_words_are_complete() {
        let intent = Intent {
            call: 1,
            generation: 1,
            request: Request {
                method: "http".into(),
                verb: crate::wire::Verb::Get,
                path: String::new(),
                query: vec![(String::new(), String::new())],
                headers: vec![(String::new(), String::new())],
                body: Some(Json::Bool(true)),
            },
            request_id: Some(String::new()),
            before: Json::Bool(true),
            server_time: Some(Timestamp(0)),
        };
        let failure = StepFailure {
            reason: Reason::TimedOut,
            message: String::new(),
            place: "p".into(),
            help: Some(String::new()),
            api: None,
        };
        let at = Timestamp(0);
        let address: Address = "".into();
        let events = [
            Event::Intent {
                address: address.clone(),
                intent: Box::new(intent),
            },
            Event::Finished {
                address: address.clone(),
                began: at,
                outcome: Outcome::Failed {
                    failure: Box::new(failure),
                    tolerated: true,
                },
            },
            Event::Asked {
                address: address.clone(),
                text: String::new(),
                hash: String::new(),
                expires: Some(at),
            },
            Event::Grew {
                address,
                to: GrewTo::Taken(true),
            },
            Event::Grew {
                address: "".into(),
                to: GrewTo::Entries(Box::new(Iterations {
                    plan: String::new(),
                    turns: Some(1),
                    entries: vec![Iteration {
                        key: "".into(),
                        first: Json::Bool(true),
                        value: Json::Bool(true),
                    }],
                })),
            },
        ];
        for event in events {
            let json = serde_json::to_value(event).expect("text keys");
            let mut words = Vec::new();
            collect(&json, &mut words);
            for word in words
                .iter()
                .filter(|w| !w.is_empty() && *w != "p" && *w != "http" && *w != "GET")
            {
                assert!(
                    OWN_WORDS.split_whitespace().any(|own| own == word),
                    "{word}"
                );
            }
        }
    }

    fn collect(json: &Json, words: &mut Vec<String>) {
        match json {
            Json::Object(fields) => fields.iter().for_each(|(key, value)| {
                words.push(key.clone());
                collect(value, words);
            }),
            Json::Array(items) => items.iter().for_each(|item| collect(item, words)),
            Json::String(text) => words.push(text.clone()),
            _ => {}
        }
    }
}
