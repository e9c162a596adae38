//! Whom everything that waits asks.

use std::future::Future;
use std::pin::Pin;

use super::Timestamp;

/// A clock that is passed in: the machine's, or a virtual one that tests and `--sim` drive.
pub trait Clock {
    fn now(&self) -> Timestamp;

    /// Returns at `moment` or later; at once when it has passed.
    fn sleep_until<'a>(&'a self, moment: Timestamp) -> Pin<Box<dyn Future<Output = ()> + 'a>>;
}
