//! The arguments of a call: which parameter each one is, and what `at` gives (rules C1, C2).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Checker;
use super::facts::key;
use super::names::{BlockId, Flow};
use super::scope::Scope;
use super::want::Want;
use crate::catalog::{Collection, FullName, InsertId, Method, Param, Place, Schema};
use crate::diag::{Code, Diagnostic, nearest};
use crate::source::Span;
use crate::syntax::ast::{self, ApiCall, Arg, Expr, Field, Key, Stmt};
use crate::types::Type;

/// The parameters that `at` may give.
pub(super) const LOCATIONS: [&str; 4] = ["project", "region", "zone", "location"];

/// What `at` gives in a block: the value and the block of the `at`.
pub(super) type Locations<'p> = BTreeMap<Arc<str>, (&'p Expr, BlockId)>;

/// The parameters of a call, from all methods that the step may use.
pub(super) struct Signature {
    /// `compute.images`, for messages.
    what: Arc<str>,
    /// The parameter of the positional argument.
    id: Option<Arc<str>>,
    params: Vec<Param>,
    /// Parts of full names: `project`, `location`, and the id.
    parts: Vec<Arc<str>>,
    /// Every one of these sets has to be given, each as one of its alternatives.
    needed: Vec<Needed>,
    request: Option<Arc<Schema>>,
    /// Parameters that tell one resource from another.
    pub identity: Vec<Arc<str>>,
}

struct Needed {
    name: Arc<str>,
    /// The parts that make it up, when it is a full name.
    parts: Vec<Arc<str>>,
}

impl<'p> Checker<'_, 'p> {
    /// What `at` says in a block and around it.
    pub(super) fn locations(&mut self, flow: &Flow<'p>, block: BlockId) -> Arc<Locations<'p>> {
        if let Some(known) = self.locations.get(&(flow.id, block)) {
            return Arc::clone(known);
        }
        let mut found = Locations::new();
        for id in flow.ancestry(block) {
            for stmt in flow.block(id).stmts {
                let Stmt::At(at) = stmt else { continue };
                for field in &at.fields {
                    if let Field::Pair {
                        key: Key::Name(name),
                        value,
                        ..
                    } = field
                    {
                        found.entry(Arc::clone(&name.text)).or_insert((value, id));
                    }
                }
            }
        }
        let found = Arc::new(found);
        self.locations.insert((flow.id, block), Arc::clone(&found));
        found
    }

    /// Checks an `at` statement by itself.
    pub(super) fn at(&mut self, flow: &Flow<'p>, block: BlockId, at: &'p ast::At) {
        let mut scope = self.plain_scope(flow, block);
        for field in &at.fields {
            let Field::Pair {
                key: Key::Name(name),
                value,
                ..
            } = field
            else {
                self.report(
                    Diagnostic::error(
                        Code::BAD_LOCATION,
                        at.span,
                        "`at` takes names, no spreads and no computed keys",
                    )
                    .help("write `at { project, region: \"us-central1\" }`"),
                );
                continue;
            };
            if !LOCATIONS.contains(&&*name.text) {
                let finding = Diagnostic::error(
                    Code::BAD_LOCATION,
                    name.span,
                    format!("`at` gives no `{}`", name.text),
                );
                self.report(match nearest(&name.text, LOCATIONS) {
                    Some(near) => finding
                        .help(format!("did you mean `{near}`?"))
                        .fix(name.span, near),
                    None => finding.help(
                        "it gives `project`, `region`, `zone` and `location`; everything else is an argument of its step",
                    ),
                });
                self.quietly(|c| c.infer(value, &mut scope));
                continue;
            }
            let mut want = Want::declared(&name.text, Type::STR);
            want.unset = false;
            self.fit(value, &want, &mut scope);
            let ty = self.quietly(|c| c.infer(value, &mut scope));
            if ty.holds_secret() {
                self.leak(
                    value.span,
                    "a location",
                    "locations are in names, plans and reports",
                );
            }
        }
        self.second_at(flow, block, at);
    }

    fn second_at(&mut self, flow: &Flow<'p>, block: BlockId, at: &ast::At) {
        let named = |at: &'_ ast::At| -> Vec<ast::Name> {
            at.fields
                .iter()
                .filter_map(|f| match f {
                    Field::Pair {
                        key: Key::Name(name),
                        ..
                    } => Some(name.clone()),
                    _ => None,
                })
                .collect()
        };
        let before = flow.block(block).stmts.iter().filter_map(|s| match s {
            Stmt::At(other) if other.span.start <= at.span.start => Some(other),
            _ => None,
        });
        let earlier: Vec<ast::Name> = before.flat_map(named).collect();
        for name in named(at) {
            let first = earlier
                .iter()
                .find(|n| n.text == name.text && n.span.start < name.span.start);
            if let Some(first) = first {
                self.report(
                    Diagnostic::error(
                        Code::BAD_LOCATION,
                        name.span,
                        format!("`at` gives `{}` twice in this block", name.text),
                    )
                    .related(first.span, "given here first")
                    .help("one of them is enough; another value belongs in a block of its own, or in the arguments"),
                );
            }
        }
    }

    pub(super) fn method_signature(&self, method: &Method) -> Signature {
        let collection = self.catalog.collection(&method.collection);
        let parts = method.parts();
        let known = |name: &Arc<str>| method.param(name).is_some() || parts.contains(name);
        let fallback = || match collection.as_ref().and_then(|c| c.get.as_ref()) {
            Some(_) => None,
            None => method.path_params().last().map(|p| Arc::clone(&p.name)),
        };
        let id = collection
            .as_ref()
            .and_then(|c| c.id.clone())
            .filter(known)
            .or_else(fallback)
            .filter(|name| !LOCATIONS.contains(&&**name));
        Signature {
            what: Arc::clone(&method.id),
            id,
            needed: needed(method),
            params: method.params.clone(),
            parts,
            request: method
                .request
                .as_ref()
                .and_then(|id| self.catalog.schema(id)),
            identity: Vec::new(),
        }
    }

    /// `read COLLECTION(…)` and `ensure COLLECTION(…)`.
    pub(super) fn collection_signature(&self, collection: &Collection, writes: bool) -> Signature {
        let mut signature = Signature {
            what: Arc::clone(&collection.path),
            id: collection.id.clone(),
            params: Vec::new(),
            parts: Vec::new(),
            needed: Vec::new(),
            request: None,
            identity: collection
                .identity
                .iter()
                .map(|i| Arc::clone(&i.name))
                .collect(),
        };
        let writing = [
            &collection.insert,
            &collection.patch,
            &collection.update,
            &collection.delete,
        ];
        let reading = collection.get.iter();
        let methods: Vec<&Arc<Method>> = match writes {
            false => reading.collect(),
            true => reading.chain(writing.into_iter().flatten()).collect(),
        };
        for (n, method) in methods.into_iter().enumerate() {
            if n == 0 {
                signature.needed = needed(method);
            }
            for param in &method.params {
                let known = signature.params.iter().any(|p| p.name == param.name);
                // Path parameters of other methods are names for the same thing.
                if !known && (n == 0 || param.place == Place::Query) {
                    signature.params.push(param.clone());
                }
            }
            for part in method.parts() {
                if !signature.parts.contains(&part) {
                    signature.parts.push(part);
                }
            }
        }
        if writes && let Some(insert) = &collection.insert {
            signature.request = insert
                .request
                .as_ref()
                .and_then(|id| self.catalog.schema(id));
        }
        signature
    }

    /// Checks the arguments; gives the text of each parameter's value, as far as one can compare it.
    pub(super) fn arguments(
        &mut self,
        flow: &Flow<'p>,
        call: &'p ApiCall,
        signature: &Signature,
        scope: &mut Scope,
    ) -> BTreeMap<Arc<str>, String> {
        let mut given: BTreeMap<Arc<str>, String> = BTreeMap::new();
        let mut places: BTreeMap<Arc<str>, Span> = BTreeMap::new();
        let mut wrong = false;
        let mut positional = 0;
        for arg in &call.args {
            let name = match &arg.name {
                Some(name) => self.named(name, signature),
                None => {
                    positional += 1;
                    self.positional(arg, positional, signature)
                }
            };
            let Some(name) = name else {
                wrong = true;
                self.quietly(|c| c.infer_item(&arg.value, scope));
                continue;
            };
            let at = arg.name.as_ref().map_or(arg.value.span, |n| n.span);
            if let Some(first) = places.insert(Arc::clone(&name), at) {
                self.report(
                    Diagnostic::error(
                        Code::UNKNOWN_PARAMETER,
                        at,
                        format!("`{name}` is given twice"),
                    )
                    .related(first, "given here first"),
                );
                continue;
            }
            self.argument(&name, arg, signature, scope);
            given.insert(name, key(&arg.value, &scope.binders));
        }
        self.defaults(flow, signature, scope, &mut given);
        let missing: Vec<&Needed> = signature
            .needed
            .iter()
            .filter(|n| !n.is_met(&given))
            .collect();
        // A wrong argument was meant to be one of those that are missing now.
        if !wrong && !missing.is_empty() {
            self.missing_parameters(call, signature, &missing, &given);
        }
        given
    }

    fn argument(
        &mut self,
        name: &Arc<str>,
        arg: &'p Arg,
        signature: &Signature,
        scope: &mut Scope,
    ) {
        let param = signature.params.iter().find(|p| p.name == *name);
        let want = match param {
            Some(param) if signature.is_short(param, &arg.value) => Want::declared(name, Type::STR),
            Some(param) => {
                if param.deprecated {
                    let at = arg.name.as_ref().map_or(arg.value.span, |n| n.span);
                    let message = format!("the parameter `{name}` is deprecated");
                    self.report(Diagnostic::warning(Code::DEPRECATED, at, message));
                }
                self.want_param(param)
            }
            None => Want::declared(name, Type::STR),
        };
        match param.filter(|p| p.full_name.is_some()) {
            Some(_) => self.full_name(name, arg, &want, scope),
            None => self.fit(&arg.value, &want, scope),
        }
        let path = param.is_none_or(|p| p.place == Place::Path);
        if path {
            let ty = self.quietly(|c| c.infer_item(&arg.value, scope));
            if ty.holds_secret() {
                self.leak(
                    arg.value.span,
                    "part of a name",
                    "names are in addresses, plans and reports",
                );
            }
        }
    }

    /// A full resource name: whole, which has to match, or the id alone.
    fn full_name(&mut self, name: &Arc<str>, arg: &'p Arg, want: &Want, scope: &mut Scope) {
        self.fit(&arg.value, &Want::declared(name, Type::STR), scope);
        let ty = self.quietly(|c| c.infer_item(&arg.value, scope));
        if let Type::Literal(text) = &ty
            && text.contains('/')
        {
            self.fits(&ty, want, arg.value.span);
        }
    }

    fn named(&mut self, name: &ast::Name, signature: &Signature) -> Option<Arc<str>> {
        if signature.knows(&name.text) {
            return Some(Arc::clone(&name.text));
        }
        let finding = Diagnostic::error(
            Code::UNKNOWN_PARAMETER,
            name.span,
            format!("`{}` has no parameter `{}`", signature.what, name.text),
        );
        let in_body = signature
            .request
            .as_ref()
            .is_some_and(|s| s.field(&name.text).is_some());
        let known = signature.names();
        self.report(if in_body {
            finding.help("it is a field of the body: write it in the braces")
        } else if let Some(near) = nearest(&name.text, known.iter().map(|n| &**n)) {
            finding
                .help(format!("did you mean `{near}`?"))
                .fix(name.span, near)
        } else {
            finding.help(format!(
                "`r5flow catalog {}` lists its parameters",
                signature.what
            ))
        });
        None
    }

    fn positional(&mut self, arg: &Arg, count: u32, signature: &Signature) -> Option<Arc<str>> {
        if count == 1
            && let Some(id) = &signature.id
        {
            return Some(Arc::clone(id));
        }
        // `(name, region)`: a name that is itself a parameter.
        if let ast::ExprKind::Name(name) = &*arg.value.kind
            && count > 1
            && signature.knows(name)
        {
            return Some(Arc::clone(name));
        }
        let finding = match &signature.id {
            Some(id) => Diagnostic::error(
                Code::UNKNOWN_PARAMETER,
                arg.value.span,
                format!("only the first argument has no name: it is `{id}`"),
            ),
            None => Diagnostic::error(
                Code::UNKNOWN_PARAMETER,
                arg.value.span,
                format!("`{}` takes no argument without a name", signature.what),
            ),
        };
        self.report(finding.help("write the name of the parameter before it: `zone: …`"));
        None
    }

    /// What `at` gives, where no argument does.
    fn defaults(
        &mut self,
        flow: &Flow<'p>,
        signature: &Signature,
        scope: &Scope,
        given: &mut BTreeMap<Arc<str>, String>,
    ) {
        let locations = self.locations(flow, scope.block);
        for (name, (value, home)) in locations.iter() {
            if given.contains_key(name) || !signature.knows(name) {
                continue;
            }
            let mut at = self.block_scope(flow, *home);
            // The value was checked at the `at`; here it only gives the step its order.
            self.quietly(|c| c.infer(value, &mut at));
            given.insert(Arc::clone(name), key(value, &at.binders));
        }
        // What did not parse may have been the `at`.
        let unread = flow.ancestry(scope.block).any(|id| {
            let stmts = flow.block(id).stmts;
            stmts.iter().any(|s| matches!(s, Stmt::Broken(_)))
        });
        if unread {
            for name in LOCATIONS.iter().filter(|n| signature.knows(n)) {
                given.entry(Arc::from(*name)).or_default();
            }
        }
    }

    fn missing_parameters(
        &mut self,
        call: &ApiCall,
        signature: &Signature,
        missing: &[&Needed],
        given: &BTreeMap<Arc<str>, String>,
    ) {
        let mut names: Vec<Arc<str>> = Vec::new();
        for needed in missing {
            let open: Vec<&Arc<str>> = match needed.parts.is_empty() {
                true => vec![&needed.name],
                false => needed
                    .parts
                    .iter()
                    .filter(|p| !given.contains_key(*p))
                    .filter(|p| {
                        let id = needed.parts.last() == Some(*p);
                        !(id && given.contains_key(&needed.name))
                    })
                    .collect(),
            };
            for name in open {
                if !names.contains(name) {
                    names.push(Arc::clone(name));
                }
            }
        }
        let list: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
        let at: Vec<&str> = names
            .iter()
            .map(|n| &**n)
            .filter(|n| LOCATIONS.contains(n))
            .collect();
        let span = match call.path.last() {
            Some(last) if call.args.is_empty() => last.span,
            _ => call.args_span,
        };
        let finding = Diagnostic::error(
            Code::MISSING_PARAMETER,
            span,
            format!("`{}` needs {}", signature.what, list.join(", ")),
        );
        self.report(match (at.first(), &signature.id) {
            (Some(first), _) => finding.help(format!(
                "give it here, `{first}: …`, or for the whole block: `at {{ {} }}`",
                at.join(", ")
            )),
            (None, Some(id)) if names.contains(id) => {
                finding.help(format!("the first argument is `{id}`"))
            }
            (None, _) => finding.help(format!("add `{}: …`", names.first().map_or("", |n| n))),
        });
    }
}

impl Signature {
    fn knows(&self, name: &str) -> bool {
        self.params.iter().any(|p| &*p.name == name) || self.parts.iter().any(|p| &**p == name)
    }

    /// Whether a value is only the last part of a full name (rule C1): `topics("news")`, where the
    /// parameter is `projects/p/topics/news`.
    fn is_short(&self, param: &Param, value: &Expr) -> bool {
        let full = match &*value.kind {
            ast::ExprKind::Str(parts) => parts
                .iter()
                .any(|p| matches!(p, ast::StrPart::Text(text) if text.contains('/'))),
            _ => false,
        };
        let ends_in_it = |f: &Arc<FullName>| f.values().any(|v| *v == param.name);
        param.full_name.as_ref().is_some_and(ends_in_it) && !full
    }

    /// Besides what a read needs: what only the creation asks for, in its query.
    pub(super) fn creates(&mut self, collection: &Collection) {
        let Some(insert) = &collection.insert else {
            return;
        };
        let by_id = |p: &Param| match &collection.insert_id {
            InsertId::QueryParam(name) => *name == p.name,
            _ => false,
        };
        let more = insert
            .params
            .iter()
            .filter(|p| p.required && p.place == Place::Query && !by_id(p));
        for param in more {
            if self.needed.iter().all(|n| n.name != param.name) {
                self.needed.push(Needed {
                    name: Arc::clone(&param.name),
                    parts: Vec::new(),
                });
            }
        }
    }

    fn names(&self) -> Vec<Arc<str>> {
        let params = self.params.iter().map(|p| Arc::clone(&p.name));
        params.chain(self.parts.iter().cloned()).collect()
    }
}

impl Needed {
    fn is_met(&self, given: &BTreeMap<Arc<str>, String>) -> bool {
        let has = |parts: &[Arc<str>]| parts.iter().all(|p| given.contains_key(p));
        match (given.get(&self.name), self.parts.split_last()) {
            // A text without a slash is the id alone: the rest of the name has to come from parts.
            (Some(value), Some((_, rest))) => {
                !value.starts_with('"') || value.contains('/') || has(rest)
            }
            (Some(_), None) => true,
            (None, Some(_)) => has(&self.parts),
            (None, None) => false,
        }
    }
}

fn needed(method: &Method) -> Vec<Needed> {
    method
        .params
        .iter()
        .filter(|p| p.required)
        .map(|p| Needed {
            name: Arc::clone(&p.name),
            parts: match &p.full_name {
                Some(full) => full.values().cloned().collect(),
                None => Vec::new(),
            },
        })
        .collect()
}
