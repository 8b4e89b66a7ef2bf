//! The words that every other crate shares: ids, times, topics, push headers, the notification
//! envelope, problem details and the two encrypted body formats.
//!
//! No I/O, no clock and no randomness: what needs either takes it as a parameter.

pub mod body;
pub mod envelope;
pub mod event;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod id;
pub mod presence;
pub mod problem;
pub mod push;
pub mod secret;
pub mod shard;
pub mod site;
pub mod time;
pub mod topic;
