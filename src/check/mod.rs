//! Is the program right? Names bound, types checked against Google's description, lints applied.
//!
//! Every finding goes into one sink; a broken part never hides the others.

pub mod names;
