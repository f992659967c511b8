//! Fuzzes multipart bodies and base URLs.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llm_wrapper_fuzz::wire::fields(input));
