#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| translators::fuzzing::presence_document(data));
