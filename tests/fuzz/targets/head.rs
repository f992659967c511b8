//! Fuzzes heads of requests and answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llm_wrapper_fuzz::wire::head(input));
