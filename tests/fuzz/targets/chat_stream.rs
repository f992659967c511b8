//! Fuzzes streams of Chat upstreams.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llm_wrapper_fuzz::streams::chat(input));
