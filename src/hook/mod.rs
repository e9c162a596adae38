//! Hooks: small pure functions in rhai, shut into a box.
//!
//! A hook's body is a script whose scope holds its parameters; the value of its last expression is
//! the result. It sees no files, no network, no clock, no randomness and no other script, so the
//! same text and arguments always give the same result.

mod convert;
mod error;
pub mod rhai_hooks;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicFnPackage, BasicIteratorPackage, BasicMapPackage,
    BasicMathPackage, BasicStringPackage, LogicPackage, MoreStringPackage, Package,
};
use rhai::{AST, Dynamic, Engine, EvalAltResult, Position, Scope};

pub use error::{HookError, HookErrorKind};

use crate::value::Value;

/// A hook as the flow's author wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: Arc<str>,
    pub params: Vec<Arc<str>>,
    /// rhai.
    pub source: Arc<str>,
    /// Over parameters and source: equal hashes and equal arguments give equal results.
    pub text_hash: String,
}

impl Function {
    pub fn new(name: &str, params: &[&str], source: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        for text in params.iter().chain([&source]) {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        Function {
            name: name.into(),
            params: params.iter().map(|p| Arc::from(*p)).collect(),
            source: source.into(),
            text_hash: hasher.finalize().to_hex().to_string(),
        }
    }
}

/// Asked every thousand operations; true ends the call. The caller decides by its own clock, or by
/// a signal: the engine never looks at a clock.
pub type Stop = Arc<dyn Fn() -> bool + Send + Sync>;

/// The walls of the box. Every limit is above zero; a zero is taken as one.
#[derive(Clone)]
pub struct Sandbox {
    /// Steps of evaluation in one call: a million take about a tenth of a second.
    pub max_operations: u64,
    /// Nested calls of the script's own functions.
    pub max_depth: usize,
    /// Bytes of all text in one value.
    pub max_string: usize,
    /// Items in one value, nested lists included. Every change of a list counts its items anew, so
    /// this bounds the time of a step.
    pub max_array: usize,
    /// Fields in one value, nested objects included.
    pub max_map: usize,
    /// A deadline or a cancel; none by default, since the operations bound the time as well.
    pub stop: Option<Stop>,
}

impl Default for Sandbox {
    fn default() -> Self {
        Sandbox {
            max_operations: 1_000_000,
            max_depth: 24,
            max_string: 1024 * 1024,
            max_array: 10_000,
            max_map: 10_000,
            stop: None,
        }
    }
}

/// How often [`Sandbox::stop`] is asked.
const STOP_EVERY: u64 = 1000;
/// Nesting of expressions and blocks in the text.
const MAX_EXPRESSION_DEPTH: usize = 48;
const MAX_VARIABLES: usize = 500;
const MAX_FUNCTIONS: usize = 100;

/// What reaches out of the box, or makes text into code.
const FORBIDDEN: &[&str] = &["eval", "import", "export", "print", "debug"];

/// Compiles hooks; one for all of them, since building it costs more than thousands of calls.
#[derive(Clone)]
pub struct HookEngine {
    engine: Arc<Engine>,
}

impl HookEngine {
    pub fn new(sandbox: &Sandbox) -> Self {
        let mut engine = Engine::new_raw();
        // Not among them: the language core, whose `sleep` blocks, and time.
        ArithmeticPackage::new().register_into_engine(&mut engine);
        LogicPackage::new().register_into_engine(&mut engine);
        BasicStringPackage::new().register_into_engine(&mut engine);
        MoreStringPackage::new().register_into_engine(&mut engine);
        BasicIteratorPackage::new().register_into_engine(&mut engine);
        BasicFnPackage::new().register_into_engine(&mut engine);
        BasicMathPackage::new().register_into_engine(&mut engine);
        BasicArrayPackage::new().register_into_engine(&mut engine);
        BasicMapPackage::new().register_into_engine(&mut engine);
        engine.register_fn("parse_json", convert::parse_json);
        for symbol in FORBIDDEN {
            engine.disable_symbol(*symbol);
        }
        engine.set_strict_variables(true);
        engine.set_max_operations(sandbox.max_operations.max(1));
        engine.set_max_call_levels(sandbox.max_depth.max(1));
        engine.set_max_expr_depths(MAX_EXPRESSION_DEPTH, MAX_EXPRESSION_DEPTH);
        engine.set_max_string_size(sandbox.max_string.max(1));
        engine.set_max_array_size(sandbox.max_array.max(1));
        engine.set_max_map_size(sandbox.max_map.max(1));
        engine.set_max_variables(MAX_VARIABLES);
        engine.set_max_functions(MAX_FUNCTIONS);
        engine.set_max_modules(0);
        if let Some(stop) = sandbox.stop.clone() {
            engine.on_progress(move |operations| {
                (operations % STOP_EVERY == 0 && stop()).then_some(Dynamic::UNIT)
            });
        }
        HookEngine {
            engine: Arc::new(engine),
        }
    }

    /// Reads a hook's text; unknown names are found here, not in a run.
    pub fn compile(&self, function: &Function) -> Result<Compiled, HookError> {
        let mut scope = Scope::new();
        for param in &function.params {
            scope.push_dynamic(param.to_string(), Dynamic::UNIT);
        }
        let ast = self
            .engine
            .compile_with_scope(&scope, &*function.source)
            .map_err(|e| HookError::syntax(&function.name, &e))?;
        Ok(Compiled {
            function: function.clone(),
            engine: Arc::clone(&self.engine),
            ast,
        })
    }
}

/// A hook that can be called any number of times.
pub struct Compiled {
    function: Function,
    engine: Arc<Engine>,
    ast: AST,
}

impl Compiled {
    pub fn function(&self) -> &Function {
        &self.function
    }

    /// Calls the hook with one value for each parameter.
    ///
    /// Into the script: null is `()`, durations are seconds (whole ones as integers), percentages
    /// their number as a float (`60%` is 60.0), sizes bytes, objects are sorted by key. Out of it:
    /// what JSON can express, up to about 1 MiB; everything else is an error.
    pub fn call(&self, args: &[Value]) -> Result<Value, HookError> {
        let name = &self.function.name;
        let params = &self.function.params;
        if args.len() != params.len() {
            let message = format!("expected {} arguments, got {}", params.len(), args.len());
            return Err(HookError::new(name, HookErrorKind::Arguments, message));
        }
        let mut scope = Scope::new();
        for (param, arg) in params.iter().zip(args) {
            let value = convert::to_dynamic(arg).map_err(|what| {
                let message = format!("`{param}` {what}");
                HookError::new(name, HookErrorKind::Arguments, message)
            })?;
            scope.push_dynamic(param.as_ref(), value);
        }
        let result = self
            .evaluate(&mut scope)
            .map_err(|e| HookError::runtime(name, *e))?;
        convert::to_value(&result).map_err(|what| {
            HookError::new(name, HookErrorKind::Result, format!("the result {what}"))
        })
    }

    /// A comparison function that contradicts itself makes the standard library's sort panic.
    fn evaluate(&self, scope: &mut Scope<'_>) -> Result<Dynamic, Box<EvalAltResult>> {
        catch_unwind(AssertUnwindSafe(|| {
            self.engine.eval_ast_with_scope::<Dynamic>(scope, &self.ast)
        }))
        .unwrap_or_else(|_| {
            let message =
                "a built-in function failed; does a comparison for `sort` contradict itself?";
            Err(EvalAltResult::ErrorRuntime(message.into(), Position::NONE).into())
        })
    }
}
