#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| slarouter_gateway::fuzz::run("coding", data));
