//! Small encodings and comparisons of text, each the part of its standard that the product needs: base64, base32, hex,
//! SHA-256, dates, globs, a comparison that takes no hints, and the nearest of some names.

mod code;
mod sha256;

pub use code::{base32, base64, base64_decode, base64url, base64url_decode, hex};
pub use sha256::sha256;

/// The last second that has a four-digit year; later ones are shown as this one.
const UNIX_S_MAX: u64 = 253_402_300_799;
/// Names longer than this are near to nothing: a distance costs their length times [`DISTANCE_MAX`].
const NAME_CHARS_MAX: usize = 128;
/// Names further apart than this are equally far.
const DISTANCE_MAX: usize = 12;

/// A moment taken apart: the proleptic Gregorian calendar in UTC.
struct Civil {
    year: u64,
    /// From 1.
    month: u64,
    day: u64,
    /// 0 is Sunday.
    weekday: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Civil {
    fn of(unix_s: u64) -> Civil {
        let unix_s = unix_s.min(UNIX_S_MAX);
        let days = unix_s / 86_400;
        let of_day = unix_s % 86_400;
        // Years are counted from 1 March of year 0, so that a leap day is the last of its year (H. Hinnant, "chrono-
        // Compatible Low-Level Date Algorithms", civil_from_days).
        let shifted = days + 719_468;
        let era = shifted / 146_097;
        let day_of_era = shifted % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        Civil {
            year: year_of_era + era * 400 + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            weekday: (days + 4) % 7,
            hour: of_day / 3_600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }
}

/// `2026-01-02T03:04:05Z` (RFC 3339) of seconds since 1970.
pub fn rfc3339(unix_s: u64) -> String {
    let c = Civil::of(unix_s);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        c.year, c.month, c.day, c.hour, c.minute, c.second
    )
}

/// `Fri, 02 Jan 2026 03:04:05 GMT` (RFC 9110 5.6.7) of seconds since 1970.
pub fn http_date(unix_s: u64) -> String {
    const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let c = Civil::of(unix_s);
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        WEEKDAYS[c.weekday as usize],
        c.day,
        MONTHS[c.month as usize - 1],
        c.year,
        c.hour,
        c.minute,
        c.second
    )
}

/// Whether `text` matches `pattern`, where `*` is any row of characters and `?` any one. All of `text`, case-sensitive.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut pattern = pattern.chars();
    let mut text = text.chars();
    // Only the last star is ever tried again: what an earlier one could take, the last can take too.
    let mut retry = None;
    loop {
        let before = text.clone();
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text = before.clone();
                retry = Some((pattern.clone(), before));
            }
            (Some(p), Some(t)) if p == '?' || p == t => {}
            _ => {
                let Some((after_star, taken)) = &mut retry else {
                    return false;
                };
                if taken.next().is_none() {
                    return false;
                }
                pattern = after_star.clone();
                text = taken.clone();
            }
        }
    }
}

/// Whether two byte strings are equal, in a time that depends on the length of `given` alone: neither on where it differs
/// from `secret` nor on the length of `secret`.
pub fn equal_constant_time(given: &[u8], secret: &[u8]) -> bool {
    // An empty secret is compared as one zero byte, of a length that then differs.
    let padded: &[u8] = if secret.is_empty() { &[0] } else { secret };
    let mut difference = given.len() ^ secret.len();
    let mut at = 0;
    for &byte in given {
        difference |= usize::from(byte ^ padded[at]);
        at += 1;
        at *= usize::from(at < padded.len());
        difference = std::hint::black_box(difference); // or the loop might stop at the first bit
    }
    difference == 0
}

/// How many characters must be inserted, removed or changed to make `a` of `b`, case aside; None: more than `max`.
fn distance(a: &[char], b: &[char], max: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > max {
        return None;
    }
    // One row of the table of Wagner and Fischer, and of it only the band that can still give `max`.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let first = i.saturating_sub(max);
        let last = (i + max + 1).min(b.len());
        let mut diagonal = row[first];
        row[first] = if first == 0 { i + 1 } else { max + 1 };
        for j in first..last {
            let above = if j < i + max { row[j + 1] } else { max + 1 };
            let changed = diagonal + usize::from(from != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(above + 1).min(row[j] + 1);
        }
    }
    Some(row[b.len()]).filter(|&found| found <= max)
}

/// The `count` names of `known` that look most like `name`, nearest first, equally near ones in the order they came.
pub fn nearest<'n>(
    name: &str,
    known: impl IntoIterator<Item = &'n str>,
    count: usize,
) -> Vec<&'n str> {
    let letters = |text: &str| -> Vec<char> {
        let lower = text.chars().flat_map(char::to_lowercase);
        lower.take(NAME_CHARS_MAX + 1).collect()
    };
    let name = letters(name);
    let mut ranked: Vec<(usize, &str)> = known
        .into_iter()
        .map(|other| {
            let far = DISTANCE_MAX + 1;
            let found = distance(&name, &letters(other), DISTANCE_MAX);
            (
                if name.len() > NAME_CHARS_MAX {
                    far
                } else {
                    found.unwrap_or(far)
                },
                other,
            )
        })
        .collect();
    ranked.sort_by_key(|&(distance, _)| distance);
    ranked.truncate(count);
    ranked.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dice::Dice;

    #[test]
    fn dates() {
        for (unix_s, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_767_322_445, "2026-01-02T02:54:05Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(unix_s), expected);
        }
        // The example of RFC 9110 5.6.7.
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
    }

    #[test]
    fn every_day_follows_the_day_before() {
        let mut before = (1969, 12, 31, 3);
        for day in 0..60_000 {
            let c = Civil::of(day * 86_400);
            let multiple = |of: u64| c.year.is_multiple_of(of);
            let leap = multiple(4) && (!multiple(100) || multiple(400));
            let (year, month, date, weekday) = before;
            let month_days = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let expected = match (month, date) {
                (12, 31) => (year + 1, 1, 1),
                (_, last) if last == month_days => (year, month + 1, 1),
                _ => (year, month, date + 1),
            };
            assert_eq!((c.year, c.month, c.day), expected);
            assert_eq!(c.weekday, (weekday + 1) % 7);
            before = (c.year, c.month, c.day, c.weekday);
        }
    }

    #[test]
    fn globs() {
        for (pattern, yes, no) in [
            ("", &[""][..], &["a"][..]),
            ("*", &["", "a", "a/b"], &[]),
            ("?", &["a", "ü"], &["", "ab"]),
            ("gpt-*", &["gpt-", "gpt-5"], &["gpt", "xgpt-5", "GPT-5"]),
            ("*mini", &["mini", "gpt-mini", "minimini"], &["mini2"]),
            ("a*b*c", &["abc", "aXbYc", "abbcbc"], &["ab", "acb", "abcd"]),
            ("a?c", &["abc", "aüc"], &["ac", "abbc"]),
            ("**a**", &["a", "bab"], &["b"]),
            ("*?", &["a", "ab"], &[""]),
            ("[a]", &["[a]"], &["a"]),
        ] {
            for text in yes {
                assert!(glob(pattern, text), "{pattern} {text}");
            }
            for text in no {
                assert!(!glob(pattern, text), "{pattern} {text}");
            }
        }
        assert!(!glob(&"*a".repeat(500), &"a".repeat(499)));
        assert!(!glob(&format!("{}b", "*a".repeat(50)), &"a".repeat(5_000)));
    }

    #[test]
    fn constant_time_equality_is_equality() {
        let samples: [&[u8]; 8] = [
            b"",
            b"\0",
            b"a",
            b"b",
            b"aa",
            b"aaa",
            b"a\0",
            b"sk-0123456789",
        ];
        for a in samples {
            for b in samples {
                assert_eq!(equal_constant_time(a, b), a == b, "{a:?} {b:?}");
            }
        }
    }

    fn full_distance(a: &[char], b: &[char]) -> usize {
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, from) in a.iter().enumerate() {
            let mut diagonal = std::mem::replace(&mut row[0], i + 1);
            for (j, to) in b.iter().enumerate() {
                let best = (diagonal + usize::from(from != to))
                    .min(row[j] + 1)
                    .min(row[j + 1] + 1);
                diagonal = std::mem::replace(&mut row[j + 1], best);
            }
        }
        row[b.len()]
    }

    #[test]
    fn the_band_gives_what_the_whole_table_gives() {
        let mut dice = Dice::new(5);
        for _ in 0..5_000 {
            let mut word = || -> Vec<char> {
                let length = dice.below(12);
                (0..length).map(|_| dice.pick(&['a', 'b', 'c'])).collect()
            };
            let (a, b) = (word(), word());
            let full = full_distance(&a, &b);
            for max in 0..8 {
                assert_eq!(
                    distance(&a, &b, max),
                    Some(full).filter(|&d| d <= max),
                    "{a:?} {b:?}"
                );
            }
        }
    }

    #[test]
    fn the_nearest_names_come_first() {
        let known = ["qwen", "gpt-5", "claude-opus", "gpt-5-mini", "GPT-4"];
        assert_eq!(nearest("gpt-5x", known, 2), ["gpt-5", "GPT-4"]);
        assert_eq!(nearest("claude-opsu", known, 1), ["claude-opus"]);
        assert_eq!(
            nearest("something entirely else", known, 2),
            ["qwen", "gpt-5"]
        );
        assert_eq!(nearest(&"x".repeat(100_000), known, 1), ["qwen"]);
        assert!(nearest("a", [], 3).is_empty());
    }
}
