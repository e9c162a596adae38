//! Items and statements.

use super::super::ast::*;
use super::super::grammar::{Pair, Rule, parts};
use super::{Lower, take};
use crate::diag::Code;
use crate::source::Span;

impl Lower<'_> {
    pub fn item(&mut self, pair: Pair) -> Item {
        match pair.as_rule() {
            Rule::workflow => Item::Workflow(self.workflow(pair)),
            Rule::use_item => Item::Use(self.use_item(pair)),
            Rule::let_stmt => Item::Let(self.let_stmt(pair)),
            Rule::type_def => Item::Type(self.type_def(pair)),
            Rule::hook_def => Item::Hook(self.hook_def(pair)),
            Rule::policy => Item::Policy(self.policy(pair)),
            Rule::moved => Item::Moved(self.moved(pair)),
            Rule::test_item => Item::Test(self.test(pair)),
            _ => Item::Broken(Broken {
                name: None,
                span: self.span(&pair),
            }),
        }
    }

    fn workflow(&mut self, pair: Pair) -> Workflow {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone());
        let name = match inner.next() {
            Some(head) => self.workflow_head(head),
            None => self.missing_name(&pair),
        };
        let body = self.optional_block(inner.next(), span);
        Workflow {
            name,
            body,
            doc: self.doc(span),
            span,
        }
    }

    pub fn workflow_head(&mut self, pair: Pair) -> Name {
        let mut inner = parts(pair.clone());
        self.next_name(&pair, &mut inner)
    }

    /// The documentation above a node that was put together from pieces.
    pub fn doc_of(&self, span: Span) -> Doc {
        self.doc(span)
    }

    fn use_item(&mut self, pair: Pair) -> Use {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone()).peekable();
        Use {
            path: self.next_name(&pair, &mut inner),
            alias: take(&mut inner, Rule::ident).map(|p| self.name(&p)),
            names: inner.next().map_or(Vec::new(), |p| self.names(p)),
            span,
        }
    }

    fn type_def(&mut self, pair: Pair) -> TypeDef {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone());
        let name = self.next_name(&pair, &mut inner);
        let ty = self.optional_type(inner.next(), span);
        TypeDef {
            name,
            ty,
            doc: self.doc(span),
            span,
        }
    }

    fn optional_type(&mut self, pair: Option<Pair>, span: Span) -> TypeExpr {
        match pair {
            Some(pair) => self.type_expr(pair, 0),
            None => TypeExpr {
                kind: TypeKind::Broken,
                span,
            },
        }
    }

    fn hook_def(&mut self, pair: Pair) -> HookDef {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone());
        let name = self.next_name(&pair, &mut inner);
        let params = inner.next().map_or(Vec::new(), |p| self.params(p));
        let result = self.optional_type(inner.next(), span);
        let body = match inner.next() {
            Some(raw) if raw.as_rule() == Rule::raw => {
                let place = self.span(&raw);
                HookBody::Inline(self.raw(raw).1, place)
            }
            Some(path) => HookBody::File(self.plain(path, "the path of a hook")),
            None => HookBody::Inline("".into(), span),
        };
        HookDef {
            name,
            params,
            result,
            body,
            doc: self.doc(span),
            span,
        }
    }

    fn moved(&mut self, pair: Pair) -> Moved {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone());
        Moved {
            old: self.next_name(&pair, &mut inner),
            new: self.next_name(&pair, &mut inner),
            span,
        }
    }

    fn params(&mut self, pair: Pair) -> Vec<Param> {
        parts(pair)
            .map(|param| {
                let span = self.span(&param);
                let mut inner = parts(param.clone());
                let name = self.next_name(&param, &mut inner);
                Param {
                    name,
                    ty: self.optional_type(inner.next(), span),
                }
            })
            .collect()
    }

    fn optional_block(&mut self, pair: Option<Pair>, span: Span) -> Block {
        match pair {
            Some(pair) => self.block(pair),
            None => Block {
                stmts: Vec::new(),
                span,
            },
        }
    }

    fn block(&mut self, pair: Pair) -> Block {
        let span = self.span(&pair);
        Block {
            stmts: parts(pair).map(|s| self.stmt(s)).collect(),
            span,
        }
    }

    pub fn stmt(&mut self, pair: Pair) -> Stmt {
        match pair.as_rule() {
            Rule::step => Stmt::Step(self.step(pair)),
            Rule::let_stmt => Stmt::Let(self.let_stmt(pair)),
            Rule::input => Stmt::Input(self.input(pair)),
            Rule::output => Stmt::Output(self.output(pair)),
            Rule::at => Stmt::At(self.at(pair)),
            Rule::assert => Stmt::Assert(self.assert(pair)),
            Rule::checkpoint => Stmt::Checkpoint(self.checkpoint(pair)),
            Rule::for_stmt => Stmt::For(self.for_stmt(pair)),
            Rule::if_stmt => Stmt::If(self.if_stmt(pair)),
            Rule::upon => Stmt::Upon(self.upon(pair)),
            _ => Stmt::Broken(Broken {
                name: None,
                span: self.span(&pair),
            }),
        }
    }

    fn input(&mut self, pair: Pair) -> Input {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone()).peekable();
        let secret = take(&mut inner, Rule::secret).is_some();
        let name = self.next_name(&pair, &mut inner);
        let ty = self.optional_type(inner.next(), span);
        let default = inner.next().map(|p| self.expr(p, 0));
        Input {
            name,
            secret,
            ty,
            default,
            doc: self.doc(span),
            span,
        }
    }

    fn output(&mut self, pair: Pair) -> Output {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone()).peekable();
        let secret = take(&mut inner, Rule::secret).is_some();
        let name = self.next_name(&pair, &mut inner);
        let value = self.optional(inner.next(), span, 0);
        Output {
            name,
            secret,
            value,
            doc: self.doc(span),
            span,
        }
    }

    pub(super) fn let_stmt(&mut self, pair: Pair) -> Let {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone());
        let name = self.next_name(&pair, &mut inner);
        let value = self.optional(inner.next(), span, 0);
        Let {
            name,
            value,
            doc: self.doc(span),
            span,
        }
    }

    fn at(&mut self, pair: Pair) -> At {
        let span = self.span(&pair);
        let fields = parts(pair)
            .next()
            .map_or(Vec::new(), |b| self.object(b, 0).fields);
        At { fields, span }
    }

    fn assert(&mut self, pair: Pair) -> Assert {
        let Guard {
            condition,
            message,
            span,
        } = self.guard(pair);
        Assert {
            condition,
            message,
            span,
        }
    }

    fn checkpoint(&mut self, pair: Pair) -> Checkpoint {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone());
        let name = self.next_name(&pair, &mut inner);
        let mut out = Checkpoint {
            name,
            requires: Vec::new(),
            after: Vec::new(),
            approve: None,
            doc: self.doc(span),
            span,
        };
        for part in inner {
            match part.as_rule() {
                Rule::require_c => out.requires.push(self.guard(part)),
                Rule::after_c => out.after.extend(self.references(part)),
                _ => self.approve(part, &mut out),
            }
        }
        out
    }

    fn approve(&mut self, pair: Pair, checkpoint: &mut Checkpoint) {
        let span = self.span(&pair);
        let text = self.optional(parts(pair).next(), span, 0);
        if let Some(first) = &checkpoint.approve {
            let first = first.span;
            let error = self.error(Code::SYNTAX, span, "a checkpoint has at most one `approve`");
            *error = error
                .clone()
                .related(first, "the first one")
                .help("put both texts into one");
            return;
        }
        checkpoint.approve = Some(text);
    }

    fn for_stmt(&mut self, pair: Pair) -> For {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone());
        let head = inner.next().unwrap_or(pair);
        let mut out = self.for_head(head);
        out.body = self.optional_block(inner.next(), span);
        out.span = span;
        out
    }

    /// A loop whose body is still empty.
    pub fn for_head(&mut self, pair: Pair) -> For {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone()).peekable();
        let first = self.next_name(&pair, &mut inner);
        let second = take(&mut inner, Rule::ident).map(|p| self.name(&p));
        let source = self.optional(inner.next(), span, 0);
        let (mut by, mut limit) = (None, None);
        for part in inner {
            let rule = part.as_rule();
            let value = parts(part).next().map(|p| self.expr(p, 0));
            if rule == Rule::by {
                by = value
            } else {
                limit = value
            }
        }
        For {
            first,
            second,
            source,
            by,
            limit,
            body: Block {
                stmts: Vec::new(),
                span,
            },
            span,
        }
    }

    fn if_stmt(&mut self, pair: Pair) -> If {
        let span = self.span(&pair);
        let mut inner = parts(pair);
        let condition = match inner.next() {
            Some(head) => self.if_head(head),
            None => Expr::new(ExprKind::Broken, span),
        };
        let then = self.optional_block(inner.next(), span);
        let otherwise = inner.next().map(|b| self.block(b));
        If {
            condition,
            then,
            otherwise,
            span,
        }
    }

    pub fn if_head(&mut self, pair: Pair) -> Expr {
        let span = self.span(&pair);
        self.optional(parts(pair).next(), span, 0)
    }

    fn upon(&mut self, pair: Pair) -> Upon {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone());
        let (event, binder) = self.upon_head(inner.next().unwrap_or(pair));
        let body = self.optional_block(inner.next(), span);
        Upon {
            event,
            binder,
            body,
            span,
        }
    }

    pub fn upon_head(&mut self, pair: Pair) -> (Name, Name) {
        let mut inner = parts(pair.clone());
        let event = self.next_name(&pair, &mut inner);
        (event, self.next_name(&pair, &mut inner))
    }
}
