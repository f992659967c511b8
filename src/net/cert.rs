//! The validity dates of an X.509 certificate (RFC 5280 4.1.2.5): the one thing of it that rustls does not tell.
//! A walk over DER tags that reads nothing else; whatever is not as expected gives None.

/// From when and until when a certificate is valid.
#[derive(Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first valid second.
    pub not_before_unix_s: u64,
    /// The last valid second.
    pub not_after_unix_s: u64,
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The dates of a DER certificate.
pub fn validity(der: &[u8]) -> Option<Validity> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut tbs, _) = expect(certificate, SEQUENCE)?;
    if tbs.first() == Some(&VERSION) {
        tbs = element(tbs)?.2;
    }
    for _ in ["serialNumber", "signature", "issuer"] {
        tbs = element(tbs)?.2;
    }
    let (dates, _) = expect(tbs, SEQUENCE)?;
    let (tag, not_before, rest) = element(dates)?;
    let (tag_after, not_after, _) = element(rest)?;
    Some(Validity {
        not_before_unix_s: time(tag, not_before)?,
        not_after_unix_s: time(tag_after, not_after)?,
    })
}

fn expect(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(input)?;
    (found == tag).then_some((content, rest))
}

/// The tag, the content and what follows the element that `input` begins with.
fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let bytes = usize::from(first & 0x7f);
        if bytes == 0 || bytes > 4 || rest.len() < bytes {
            return None;
        }
        length = rest[..bytes]
            .iter()
            .fold(0, |sum, &b| sum << 8 | usize::from(b));
        rest = &rest[bytes..];
    }
    (rest.len() >= length).then(|| (tag, &rest[..length], &rest[length..]))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` in unix seconds; before 1970 counts as 1970.
fn time(tag: u8, text: &[u8]) -> Option<u64> {
    let number = |from: usize, to: usize| crate::wire::body::digits(text.get(from..to)?);
    let (year, at) = match tag {
        UTC_TIME => (
            number(0, 2).map(|yy| if yy < 50 { 2000 + yy } else { 1900 + yy })?,
            2,
        ),
        GENERALIZED_TIME => (number(0, 4)?, 4),
        _ => return None,
    };
    if text.get(at + 10) != Some(&b'Z') {
        return None;
    }
    let [month, day, hour, minute, second] =
        [0, 2, 4, 6, 8].map(|offset| number(at + offset, at + offset + 2));
    let (month, day) = (month?, day?);
    if year < 1970 {
        return Some(0);
    }
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since 1970-01-01 in the proleptic Gregorian calendar, years starting in March.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour? * 3600 + minute? * 60 + second?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_time_are_read() {
        assert_eq!(time(UTC_TIME, b"700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, b"261125172530Z"), Some(1_795_627_530));
        assert_eq!(
            time(GENERALIZED_TIME, b"20520229010203Z"),
            Some(2_592_781_323)
        );
        assert_eq!(time(UTC_TIME, b"500101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, b"2611251725Z"), None);
        assert_eq!(time(UTC_TIME, b"261325172530Z"), None);
    }

    #[test]
    fn nonsense_is_none_at_every_length() {
        let nonsense: Vec<u8> = (0..64).map(|i| (i * 37) as u8).collect();
        for end in 0..nonsense.len() {
            assert_eq!(validity(&nonsense[..end]), None);
        }
        assert_eq!(validity(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
