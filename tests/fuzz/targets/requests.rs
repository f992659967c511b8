//! Fuzzes requests in all six directions.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| llm_wrapper_fuzz::bodies::requests(input));
