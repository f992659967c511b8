//! Bytes as letters: base64 in both alphabets, base32, hex (RFC 4648).

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 with padding (RFC 4648 4).
pub fn base64(bytes: &[u8]) -> String {
    let mut out = bits(bytes, 6, STANDARD);
    while !out.len().is_multiple_of(4) {
        out.push('=');
    }
    out
}

/// Base64 for URLs, without padding (RFC 4648 5).
pub fn base64url(bytes: &[u8]) -> String {
    bits(bytes, 6, URL)
}

/// Base32 in lower case without padding (RFC 4648 6): for ids that are read aloud or stand in names.
pub fn base32(bytes: &[u8]) -> String {
    bits(bytes, 5, b"abcdefghijklmnopqrstuvwxyz234567")
}

/// Two lower-case digits a byte.
pub fn hex(bytes: &[u8]) -> String {
    bits(bytes, 4, b"0123456789abcdef")
}

/// `width` bits a letter, the highest first, the last letter filled up with zero bits.
fn bits(bytes: &[u8], width: u32, alphabet: &[u8]) -> String {
    let mut out = String::with_capacity((bytes.len() * 8).div_ceil(width as usize) + 3);
    let mask = (1_u32 << width) - 1;
    let (mut held, mut count) = (0_u32, 0);
    for &byte in bytes {
        held = held << 8 | u32::from(byte);
        count += 8;
        while count >= width {
            count -= width;
            out.push(char::from(alphabet[(held >> count & mask) as usize]));
        }
    }
    if count > 0 {
        out.push(char::from(
            alphabet[(held << (width - count) & mask) as usize],
        ));
    }
    out
}

/// Decodes base64, padded or not. None: a foreign letter, wrong padding, or bits left over that are not zero.
pub fn base64_decode(text: &str) -> Option<Vec<u8>> {
    decode(text, b'+', b'/')
}

/// Decodes base64 for URLs, padded or not, as strictly as [`base64_decode`].
pub fn base64url_decode(text: &str) -> Option<Vec<u8>> {
    decode(text, b'-', b'_')
}

fn decode(text: &str, letter_62: u8, letter_63: u8) -> Option<Vec<u8>> {
    let letters = text.trim_end_matches('=');
    let padding = text.len() - letters.len();
    if letters.len() % 4 == 1 || (padding > 0 && (padding > 2 || !text.len().is_multiple_of(4))) {
        return None;
    }
    let mut out = Vec::with_capacity(letters.len() / 4 * 3 + 2);
    let (mut held, mut count) = (0_u32, 0);
    for letter in letters.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            _ if letter == letter_62 => 62,
            _ if letter == letter_63 => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((held >> count) as u8);
        }
    }
    (held & ((1 << count) - 1) == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dice::Dice;

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (plain, as_64, as_32, as_hex) in [
            ("", "", "", ""),
            ("f", "Zg==", "my", "66"),
            ("fo", "Zm8=", "mzxq", "666f"),
            ("foo", "Zm9v", "mzxw6", "666f6f"),
            ("foob", "Zm9vYg==", "mzxw6yq", "666f6f62"),
            ("fooba", "Zm9vYmE=", "mzxw6ytb", "666f6f6261"),
            ("foobar", "Zm9vYmFy", "mzxw6ytboi", "666f6f626172"),
        ] {
            let bytes = plain.as_bytes();
            assert_eq!(base64(bytes), as_64);
            assert_eq!(base64url(bytes), as_64.trim_end_matches('='));
            assert_eq!(base32(bytes), as_32);
            assert_eq!(hex(bytes), as_hex);
        }
        assert_eq!(base64(b"\xfb\xff\xfe"), "+//+");
        assert_eq!(base64url(b"\xfb\xff\xfe"), "-__-");
    }

    #[test]
    fn what_was_encoded_decodes() {
        let mut dice = Dice::new(2);
        for length in 0..200 {
            let bytes: Vec<u8> = (0..length).map(|_| dice.next() as u8).collect();
            let text = base64(&bytes);
            assert_eq!(base64_decode(&text).unwrap(), bytes);
            assert_eq!(base64_decode(text.trim_end_matches('=')).unwrap(), bytes);
            let text = base64url(&bytes);
            assert_eq!(base64url_decode(&text).unwrap(), bytes);
            let padding = "=".repeat((4 - text.len() % 4) % 4);
            assert_eq!(base64url_decode(&(text + &padding)).unwrap(), bytes);
        }
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for bad in [
            "A", "AAAAA", "A=", "A===", "AA=", "AA===", "AAA==", "AAAA=", "AAAA====", "=", "==",
            "A=AA", "AA==AA", "AB", "AAB", "A A A", "AA\n", "-_-_", "ÄÄ",
        ] {
            assert_eq!(base64_decode(bad), None, "{bad}");
        }
        assert_eq!(base64url_decode("+/+/"), None);
    }
}
