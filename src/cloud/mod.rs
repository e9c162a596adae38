//! Talk to Google: where requests go, with whose credentials, and what came back.
//!
//! The transport retries nothing and follows nothing: what happens after a failure is the run's
//! decision. How refusals are read stands in [`crate::wire::error`].

mod clients;
mod credential_file;
mod credentials;
#[cfg(test)]
mod credentials_attacks_tests;
#[cfg(test)]
mod credentials_tests;
mod endpoints;
mod exchange;
mod gcloud;
mod http_wire;
pub mod principal;
#[cfg(test)]
mod http_wire_tests;

pub use crate::wire::error::{ApiError, ErrorClass, classify, classify_operation_error};
pub use clients::Authorities;
pub use credential_file::{Locations, is_email};
pub use credentials::{
    Access, CredentialsError, GoogleCredentials, NoCredentials, TokenFuture, TokenSource,
};
pub use endpoints::{EndpointError, Endpoints, Target};
pub use http_wire::{HttpWire, Settings};
