//! Fuzzes streams of Messages upstreams.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llm_wrapper_fuzz::streams::messages(input));
