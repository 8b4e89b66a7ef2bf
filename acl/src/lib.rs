//! Pure decisions: who may do what, and how often. No I/O, no clock.

pub mod ban;
pub mod limit;
pub mod rate;
