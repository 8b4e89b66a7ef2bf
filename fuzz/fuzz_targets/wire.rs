//! Any bytes as packets of both versions and as frames.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| belfry_broker::fuzzing::wire(input));
