//! Request ids of new calls, and the mistakes that tests make.

use super::super::ids::request_id;
use super::super::mutant::Mutant;
use super::cx::Cx;
use crate::wire::Request;

impl Cx<'_> {
    /// Whether this mistake is to be made.
    pub fn is_mutant(&self, mutant: Mutant) -> bool {
        self.shared.settings.is_mutant(mutant)
    }

    /// The request id of a new call.
    pub fn drawn_id(&self, generation: u32, call: u32, request: &Request) -> String {
        let nonce = &self.shared.nonce;
        if self.is_mutant(Mutant::GenerationNotRaised) {
            return request_id(nonce, &self.address, 1, 1, request);
        }
        if self.is_mutant(Mutant::IdWithoutHash) {
            let nothing = Request {
                body: None,
                query: Vec::new(),
                ..request.clone()
            };
            return request_id(nonce, &self.address, 1, 1, &nothing);
        }
        request_id(nonce, &self.address, generation, call, request)
    }
}
