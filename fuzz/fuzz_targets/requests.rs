#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| procession::fuzzing::requests(data));
