//! What is declared and never used.

use super::Checker;
use super::names::{Global, Meaning};
use crate::diag::{Code, Diagnostic};
use crate::package::ModuleId;
use crate::syntax::ast::{self, Item};

impl Checker<'_, '_> {
    /// Inputs, `let`s and imports that nothing refers to. A name that begins with `_` is meant so;
    /// where the text did not parse, nothing is certain.
    pub(super) fn unused(&mut self) {
        let mut findings = Vec::new();
        for flow in &self.names.flows {
            let module = self.names.program.module(flow.module);
            if module.path.starts_with("stdlib/")
                || flow
                    .symbols()
                    .any(|(_, s)| matches!(s.meaning, Meaning::Unknown))
            {
                continue;
            }
            for (name, symbol) in flow.symbols() {
                if self.used.contains(&symbol.span) || name.starts_with('_') {
                    continue;
                }
                match symbol.meaning {
                    Meaning::Input(_) => findings.push(
                        Diagnostic::warning(
                            Code::UNUSED_INPUT,
                            symbol.span,
                            format!("the input `{name}` is never used"),
                        )
                        .help("remove it, or begin its name with `_`"),
                    ),
                    Meaning::Let(_) => findings.push(
                        Diagnostic::warning(
                            Code::UNUSED_LET,
                            symbol.span,
                            format!("`{name}` is never used"),
                        )
                        .help("remove it, or begin its name with `_`"),
                    ),
                    _ => {}
                }
            }
        }
        for module in &self.names.program.modules {
            if !module.path.starts_with("stdlib/") {
                let imports = module.file.items.iter().filter_map(|item| match item {
                    Item::Use(used) => Some(used),
                    _ => None,
                });
                imports.for_each(|used| self.unused_imports(module.id, used, &mut findings));
            }
        }
        findings.into_iter().for_each(|d| self.sink.push(d));
    }

    fn unused_imports(&self, module: ModuleId, used: &ast::Use, findings: &mut Vec<Diagnostic>) {
        let mut report = |name: &ast::Name| {
            findings.push(
                Diagnostic::warning(
                    Code::UNUSED_IMPORT,
                    name.span,
                    format!("`{}` is imported and never used", name.text),
                )
                .help("remove it from the `use`"),
            );
        };
        for name in &used.names {
            let declared = match self.names.global(module, &name.text) {
                Some(Global::Let(_, l)) => l.name.span,
                Some(Global::Type(_, t)) => t.name.span,
                Some(Global::Hook(_, h)) => h.name.span,
                Some(Global::Policy(..)) => continue,
                Some(Global::Workflow(id)) => self.names.flow(id).ast.name.span,
                Some(Global::Module(_) | Global::Unknown) | None => continue,
            };
            if !self.used.contains(&declared) {
                report(name);
            }
        }
        if let Some(alias) = &used.alias
            && matches!(
                self.names.global(module, &alias.text),
                Some(Global::Module(_))
            )
            && !self.used.contains(&alias.span)
        {
            report(alias);
        }
    }

    /// Something refers to a module by its alias.
    pub(super) fn mark_import(&mut self, module: ModuleId, alias: &str) {
        for item in &self.names.program.module(module).file.items {
            if let Item::Use(ast::Use {
                alias: Some(name), ..
            }) = item
                && *name.text == *alias
            {
                self.used.insert(name.span);
            }
        }
    }
}
