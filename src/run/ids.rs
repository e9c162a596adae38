//! Request ids: drawn once, stored in the intent, and from then on only read.

use uuid::Uuid;

use crate::wire::Request;

/// The id of one call: UUIDv5 over the run's nonce, the step, the generation, the call and what the
/// request means. A recomputed body, a new attempt, another call: another id.
pub fn request_id(
    nonce: &str,
    address: &str,
    generation: u32,
    call: u32,
    request: &Request,
) -> String {
    let space = Uuid::new_v5(&Uuid::NAMESPACE_OID, nonce.as_bytes());
    let body = request
        .body
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let meaning = blake3::hash(format!("{}\n{body}", request.line()).as_bytes());
    let name = format!(
        "{address}\n{generation}\n{call}\n{}\n{meaning}",
        request.method
    );
    Uuid::new_v5(&space, name.as_bytes()).to_string()
}
