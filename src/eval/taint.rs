//! What is made of a secret is a secret.

use crate::value::Value;

/// Who keeps the secrets of a run, and is told what evaluation makes of them.
pub trait Taint: std::fmt::Debug {
    /// Whether nothing is secret, so that nothing need be told.
    fn is_idle(&self) -> bool;
    /// An answer showed this secret.
    fn shown(&self, secret: &str);
    /// `made` was computed from these values.
    fn made(&self, from: &[Value], made: &Value);
}
