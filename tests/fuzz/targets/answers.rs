//! Fuzzes whole answers of every upstream.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llm_wrapper_fuzz::bodies::answers(input));
