#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| translators::fuzzing::microsoft_document(data));
