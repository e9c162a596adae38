//! Modules as Markdown: a page each beside an index, or one document.

use std::collections::BTreeMap;

use super::escape::{block, code, line, prose};
use super::{Item, Kind, Link, Module, Port, Step, Workflow};

/// The name of the index among the pages.
pub const INDEX: &str = "README.md";

/// The first line of the index.
pub const INDEX_MARK: &str = "<!-- The index that `r5flow doc` made. -->";

/// The first line of every other page: what tells it from pages that somebody wrote.
pub const MARK: &str = "<!-- A page that `r5flow doc` made. -->";

/// A file of the reference.
#[derive(Debug)]
pub struct Page {
    /// Below the folder of the reference, with `/` between its parts.
    pub file: String,
    pub text: String,
}

/// A page for each module, and an index.
pub fn pages(modules: &[Module]) -> Vec<Page> {
    let mut drafts = vec![index(modules)];
    for module in modules {
        let mut draft = Draft::new(format!("{}.md", module.name));
        draft.text(&format!("{MARK}\n\n"));
        draft.module(module);
        drafts.push(draft);
    }
    let places = places(&drafts);
    drafts.iter().map(|d| d.page(&places)).collect()
}

/// All modules in one text.
pub fn document(modules: &[Module]) -> String {
    let mut draft = Draft::new(String::new());
    modules.iter().for_each(|m| draft.module(m));
    let places = places(std::slice::from_ref(&draft));
    draft.page(&places).text
}

fn index(modules: &[Module]) -> Draft {
    let mut draft = Draft::new(INDEX.to_owned());
    draft.text(&format!("{INDEX_MARK}\n\n# Reference\n\n"));
    for module in modules {
        let page = address(&format!("{}.md", module.name));
        let about = sentence(module.about.as_deref());
        draft.text(&format!("- [{}]({page}){about}\n", code(&module.name)));
        for workflow in &module.workflows {
            draft.text("  - ");
            draft.link(code(&workflow.name), &link(module, &workflow.name));
            draft.text(&format!("{}\n", sentence(workflow.doc.as_deref())));
        }
    }
    draft
}

/// The first sentence, or line, of a comment.
fn sentence(text: Option<&str>) -> String {
    let Some(text) = text else {
        return String::new();
    };
    let paragraph = text.split("\n\n").next().unwrap_or(text);
    let end = paragraph.find(". ").or_else(|| paragraph.find(".\n"));
    let first = end.map_or(paragraph, |at| &paragraph[..=at]);
    format!(": {}", line(first))
}

fn link(module: &Module, item: &str) -> Link {
    Link {
        module: module.path.clone(),
        item: item.to_owned(),
    }
}

enum Piece {
    Text(String),
    /// Led to where the declaration is described, when it is.
    Link(String, Link),
}

/// A page whose links are still open.
struct Draft {
    file: String,
    pieces: Vec<Piece>,
    /// How often each anchor was taken.
    taken: BTreeMap<String, u32>,
    anchors: BTreeMap<Link, String>,
}

/// File and anchor of every declaration.
type Places<'d> = BTreeMap<&'d Link, (&'d str, &'d str)>;

fn places(drafts: &[Draft]) -> Places<'_> {
    drafts
        .iter()
        .flat_map(|d| d.anchors.iter().map(|(l, a)| (l, (&*d.file, &**a))))
        .collect()
}

impl Draft {
    fn new(file: String) -> Draft {
        Draft {
            file,
            pieces: Vec::new(),
            taken: BTreeMap::new(),
            anchors: BTreeMap::new(),
        }
    }

    fn page(&self, places: &Places<'_>) -> Page {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Link(label, to) => match places.get(to) {
                    Some((file, anchor)) => {
                        let file = relative(&self.file, file);
                        text.push_str(&format!("[{label}]({file}#{anchor})"));
                    }
                    None => text.push_str(label),
                },
            }
        }
        Page {
            file: self.file.clone(),
            text: format!("{}\n", text.trim_end()),
        }
    }

    fn text(&mut self, text: &str) {
        self.pieces.push(Piece::Text(text.to_owned()));
    }

    fn link(&mut self, label: String, to: &Link) {
        self.pieces.push(Piece::Link(label, to.clone()));
    }

    /// A heading, and its anchor as GitHub makes it.
    fn heading(&mut self, level: usize, text: &str) -> String {
        self.text(&format!("{} {}\n\n", "#".repeat(level), line(text)));
        let slug: String = text
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' '))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let times = self.taken.entry(slug.clone()).or_default();
        *times += 1;
        match *times {
            1 => slug,
            n => format!("{slug}-{}", n - 1),
        }
    }

    fn module(&mut self, module: &Module) {
        self.heading(1, &module.name);
        self.paragraph(module.about.as_deref());
        for kind in Kind::ALL {
            let items: Vec<&Item> = module.items.iter().filter(|i| i.kind == kind).collect();
            if !items.is_empty() {
                self.heading(2, kind.heading());
            }
            for item in items {
                let anchor = self.heading(3, &item.name);
                self.anchors.insert(link(module, &item.name), anchor);
                self.item(item);
            }
        }
        if !module.workflows.is_empty() {
            self.heading(2, "Workflows");
        }
        for workflow in &module.workflows {
            let anchor = self.heading(3, &workflow.name);
            self.anchors.insert(link(module, &workflow.name), anchor);
            self.workflow(workflow);
        }
    }

    fn paragraph(&mut self, text: Option<&str>) {
        if let Some(text) = text {
            self.text(&format!("{}\n\n", prose(text)));
        }
    }

    fn item(&mut self, item: &Item) {
        self.paragraph(item.doc.as_deref());
        match item.kind {
            Kind::Constant | Kind::Type | Kind::Policy => {
                self.text(&format!("{}\n\n", block("r5flow fragment", &item.text)));
            }
            Kind::Hook => self.text(&format!("{}\n\n", code(&item.text))),
        }
        if !item.uses.is_empty() {
            self.text("Uses ");
            self.links(&item.uses);
            self.text(".\n\n");
        }
    }

    fn links(&mut self, links: &[Link]) {
        for (n, to) in links.iter().enumerate() {
            if n > 0 {
                self.text(", ");
            }
            self.link(code(&to.item), to);
        }
    }

    fn workflow(&mut self, workflow: &Workflow) {
        self.paragraph(workflow.doc.as_deref());
        self.ports("Inputs", &workflow.inputs);
        self.ports("Outputs", &workflow.outputs);
        if !workflow.steps.is_empty() {
            self.text("Steps:\n\n");
            workflow.steps.iter().for_each(|s| self.step(s));
            self.text("\n");
        }
        let list = |names: &[String]| names.iter().map(|n| code(n)).collect::<Vec<_>>().join(", ");
        if !workflow.apis.is_empty() {
            self.text(&format!("Needs {}.\n\n", list(&workflow.apis)));
        }
        if !workflow.destroys.is_empty() {
            self.text(&format!(
                "**Removes** with {}.\n\n",
                list(&workflow.destroys)
            ));
        }
    }

    fn ports(&mut self, title: &str, ports: &[Port]) {
        if ports.is_empty() {
            return;
        }
        self.text(&format!("{title}:\n\n"));
        for port in ports {
            let secret = if port.secret { "secret " } else { "" };
            self.text(&format!("- {}: {secret}", code(&port.name)));
            match port.uses.as_slice() {
                [one] => self.link(code(&port.ty), one),
                _ => self.text(&code(&port.ty)),
            }
            if let Some(default) = &port.default {
                self.text(&format!(" = {}", code(default)));
            }
            if port.uses.len() > 1 {
                self.text(", see ");
                self.links(&port.uses);
            }
            self.remark(port.doc.as_deref());
        }
        self.text("\n");
    }

    /// What is said of an entry of a list, and the end of the entry.
    fn remark(&mut self, doc: Option<&str>) {
        if let Some(doc) = doc {
            let text = prose(doc);
            // A paragraph may follow the entry on its line; a list or code may not.
            let apart = text.starts_with("- ") || text.starts_with("```");
            let lead = if apart { "\n\n" } else { ". " };
            self.text(&indented(&format!("{lead}{text}")));
        }
        self.text("\n");
    }

    fn step(&mut self, step: &Step) {
        self.text(&format!("- {}: {}", code(&step.name), step.does));
        if !step.what.is_empty() {
            self.text(" ");
            match &step.runs {
                Some(to) => self.link(code(&step.what), to),
                None => self.text(&code(&step.what)),
            }
        }
        let own: Vec<&String> = step.calls.iter().filter(|c| **c != step.what).collect();
        if !own.is_empty() {
            let names = own.iter().map(|c| code(last(c)));
            self.text(&format!(" ({})", names.collect::<Vec<_>>().join(", ")));
        }
        for around in &step.around {
            self.text(&format!(", {} {}", around.word, code(&around.what)));
        }
        if !step.undo.is_empty() {
            let names: Vec<String> = step.undo.iter().map(|c| code(last(c))).collect();
            self.text(&format!("; taken back with {}", names.join(", ")));
        }
        self.remark(step.doc.as_deref());
    }
}

/// `insert` of `compute.images.insert`; an HTTP request keeps as it is.
fn last(method: &str) -> &str {
    match method.contains(' ') {
        true => method,
        false => method.rsplit('.').next().unwrap_or(method),
    }
}

/// The lines behind the first belong to the same entry of a list.
fn indented(text: &str) -> String {
    text.lines()
        .enumerate()
        .map(|(n, line)| match (n, line) {
            (0, line) => line.to_owned(),
            (_, "") => "\n".to_owned(),
            (_, line) => format!("\n  {line}"),
        })
        .collect()
}

/// The way from one page to another.
fn relative(from: &str, to: &str) -> String {
    if from == to {
        return String::new();
    }
    let (mut from, mut to): (Vec<&str>, Vec<&str>) =
        (from.split('/').collect(), to.split('/').collect());
    while from.len() > 1 && to.len() > 1 && from[0] == to[0] {
        from.remove(0);
        to.remove(0);
    }
    address(&format!("{}{}", "../".repeat(from.len() - 1), to.join("/")))
}

/// A path as it may stand in a link.
fn address(path: &str) -> String {
    path.bytes()
        .map(|b| match b {
            b'/' | b'.' | b'-' | b'_' => char::from(b).to_string(),
            b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}
