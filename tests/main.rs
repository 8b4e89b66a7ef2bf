//! The promises of the program, each kept by a room of its own and checked from outside.

mod arrows;
