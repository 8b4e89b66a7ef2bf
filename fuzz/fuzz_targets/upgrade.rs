//! Opening handshakes and the frames that follow.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| belfry_broker::fuzzing::upgrade(input));
