//! Encrypted bodies and decrypted messages.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| belfry_protocol::fuzzing::bodies(input));
