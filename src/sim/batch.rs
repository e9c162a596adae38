//! Batches: several calls in one `multipart/mixed` request, and their answers in one response.
//!
//! Sources: measured requests of gcloud (`Content-ID: <uuid+N>`; it reads the part of an answer's id after
//! the last `+`) and of Google's Python library (`<uuid + N>`; it needs the `response-` in front);
//! Google's page "Batching requests" for the form of the parts and the limit of their number.

use super::Call;
use super::serve::read_target;
use crate::wire::{Answer, Verb};

/// "You're limited to 1000 calls in a single batch request" (Compute Engine's page on batches).
const MOST_PARTS: usize = 1000;

/// One call of a batch.
#[derive(Debug, PartialEq)]
pub struct Part {
    /// What stands between the angle brackets of `Content-ID`.
    pub id: Option<String>,
    pub call: Call,
}

/// Whether a path (without its leading slash) is a batch endpoint: `batch`, `batch/compute/v1`.
pub fn is_batch(path: &str) -> bool {
    path == "batch" || path.starts_with("batch/")
}

/// The parts of a batch request.
///
/// # Errors
/// Why it cannot be read, for the message of a 400.
pub fn parse(content_type: &str, body: &[u8]) -> Result<Vec<Part>, String> {
    let boundary = boundary(content_type)
        .ok_or("The batch request needs content-type multipart/mixed with a boundary.")?;
    let text = std::str::from_utf8(body).map_err(|_| "The batch request is not UTF-8.")?;
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    for piece in text.split(delimiter.as_str()).skip(1) {
        if piece.starts_with("--") {
            break;
        }
        parts.push(part(piece)?);
        if parts.len() > MOST_PARTS {
            return Err(format!(
                "The batch request has more than {MOST_PARTS} calls."
            ));
        }
    }
    match parts.is_empty() {
        true => Err("The batch request has no parts.".into()),
        false => Ok(parts),
    }
}

fn boundary(content_type: &str) -> Option<String> {
    let mut fields = content_type.split(';').map(str::trim);
    if !fields.next()?.eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    let value = fields.find_map(|f| {
        let (name, value) = f.split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then_some(value)
    })?;
    let value = value.trim_matches('"');
    (!value.is_empty()).then(|| value.to_string())
}

fn part(text: &str) -> Result<Part, String> {
    let text = text.trim_start_matches(['\r', '\n']);
    let (outer, inner) = split_head(text);
    let id = header(&outer, "content-id").map(|v| {
        v.trim()
            .trim_start_matches('<')
            .trim_end_matches('>')
            .to_string()
    });
    let (mut head, body) = split_head(inner.trim_start_matches(['\r', '\n']));
    if head.is_empty() {
        return Err("A part of the batch request has no request line.".into());
    }
    let line = head.remove(0);
    let mut words = line.split_whitespace();
    let verb = words
        .next()
        .and_then(Verb::parse)
        .ok_or_else(|| format!("Failed to parse the batch request's line '{line}'."))?;
    let target = words
        .next()
        .ok_or_else(|| format!("Failed to parse the batch request's line '{line}'."))?;
    let (path, query) = read_target(target);
    let headers = head
        .iter()
        .filter_map(|h| h.split_once(':'))
        .map(|(k, v)| (k.trim().to_lowercase(), v.trim().to_string()))
        .collect();
    let call = Call {
        service: None,
        verb,
        path,
        query,
        headers,
        body: body.trim_end_matches(['\r', '\n']).as_bytes().to_vec(),
    };
    Ok(Part { id, call })
}

/// The lines before the first empty one, and what comes after it.
fn split_head(text: &str) -> (Vec<String>, &str) {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\n') {
        rest = after;
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            return (lines, rest);
        }
        lines.push(line.to_string());
    }
    if !rest.trim().is_empty() {
        lines.push(rest.trim_end_matches('\r').to_string());
    }
    (lines, "")
}

fn header<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| {
        let (have, value) = line.split_once(':')?;
        have.trim().eq_ignore_ascii_case(name).then_some(value)
    })
}

/// The body of the answer, in the order of the parts, and the boundary between them.
pub fn render(answers: &[(Option<String>, Answer)]) -> (String, Vec<u8>) {
    let mut hash = blake3::Hasher::new();
    for (_, answer) in answers {
        hash.update(&answer.body);
    }
    let boundary = format!("batch_{}", &hash.finalize().to_hex()[..32]);
    let mut out = Vec::new();
    for (id, answer) in answers {
        out.extend(format!("--{boundary}\r\nContent-Type: application/http\r\n").into_bytes());
        if let Some(id) = id {
            out.extend(format!("Content-ID: <response-{id}>\r\n").into_bytes());
        }
        let reason = http::StatusCode::from_u16(answer.status)
            .ok()
            .and_then(|s| s.canonical_reason())
            .unwrap_or("Unknown");
        out.extend(format!("\r\nHTTP/1.1 {} {reason}\r\n", answer.status).into_bytes());
        for (name, value) in &answer.headers {
            out.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        out.extend(format!("content-length: {}\r\n\r\n", answer.body.len()).into_bytes());
        out.extend(&answer.body);
        out.extend(b"\r\n");
    }
    out.extend(format!("--{boundary}--\r\n").into_bytes());
    (boundary, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As gcloud 528 sends it.
    const GCLOUD: &str = "--===============01==\r\nContent-Type: application/http\r\nMIME-Version: 1.0\r\n\
        Content-Transfer-Encoding: binary\r\nContent-ID: <2f8a+0>\r\n\r\n\
        DELETE /compute/v1/projects/p/zones/z/instances/a?alt=json HTTP/1.1\r\nContent-Type: application/json\r\n\
        accept: application/json\r\nHost: \r\n\r\n\r\n--===============01==\r\nContent-Type: application/http\r\n\
        Content-ID: <2f8a+1>\r\n\r\nPOST /compute/v1/projects/p/zones/z/disks?alt=json HTTP/1.1\r\n\
        content-length: 13\r\n\r\n{\"name\": \"b\"}\r\n--===============01==--";

    #[test]
    fn parts_are_calls() {
        let parts = parse(
            "multipart/mixed; boundary=\"===============01==\"",
            GCLOUD.as_bytes(),
        )
        .expect("a batch");
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].id.as_deref(), Some("2f8a+0"));
        assert_eq!(parts[0].call.verb, Verb::Delete);
        assert_eq!(
            parts[0].call.path,
            "compute/v1/projects/p/zones/z/instances/a"
        );
        assert_eq!(
            parts[0].call.query,
            vec![("alt".to_string(), "json".to_string())]
        );
        assert!(parts[0].call.body.is_empty());
        assert_eq!(parts[1].call.body, b"{\"name\": \"b\"}");
    }

    #[test]
    fn what_is_no_batch_is_said() {
        assert!(parse("application/json", b"{}").is_err());
        assert!(parse("multipart/mixed; boundary=x", b"--x--").is_err());
        assert!(parse("multipart/mixed; boundary=x", b"--x\r\n\r\n\r\n--x--").is_err());
        assert!(parse("multipart/mixed; boundary=x", b"--x\r\n\r\nHELO\r\n--x--").is_err());
    }

    #[test]
    fn answers_carry_the_ids_of_their_parts() {
        let answer = Answer {
            status: 404,
            headers: vec![("content-type".into(), "application/json".into())],
            body: b"{}".to_vec(),
        };
        let (boundary, body) = render(&[(Some("ab + 7".into()), answer)]);
        let text = String::from_utf8(body).expect("text");
        assert!(
            text.starts_with(&format!("--{boundary}\r\nContent-Type: application/http\r\nContent-ID: <response-ab + 7>\r\n\r\nHTTP/1.1 404 Not Found\r\n")),
            "{text}"
        );
        assert!(
            text.ends_with(&format!("\r\n\r\n{{}}\r\n--{boundary}--\r\n")),
            "{text}"
        );
    }
}
