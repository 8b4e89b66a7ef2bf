//! Requests of users and devices, through the real routes.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| belfry_account::fuzzing::request(input));
