//! Pure decisions: who may do what, and how often. No I/O, no clock.

pub mod rate;
