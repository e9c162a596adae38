//! What a module offers, for who wants to use it: its constants, types, hooks and workflows with what
//! their comments say, and what the catalogue knows of the calls that they make.
//!
//! [`Module`] is the view as data; [`pages`] and [`document`] write it as Markdown.

mod escape;
mod flow;
mod missing;
mod module;
mod page;
mod words;

use serde::Serialize;
use serde_json::{Value as Json, json};

pub use missing::undocumented;
pub use module::module;
pub use page::{INDEX, INDEX_MARK, MARK, Page, document, pages};

/// One module.
#[derive(Debug, Serialize)]
pub struct Module {
    /// As flows use it: `red5/group`; of a file of one's own, its path without the ending.
    pub name: String,
    /// The path by which the program finds it.
    #[serde(skip)]
    pub path: String,
    /// The comment at its head.
    pub about: Option<String>,
    /// What is declared besides workflows, in the order of the text.
    pub items: Vec<Item>,
    pub workflows: Vec<Workflow>,
}

impl Module {
    /// For machines.
    pub fn json(&self) -> Json {
        let mut out = json!({ "kind": "module" });
        if let (Json::Object(out), Json::Object(fields)) = (&mut out, json!(self)) {
            out.extend(fields);
        }
        out
    }
}

/// The kinds of [`Item`], in the order in which a page shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Constant,
    Type,
    Hook,
    Policy,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Constant, Kind::Type, Kind::Hook, Kind::Policy];

    fn heading(self) -> &'static str {
        match self {
            Kind::Constant => "Constants",
            Kind::Type => "Types",
            Kind::Hook => "Hooks",
            Kind::Policy => "Policies",
        }
    }
}

/// A declaration that is shown as it is written.
#[derive(Debug, Serialize)]
pub struct Item {
    pub kind: Kind,
    pub name: String,
    pub doc: Option<String>,
    pub text: String,
    /// The types that it names.
    pub uses: Vec<Link>,
}

/// A declaration of some module that another one leans on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Link {
    /// The path by which the program finds the module.
    pub module: String,
    pub item: String,
}

#[derive(Debug, Serialize)]
pub struct Workflow {
    pub name: String,
    pub doc: Option<String>,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    pub steps: Vec<Step>,
    /// The APIs that must be on, of the workflows that it runs too.
    pub apis: Vec<String>,
    /// The calls that remove something, of the workflows that it runs too.
    pub destroys: Vec<String>,
}

/// An input or an output.
#[derive(Debug, Serialize)]
pub struct Port {
    pub name: String,
    #[serde(rename = "type")]
    pub ty: String,
    pub uses: Vec<Link>,
    pub default: Option<String>,
    pub secret: bool,
    pub doc: Option<String>,
}

/// A loop or a condition around a step.
#[derive(Clone, Debug, Serialize)]
pub struct Around {
    /// `for each of`, `if`, `if not`, `upon`
    pub word: &'static str,
    pub what: String,
}

/// A step, or a checkpoint.
#[derive(Debug, Serialize)]
pub struct Step {
    pub name: String,
    pub doc: Option<String>,
    /// The loops and conditions around it, outermost first.
    pub around: Vec<Around>,
    /// The word that it begins with: `ensure`, `wait`, `checkpoint`.
    pub does: &'static str,
    /// What it addresses, says, waits for, or runs.
    pub what: String,
    /// The workflow or hook that it runs.
    pub runs: Option<Link>,
    /// The methods that it may call.
    pub calls: Vec<String>,
    /// What a rollback may call.
    pub undo: Vec<String>,
}
