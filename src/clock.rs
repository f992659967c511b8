//! The time of day: the only caller of SystemTime. Text of a second is made once per thread and second and then copied,
//! because every response has a Date and every log line a stamp.

use crate::wire::text;
use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970; 0 on a host whose clock is before that.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// Seconds since 1970.
pub fn unix_s() -> u64 {
    unix_ms() / 1000
}

/// One second as text, kept until another second is asked for.
struct Second {
    unix_s: Option<u64>,
    text: String,
}

impl Second {
    const fn none() -> RefCell<Second> {
        RefCell::new(Second {
            unix_s: None,
            text: String::new(),
        })
    }

    fn text(&mut self, unix_s: u64, make: fn(u64) -> String) -> &[u8] {
        if self.unix_s != Some(unix_s) {
            self.text = make(unix_s);
            self.unix_s = Some(unix_s);
        }
        self.text.as_bytes()
    }
}

thread_local! {
    static DATE: RefCell<Second> = const { Second::none() };
    static STAMP: RefCell<Second> = const { Second::none() };
}

/// Appends the value of a Date field for now: `Wed, 25 Nov 2026 10:00:00 GMT` (RFC 9110 5.6.7).
pub fn write_http_date(out: &mut Vec<u8>) {
    let now_s = unix_s();
    DATE.with_borrow_mut(|second| out.extend_from_slice(second.text(now_s, text::http_date)));
}

/// Appends a moment with its milliseconds: `2026-11-25T10:00:00.123Z` (RFC 3339).
pub fn write_stamp(out: &mut Vec<u8>, unix_ms: u64) {
    STAMP.with_borrow_mut(|second| {
        let whole = second.text(unix_ms / 1000, text::rfc3339);
        out.extend_from_slice(&whole[..whole.len() - 1]); // without its Z
    });
    let digit = |unit: u64| b'0' + (unix_ms / unit % 10) as u8;
    out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1), b'Z']);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(unix_ms: u64) -> String {
        let mut out = Vec::new();
        write_stamp(&mut out, unix_ms);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_stamp_has_milliseconds_and_follows_the_time_both_ways() {
        assert_eq!(stamp(1_795_600_800_123), "2026-11-25T10:00:00.123Z");
        assert_eq!(stamp(1_795_600_800_007), "2026-11-25T10:00:00.007Z");
        assert_eq!(stamp(1_795_600_801_000), "2026-11-25T10:00:01.000Z");
        assert_eq!(stamp(1_795_600_799_999), "2026-11-25T09:59:59.999Z");
    }

    #[test]
    fn now_is_after_this_was_written_and_the_date_says_the_same_second() {
        assert!(unix_s() > 1_750_000_000);
        let mut seen = (Vec::new(), unix_s());
        loop {
            seen.0.clear();
            write_http_date(&mut seen.0);
            let after = unix_s();
            if after == seen.1 {
                break;
            }
            seen.1 = after; // the second turned in between
        }
        assert_eq!(seen.0, text::http_date(seen.1).as_bytes());
    }
}
