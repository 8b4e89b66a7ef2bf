//! Many posts in a call, through the real route.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| belfry_bridge::fuzzing::publish(input));
