//! Talk to Google: where requests go, with whose credentials, and what came back.
//!
//! The transport retries nothing and follows nothing: what happens after a failure is the run's
//! decision. How refusals are read stands in [`crate::wire::error`].

mod credentials;
mod endpoints;
mod http_wire;
pub mod principal;
#[cfg(test)]
mod http_wire_tests;

pub use crate::wire::error::{ApiError, ErrorClass, classify, classify_operation_error};
pub use credentials::{
    CredentialsError, GoogleCredentials, NoCredentials, TokenFuture, TokenSource,
};
pub use endpoints::{EndpointError, Endpoints, Target};
pub use http_wire::{HttpWire, Settings};
