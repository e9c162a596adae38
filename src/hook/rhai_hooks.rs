//! The hooks of a program, compiled when they are first called.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Compiled, Function, HookEngine, Sandbox};
use crate::package::{ModuleId, Program};
use crate::run::{Hooks, Local};
use crate::syntax::ast::{HookBody, HookDef, Item};
use crate::value::Value;

/// How long one call of a hook may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Computes the hooks of one program, by `module:name`.
pub struct RhaiHooks {
    functions: BTreeMap<String, Function>,
    compiled: RefCell<BTreeMap<String, Arc<Compiled>>>,
    engine: HookEngine,
    clock: Arc<Deadline>,
}

/// When the call that runs now must end.
#[derive(Default)]
struct Deadline(std::sync::Mutex<Option<Instant>>);

impl Deadline {
    fn set(&self) {
        if let Ok(mut end) = self.0.lock() {
            *end = Some(Instant::now() + DEADLINE);
        }
    }

    fn passed(&self) -> bool {
        self.0
            .lock()
            .is_ok_and(|end| end.is_some_and(|end| Instant::now() > end))
    }
}

impl RhaiHooks {
    pub fn of(program: &Program) -> Self {
        let mut functions = BTreeMap::new();
        for module in &program.modules {
            for item in &module.file.items {
                if let Item::Hook(def) = item
                    && let Some(text) = text_of(program, module.id, def)
                {
                    let key = format!("{}:{}", module.id.0, def.name.text);
                    functions.insert(key, function(def, &text));
                }
            }
        }
        let clock = Arc::new(Deadline::default());
        let stop = Arc::clone(&clock);
        let engine = HookEngine::new(&Sandbox {
            stop: Some(Arc::new(move || stop.passed())),
            ..Sandbox::default()
        });
        RhaiHooks {
            functions,
            compiled: RefCell::default(),
            engine,
            clock,
        }
    }

    fn compiled(&self, name: &str) -> Result<Arc<Compiled>, String> {
        if let Some(known) = self.compiled.borrow().get(name) {
            return Ok(Arc::clone(known));
        }
        let function = self
            .functions
            .get(name)
            .ok_or("the program has no such hook")?;
        let compiled = Arc::new(self.engine.compile(function).map_err(|e| e.to_string())?);
        let mut all = self.compiled.borrow_mut();
        all.insert(name.to_owned(), Arc::clone(&compiled));
        Ok(compiled)
    }
}

impl Hooks for RhaiHooks {
    /// Runs on this thread: hooks are short by contract, and bounded when they are not.
    fn call(&self, function: &str, args: Vec<Value>) -> Local<'_, Result<Value, String>> {
        let result = self.compiled(function).and_then(|compiled| {
            self.clock.set();
            compiled.call(&args).map_err(|e| e.to_string())
        });
        Box::pin(std::future::ready(result))
    }
}

fn function(def: &HookDef, text: &str) -> Function {
    let params: Vec<&str> = def.params.iter().map(|p| &*p.name.text).collect();
    Function::new(&def.name.text, &params, text)
}

fn text_of(program: &Program, module: ModuleId, def: &HookDef) -> Option<Arc<str>> {
    match &def.body {
        HookBody::Inline(text, _) => Some(Arc::clone(text)),
        HookBody::File(file) => Some(Arc::clone(&program.hook_file(module, &file.text)?.text)),
    }
}

/// Where a hook's text is wrong, and how, for the checker.
pub fn syntax(def: &HookDef, text: &str) -> Option<(Range<usize>, String)> {
    let engine = HookEngine::new(&Sandbox::default());
    let error = engine.compile(&function(def, text)).err()?;
    let at = error.offset_in(text).unwrap_or(0);
    let end = text[at..]
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(0);
    Some((at..at + end.max(1), error.message.clone()))
}
