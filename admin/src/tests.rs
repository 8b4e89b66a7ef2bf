//! The rooms as a program with a token sees them.
#![allow(clippy::unwrap_used)]
