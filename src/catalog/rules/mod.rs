//! What r5flow knows beyond the documents: rules and short tables, each row with its reason.

pub(super) mod bounds;
pub(super) mod domains;
pub(super) mod lists;
pub(super) mod marks;
pub(super) mod operations;
pub(super) mod quotas;
pub(super) mod reads;
pub mod secrets;
pub(super) mod settle;
pub mod sql_operations;
pub(super) mod units;
pub(super) mod windows;
