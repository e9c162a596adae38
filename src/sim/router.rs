//! Which method of which service a verb and a path mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::{Catalog, FullName, Method, Piece};
use crate::wire::Verb;

/// A path that fits a method.
pub struct Match {
    pub method: Arc<Method>,
    /// Path parameters, decoded.
    pub params: BTreeMap<Arc<str>, String>,
}

/// The methods of all services by service; a service's templates are read when it is first asked for.
#[derive(Clone)]
pub struct Router {
    catalog: Catalog,
    services: Vec<Arc<str>>,
    tables: BTreeMap<Arc<str>, Arc<[Route]>>,
}

#[derive(Clone)]
struct Route {
    method: Arc<Method>,
    segments: Vec<Segment>,
}

#[derive(Clone)]
struct Segment {
    /// Which path parameter takes the text; none for a literal of the template itself.
    param: Option<usize>,
    want: Want,
    /// `:cancel` after the last segment.
    suffix: Option<String>,
}

#[derive(Clone)]
enum Want {
    Literal(Arc<str>),
    Any,
    /// All that is left, slashes included.
    Rest,
}

impl Router {
    pub fn new(catalog: Catalog) -> Self {
        let services = catalog.services().map(|s| Arc::clone(&s.name)).collect();
        Router {
            catalog,
            services,
            tables: BTreeMap::new(),
        }
    }

    /// The best match: most literal segments win, then the order of the services. Only the hinted
    /// service is looked at when there is a hint.
    pub fn find(&mut self, hint: Option<&str>, verb: Verb, path: &str) -> Option<Match> {
        let text: Vec<String> = path.split('/').map(decode).collect();
        let asked: Vec<Arc<str>> = match hint {
            Some(hint) => self
                .services
                .iter()
                .filter(|s| ***s == *hint)
                .cloned()
                .collect(),
            None => self.services.clone(),
        };
        let mut best: Option<(usize, Match)> = None;
        for service in asked {
            for route in self.table(&service).iter() {
                if route.method.verb != verb || !route.may_fit(&text) {
                    continue;
                }
                let Some((score, params)) = route.fit(&text) else {
                    continue;
                };
                if best.as_ref().is_none_or(|(s, _)| score > *s) {
                    let method = Arc::clone(&route.method);
                    best = Some((score, Match { method, params }));
                }
            }
        }
        best.map(|(_, found)| found)
    }

    fn table(&mut self, service: &Arc<str>) -> &[Route] {
        let catalog = &self.catalog;
        self.tables.entry(Arc::clone(service)).or_insert_with(|| {
            catalog
                .methods(service)
                .iter()
                .filter_map(|id| catalog.method(id))
                .map(Route::new)
                .collect()
        })
    }
}

impl Route {
    fn new(method: Arc<Method>) -> Self {
        let mut segments = Vec::new();
        for part in method.path.split('/') {
            push_segments(&method, part, &mut segments);
        }
        Route { method, segments }
    }

    /// Whether the literals stand where they must; most routes are out after that.
    fn may_fit(&self, text: &[String]) -> bool {
        let last = self.segments.last().map(|s| &s.want);
        let length = match last {
            Some(Want::Rest) => text.len() >= self.segments.len(),
            _ => text.len() == self.segments.len(),
        };
        length
            && self
                .segments
                .iter()
                .zip(text)
                .all(|(s, have)| match &s.want {
                    Want::Literal(literal) if s.suffix.is_none() => **literal == **have,
                    _ => true,
                })
    }

    fn fit(&self, text: &[String]) -> Option<(usize, BTreeMap<Arc<str>, String>)> {
        let mut score = 0;
        let mut params: BTreeMap<Arc<str>, String> = BTreeMap::new();
        let mut at = 0;
        for segment in &self.segments {
            let have = match segment.want {
                Want::Rest => text.get(at..)?.join("/"),
                _ => text.get(at)?.clone(),
            };
            let have = match &segment.suffix {
                Some(suffix) => {
                    score += 2;
                    have.strip_suffix(suffix.as_str())?.to_string()
                }
                None => have,
            };
            match &segment.want {
                Want::Literal(literal) if **literal != *have => return None,
                Want::Literal(_) => score += 2,
                Want::Any | Want::Rest if have.is_empty() => return None,
                Want::Any => score += 1,
                Want::Rest => {}
            }
            at = if matches!(segment.want, Want::Rest) {
                text.len()
            } else {
                at + 1
            };
            if let Some(index) = segment.param {
                let name = &self.method.params[index].name;
                match params.get_mut(name) {
                    Some(value) => {
                        value.push('/');
                        value.push_str(&have);
                    }
                    None => {
                        params.insert(Arc::clone(name), have);
                    }
                }
            }
        }
        (at == text.len()).then_some((score, params))
    }
}

/// Turns one segment of a template into what it wants; `{+name}` becomes the pieces of its pattern.
fn push_segments(method: &Method, part: &str, out: &mut Vec<Segment>) {
    let (Some(open), Some(close)) = (part.find('{'), part.find('}')) else {
        out.push(Segment {
            param: None,
            want: Want::Literal(part.into()),
            suffix: None,
        });
        return;
    };
    let suffix = Some(part[close + 1..].to_string()).filter(|s| !s.is_empty());
    let name = part[open + 1..close].trim_start_matches('+');
    let param = method.params.iter().position(|p| &*p.name == name);
    let full_name = param.and_then(|i| method.params[i].full_name.clone());
    match full_name {
        Some(full) => push_pieces(&full, param, out),
        None => {
            let keeps_slashes = part[open + 1..].starts_with('+');
            let want = if keeps_slashes { Want::Rest } else { Want::Any };
            out.push(Segment {
                param,
                want,
                suffix: None,
            });
        }
    }
    if let Some(end) = out.last_mut() {
        end.suffix = suffix;
    }
}

fn push_pieces(full: &FullName, param: Option<usize>, out: &mut Vec<Segment>) {
    for piece in &full.pieces {
        let want = match piece {
            Piece::Literal(text) => Want::Literal(Arc::clone(text)),
            Piece::Value(_) => Want::Any,
            Piece::Rest(_) => Want::Rest,
        };
        out.push(Segment {
            param,
            want,
            suffix: None,
        });
    }
}

/// Undoes percent-encoding; what is no valid encoding stays as it is.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = (bytes[i] == b'%')
            .then(|| text.get(i + 1..i + 3))
            .flatten()
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match hex {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
