//! What an expression of a test sees: the names of the test, the cloud, and the constants of its module.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::view;
use crate::catalog::Catalog;
use crate::check::names::{Global, Names};
use crate::check::test_blocks::CLOUD;
use crate::eval::{self, EvalError, Evaluated, Scope};
use crate::package::ModuleId;
use crate::sim::Sim;
use crate::source::Span;
use crate::syntax::ast::Expr;
use crate::value::Value;

/// What a test knows so far.
pub(super) struct Seen {
    catalog: Catalog,
    pub names: BTreeMap<Arc<str>, Value>,
    cloud: OnceCell<Value>,
    world: Option<Sim>,
}

impl Seen {
    pub fn new(catalog: Catalog) -> Seen {
        Seen {
            catalog,
            names: BTreeMap::new(),
            cloud: OnceCell::new(),
            world: None,
        }
    }

    /// Something happened in the cloud.
    pub fn moved(&mut self, world: &Sim) {
        self.world = Some(world.clone());
        self.cloud = OnceCell::new();
    }

    fn cloud(&self) -> Value {
        let look = || match &self.world {
            Some(world) => view::of_cloud(&self.catalog, world),
            None => Value::Null,
        };
        self.cloud.get_or_init(look).clone()
    }
}

/// A place in a test, or, without `seen`, at the top level of a module.
pub(super) struct InTest<'a, 'p> {
    pub names: &'a Names<'p>,
    pub module: ModuleId,
    pub seen: Option<&'a Seen>,
}

impl InTest<'_, '_> {
    fn constant(&self, module: ModuleId, name: &str) -> Option<Evaluated> {
        match self.names.global(module, name)? {
            Global::Let(module, l) => Some(eval::eval(
                &l.value,
                &InTest {
                    names: self.names,
                    module,
                    seen: None,
                },
            )),
            _ => None,
        }
    }
}

impl Scope for InTest<'_, '_> {
    fn name(&self, name: &str, span: Span) -> Evaluated {
        if let Some(seen) = self.seen {
            if name == CLOUD {
                return Ok(seen.cloud());
            }
            if let Some(value) = seen.names.get(name) {
                return Ok(value.clone());
            }
        }
        self.constant(self.module, name).unwrap_or_else(|| {
            let message = format!("nothing here is called `{name}`");
            Err(EvalError::new(span, message).into())
        })
    }

    fn member(&self, base: &str, member: &str, _: Span) -> Option<Evaluated> {
        if self.seen.is_some_and(|s| s.names.contains_key(base)) {
            return None;
        }
        match self.names.global(self.module, base)? {
            Global::Module(library) => self.constant(library, member),
            _ => None,
        }
    }

    fn hook(&self, _: &str, _: &[Value]) -> Option<Evaluated> {
        None
    }

    fn fresh(&self, step: &Expr) -> Evaluated {
        Err(EvalError::new(step.span, "a test reads nothing afresh: use `cloud`").into())
    }
}

/// A scope in which an element of a list or a map has a name.
pub(super) struct Bound<'a> {
    pub outer: &'a dyn Scope,
    pub names: [Option<(&'a str, Value)>; 2],
}

impl Scope for Bound<'_> {
    fn name(&self, name: &str, span: Span) -> Evaluated {
        let mut bound = self.names.iter().flatten();
        match bound.find(|(n, _)| *n == name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.outer.name(name, span),
        }
    }

    fn member(&self, base: &str, member: &str, span: Span) -> Option<Evaluated> {
        let mut bound = self.names.iter().flatten();
        match bound.any(|(n, _)| *n == base) {
            true => None,
            false => self.outer.member(base, member, span),
        }
    }

    fn hook(&self, name: &str, args: &[Value]) -> Option<Evaluated> {
        self.outer.hook(name, args)
    }

    fn fresh(&self, step: &Expr) -> Evaluated {
        self.outer.fresh(step)
    }
}
