//! Diagnostics as people and machines read them; the only user of miette.
