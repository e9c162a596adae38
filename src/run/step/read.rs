//! `read`: any method that changes nothing; recorded once for the run.

use serde_json::Value as Json;

use super::super::plan_item::PlanAction;
use super::cx::{Cx, Halt, It, Stepped};
use super::target::{self, Target};
use super::{Result, clauses, read_verdict};
use crate::catalog::{Method, coerce, request};
use crate::journal::Reason;
use crate::syntax::ast::{ApiCall, Decision, OnOutcome, Step};
use crate::value::Value;
use crate::wire::Request;
use crate::wire::error::ErrorClass;

pub async fn read<'p>(cx: &Cx<'p>, step: &'p Step, call: &'p ApiCall) -> Result<Stepped> {
    let target = target::resolve(cx, call, None).await?;
    let request = build(cx, call, &target).await?;
    if !target.known() || cx.will_have_changed(&request) {
        return Ok(cx.planned(PlanAction::Read, Some(request)));
    }
    let method = method_of(cx, call, &target)?;
    let value = match all_pages(cx, &method, &request).await? {
        Ok(json) => {
            if target.method.is_none() {
                target::keep(cx, request.clone());
            }
            Value::from_json(&json)
        }
        Err(error)
            if error.class == ErrorClass::NotFound
                && clauses::decision(step, OnOutcome::Absent) == Some(Decision::Continue) =>
        {
            Value::Null
        }
        Err(error) => return Err(cx.api_failure(error, &request)),
    };
    if cx.planning() {
        cx.plan(PlanAction::Read, Some(request), Vec::new(), Vec::new());
    }
    Ok(read_verdict(value))
}

/// The method that reads: the one named, or the collection's `get`.
pub fn method_of(cx: &Cx<'_>, call: &ApiCall, target: &Target) -> Result<std::sync::Arc<Method>> {
    let get = target.collection.as_ref().and_then(|c| c.get.clone());
    target.method.clone().or(get).ok_or_else(|| {
        let path = target::path_text(&call.path);
        cx.failure(
            Reason::Flow,
            format!("`{path}` has no method that reads one resource"),
        )
    })
}

pub async fn build(cx: &Cx<'_>, call: &ApiCall, target: &Target) -> Result<Request> {
    request_of(cx, call, target, None).await
}

/// The request of a call as its line and its body.
pub async fn line_and_body(
    cx: &Cx<'_>,
    call: &ApiCall,
    target: &Target,
    it: It<'_>,
) -> Result<(String, Json)> {
    let request = request_of(cx, call, target, it).await?;
    Ok((request.line(), request.body.unwrap_or(Json::Null)))
}

async fn request_of(cx: &Cx<'_>, call: &ApiCall, target: &Target, it: It<'_>) -> Result<Request> {
    let method = method_of(cx, call, target)?;
    let body = match &call.body {
        None => None,
        Some(object) => {
            let value = cx.object(object, it).await?;
            let json = coerce::body_for(&cx.shared.catalog, &method, &value)
                .map_err(|p| target::problems(cx, call, &p))?;
            Some(json)
        }
    };
    request::build(&method, &target.strict_args_for(&method), body)
        .map_err(|p| target::problems(cx, call, &p))
}

/// The answer with the items of all pages in one.
pub async fn all_pages(
    cx: &Cx<'_>,
    method: &Method,
    request: &Request,
) -> Result<std::result::Result<Json, crate::wire::error::ApiError>> {
    let mut merged = match cx.read(request).await? {
        Ok(json) => json,
        Err(error) => return Ok(Err(error)),
    };
    let Some(page) = &method.page else {
        return Ok(Ok(merged));
    };
    while let Some(token) = next_token(&mut merged) {
        if cx.stopping() {
            return Err(Halt::Stopped);
        }
        let mut next = request.clone();
        next.query.retain(|(name, _)| **name != *page.token);
        next.query.push((page.token.to_string(), token));
        match cx.read(&next).await? {
            Ok(json) => append_page(&mut merged, json, &page.items),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(merged))
}

fn next_token(json: &mut Json) -> Option<String> {
    match json.as_object_mut()?.remove("nextPageToken")? {
        Json::String(token) if !token.is_empty() => Some(token),
        _ => None,
    }
}

fn append_page(merged: &mut Json, mut page: Json, items: &str) {
    let token = page.as_object_mut().and_then(|p| p.remove("nextPageToken"));
    let more = page.get_mut(items).map(Json::take);
    if let (Some(fields), Some(more)) = (merged.as_object_mut(), more) {
        match (fields.get_mut(items), more) {
            (Some(Json::Array(all)), Json::Array(more)) => all.extend(more),
            (Some(Json::Object(all)), Json::Object(more)) => all.extend(more),
            (_, more) => {
                fields.insert(items.to_owned(), more);
            }
        }
        if let Some(token) = token {
            fields.insert("nextPageToken".into(), token);
        }
    }
}
