//! What a module offers: the names that others may take over, with what they take and give.

use super::content::Content;
use crate::source::{Source, SourceMap};
use crate::syntax::{self, ast};

/// A name that a module offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    pub name: String,
    /// `workflow take(project: string, size?: int) → image`
    pub signature: String,
    /// The first line of its documentation.
    pub doc: Option<String>,
}

/// What an exported module of a library offers, in the order of its text.
pub fn interface(content: &Content, module: &str) -> Vec<Offered> {
    let name = format!("{module}.r5flow");
    let Some(text) = content.get(&name) else {
        return Vec::new();
    };
    let source = SourceMap::default().add(name, text);
    let parsed = syntax::parse(&source);
    parsed
        .file
        .items
        .iter()
        .filter_map(|item| offered(item, &source))
        .collect()
}

fn offered(item: &ast::Item, source: &Source) -> Option<Offered> {
    let (name, signature, doc) = match item {
        ast::Item::Let(l) => (&l.name, format!("let {}", l.name.text), &l.doc),
        ast::Item::Type(t) => (&t.name, format!("type {}", t.name.text), &t.doc),
        ast::Item::Hook(h) => (&h.name, format!("hook {}", h.name.text), &h.doc),
        ast::Item::Workflow(w) => (&w.name, workflow(w, source), &w.doc),
        ast::Item::Policy(p) => (&p.name, format!("policy {}", p.name.text), &p.doc),
        ast::Item::Use(_) | ast::Item::Moved(_) | ast::Item::Test(_) | ast::Item::Broken(_) => {
            return None;
        }
    };
    Some(Offered {
        name: name.text.to_string(),
        signature,
        doc: doc
            .as_ref()
            .and_then(|d| d.lines().next())
            .map(|line| line.trim().to_owned()),
    })
}

fn workflow(workflow: &ast::Workflow, source: &Source) -> String {
    let stmts = &workflow.body.stmts;
    let inputs: Vec<String> = stmts
        .iter()
        .filter_map(|stmt| match stmt {
            ast::Stmt::Input(input) => Some(input),
            _ => None,
        })
        .map(|input| {
            let secret = if input.secret { "secret " } else { "" };
            let may = if input.default.is_some() { "?" } else { "" };
            let ty = source
                .text
                .get(input.ty.span.start as usize..input.ty.span.end as usize);
            let ty = ty
                .unwrap_or_default()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            format!("{secret}{}{may}: {ty}", input.name.text)
        })
        .collect();
    let outputs: Vec<&str> = stmts
        .iter()
        .filter_map(|stmt| match stmt {
            ast::Stmt::Output(output) => Some(&*output.name.text),
            _ => None,
        })
        .collect();
    let gives = if outputs.is_empty() {
        String::new()
    } else {
        format!(" → {}", outputs.join(", "))
    };
    format!(
        "workflow {}({}){gives}",
        workflow.name.text,
        inputs.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::package::content::MANIFEST;

    #[test]
    fn a_workflow_tells_what_it_takes_and_gives() {
        let text = "/// Takes an image.\n/// More of it.\nworkflow take {\n  input project: string\n  input size: int(1..) = 5\n  \
                    secret input key: string\n  output image = project\n}\n\nuse ./x { y }\nlet word = \"a\"\n";
        let files = [(MANIFEST, ""), ("image.r5flow", text)];
        let files = files
            .into_iter()
            .map(|(n, t)| (n.to_owned(), t.as_bytes().to_vec()));
        let content = Content::new(files.collect::<BTreeMap<_, _>>()).expect("a content");
        let offered = interface(&content, "image");
        assert_eq!(offered.len(), 2);
        assert_eq!(
            offered[0].signature,
            "workflow take(project: string, size?: int(1..), secret key: string) → image"
        );
        assert_eq!(offered[0].doc.as_deref(), Some("Takes an image."));
        assert_eq!(
            (offered[1].name.as_str(), offered[1].signature.as_str()),
            ("word", "let word")
        );
        assert!(interface(&content, "other").is_empty());
    }
}
