//! Posts, through the real routes.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| belfry_bridge::fuzzing::push(input));
