//! The types of the language, and the signatures of its functions.

pub mod functions;
