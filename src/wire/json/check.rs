//! Judges a text to its last leaf (RFC 8259): grammar, strings and numbers, at any depth, without recursion. What is given
//! to an upstream as JSON although a client said it in a string has passed here.

use super::cursor::Cursor;
use super::scan::{Nest, sound_string_end};
use super::{utf8, wrong};
use crate::error::Fault;

/// Checks one value to its last leaf, and that it is all there is.
///
/// # Errors
/// The first place where it is wrong.
pub fn validate(bytes: &[u8]) -> Result<(), Fault> {
    let text = utf8(bytes)?;
    let mut cursor = Cursor { text, at: 0 };
    let mut nest = Nest::default();
    cursor.skip_space();
    loop {
        // A value starts here.
        let (open, close) = match cursor.peek() {
            Some(b'{') => (true, b'}'),
            Some(b'[') => (true, b']'),
            Some(b'"') => {
                cursor.at = sound_string_end(text.as_bytes(), cursor.at)?;
                (false, 0)
            }
            _ => {
                cursor.value()?;
                (false, 0)
            }
        };
        if open {
            cursor.at += 1;
            cursor.skip_space();
            nest.open(close == b'}');
            if cursor.peek() != Some(close) {
                if close == b'}' {
                    key(&mut cursor)?;
                }
                continue;
            }
        }
        // A value has ended, or is an empty container whose end stands here.
        loop {
            let Some(is_object) = nest.innermost() else {
                return cursor.end();
            };
            if cursor.another(if is_object { b'}' } else { b']' })? {
                if is_object {
                    key(&mut cursor)?;
                }
                break;
            }
            cursor.at += 1;
            nest.close(is_object);
        }
    }
}

/// Steps over a key and its colon.
fn key(cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    if cursor.peek() != Some(b'"') {
        return Err(wrong(cursor.at, "a key in double quotes was expected"));
    }
    cursor.at = sound_string_end(cursor.text.as_bytes(), cursor.at)?;
    cursor.expect(b':', "a colon was expected")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dice::Dice;

    /// serde_json's verdict; it skips ignored values without recursion, but not their UTF-8.
    fn verdict(bytes: &[u8]) -> bool {
        std::str::from_utf8(bytes)
            .is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
    }

    #[test]
    fn it_agrees_with_serde_json_on_seeded_mutations() {
        let long = "let x = \\\"a\\\\\\\\b\\\";\\n\\t".repeat(9);
        let corpus = [
            r#"{"path":"src/main.rs","n":[1,-0.5e+7,0,{"x":null}],"t":true,"f":false}"#.to_owned(),
            format!(r#" {{"text":"{long}","e":"\u00e9\ud83d","s":"\/"}} "#),
            r#"[[],{},[[[{"a":[{"b":{}}]}]]],"",{"":""}]"#.to_owned(),
            format!("[{}1{}]", "[".repeat(70), "]".repeat(70)),
            "{ \"k\" :\t\"0123456789abcdef\\\\\" ,\r\n\"l\": [ 1 , 2 ] }".to_owned(),
            "-12.5E-3".to_owned(),
        ];
        let mut dice = Dice::new(11);
        let (mut good, mut bad) = (0, 0);
        for round in 0..60_000 {
            let seed = corpus[round % corpus.len()].as_bytes();
            let bytes = dice.mutate(seed, b"\"\\{}[]:,0e-.+ \n\x00utrE\xc3\xa9");
            let expected = verdict(&bytes);
            match expected {
                true => good += 1,
                false => bad += 1,
            }
            assert_eq!(
                validate(&bytes).is_ok(),
                expected,
                "{}",
                bytes.escape_ascii()
            );
        }
        assert!(good > 5_000 && bad > 20_000, "{good} {bad}");
    }

    #[test]
    fn it_agrees_with_serde_json_on_every_short_text() {
        let tokens = [
            "{", "}", "[", "]", ",", ":", "\"\"", "\"a\\q\"", "1", "01", "-", "null", " ",
        ];
        let mut texts = vec![String::new()];
        for _ in 0..5 {
            let longer = texts
                .iter()
                .flat_map(|text| tokens.map(|token| format!("{text}{token}")));
            let longer: Vec<String> = longer.collect();
            for text in &longer {
                assert_eq!(
                    validate(text.as_bytes()).is_ok(),
                    verdict(text.as_bytes()),
                    "{text}"
                );
            }
            // What can still become something: the others stay wrong.
            texts = longer;
            texts.retain(|text| text.len() < 3 || text.starts_with(['{', '[']));
        }
    }
}
