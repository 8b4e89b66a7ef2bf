//! A whole connection, in pieces of any size.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| belfry_broker::fuzzing::connection(input));
