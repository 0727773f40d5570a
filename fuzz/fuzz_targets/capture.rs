//! Captured requests, as a line and as JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_webhook::test_util::Captured;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(captured) = Captured::from_http(bytes) {
        let size = captured.request.body().len() + captured.left_over;
        assert!(size <= bytes.len(), "a body of {size} bytes out of {}", bytes.len());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        drop(Captured::from_json(text));
    }
});
