//! What a conversion lost and could matter, by name. Never a value: names go to headers and logs.

use crate::error::{Error, Kind};

/// Entries the header names one by one; the rest becomes `more:N`.
pub const SHOWN_MAX: usize = 20;
/// Bytes of the header's value.
pub const HEADER_BYTES_MAX: usize = 1024;
/// Entries kept at all: a hostile body cannot grow the list.
const KEPT_MAX: usize = 256;
/// Unknown members inside known items that are named.
const NOTED_MAX: usize = 32;
/// Bytes of such a member's name that are kept.
const NOTED_NAME_BYTES_MAX: usize = 64;

/// The fields that were weakened or removed, in the order they were found, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    entries: Vec<(String, &'static str)>,
    beyond: usize,
    noted: Vec<String>,
}

impl Warnings {
    /// Notes that `field` (the client's name for it, with a path such as `tools.web_search`) suffered `reason`, one word
    /// with underscores: `unsupported`, `dropped`, `clamped`, `unknown`, `emulated`, `turned_off`…
    pub fn add(&mut self, field: impl Into<String>, reason: &'static str) {
        let field = field.into();
        if self.entries.len() == KEPT_MAX {
            self.beyond += 1;
            return;
        }
        if self
            .entries
            .iter()
            .any(|(f, r)| *f == field && *r == reason)
        {
            return;
        }
        self.entries.push((field, reason));
    }

    /// Notes that nobody knows the member `key` of an item of the kind that stands at `place`, such as `messages[].content[]`.
    /// It was dropped, and the record says so, once for all such items: no header names it, and a `strict` alias bears it.
    #[cold]
    pub fn note(&mut self, place: &str, key: &str) {
        let mut ends = (0..=key.len().min(NOTED_NAME_BYTES_MAX)).rev();
        let end = ends.find(|&end| key.is_char_boundary(end));
        let key = &key[..end.unwrap_or(0)];
        let is_it = |noted: &String| {
            let rest = noted.strip_prefix(place);
            rest.and_then(|rest| rest.strip_prefix('.')) == Some(key)
        };
        if self.noted.len() < NOTED_MAX && !self.noted.iter().any(is_it) {
            self.noted.push(format!("{place}.{key}"));
        }
    }

    /// What [`Warnings::note`] was told, for the record.
    pub fn noted(&self) -> impl Iterator<Item = &str> {
        self.noted.iter().map(String::as_str)
    }

    /// Whether nothing was lost that matters.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Field and reason of each entry.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.entries
            .iter()
            .map(|(field, reason)| (field.as_str(), *reason))
    }

    /// The entries of another list, added to this one.
    pub fn merge(&mut self, other: Warnings) {
        for (field, reason) in other.entries {
            self.add(field, reason);
        }
        self.beyond += other.beyond;
        for noted in other.noted {
            if self.noted.len() < NOTED_MAX && !self.noted.contains(&noted) {
                self.noted.push(noted);
            }
        }
    }

    /// The value of `x-llm-wrapper-warnings`: comma separated `field:reason`, at most 20 entries and 1 KB, then `more:N`.
    /// None: there is nothing to say.
    pub fn header(&self) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        const MORE_BYTES: usize = ",more:18446744073709551615".len();
        let mut out = String::new();
        let mut shown = 0;
        for (field, reason) in &self.entries {
            let length = field.chars().count() + 1 + reason.len() + 1;
            if shown == SHOWN_MAX || out.len() + length + MORE_BYTES > HEADER_BYTES_MAX {
                break;
            }
            if shown > 0 {
                out.push(',');
            }
            out.extend(field.chars().map(|c| match c {
                'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '.' | '[' | ']' | '-' => c,
                _ => '?',
            }));
            out.push(':');
            out.push_str(reason);
            shown += 1;
        }
        let more = self.entries.len() - shown + self.beyond;
        if more > 0 {
            let comma = if shown > 0 { "," } else { "" };
            out.push_str(&format!("{comma}more:{more}"));
        }
        Some(out)
    }

    /// The refusal that a `strict` alias makes of the first warning; None if there is none.
    pub fn refusal(&self) -> Option<Error> {
        let (field, reason) = self.entries.first()?;
        Some(
            Error::client(
                Kind::Unsupported,
                format!("{field}: {reason} by the conversion, and this alias is strict"),
            )
            .param(field.clone()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_bounded_and_clean() {
        let mut warnings = Warnings::default();
        assert_eq!(warnings.header(), None);
        warnings.add("tools.é\r\n", "unsupported");
        warnings.add("tools.é\r\n", "unsupported");
        assert_eq!(warnings.header().unwrap(), "tools.???:unsupported");
        for n in 0..300 {
            warnings.add(format!("field{n}"), "unknown");
        }
        let header = warnings.header().unwrap();
        assert!(header.len() <= HEADER_BYTES_MAX);
        assert!(header.ends_with(",more:281"), "{header}");
        warnings = Warnings::default();
        warnings.add("x".repeat(5000), "unknown");
        assert_eq!(warnings.header().unwrap(), "more:1");
        assert_eq!(warnings.refusal().unwrap().status(), 400);
    }

    #[test]
    fn what_is_only_noted_is_in_the_record_and_nowhere_else() {
        let mut warnings = Warnings::default();
        for _ in 0..3 {
            warnings.note("tools[]", "colour");
        }
        warnings.note("messages[]", "colour");
        let mut all = Warnings::default();
        all.note("tools[]", "colour");
        all.merge(warnings);
        let noted: Vec<&str> = all.noted().collect();
        assert_eq!(noted, ["tools[].colour", "messages[].colour"]);
        assert!(all.is_empty() && all.header().is_none() && all.refusal().is_none());
        let long = "é".repeat(500);
        for n in 0..100 {
            all.note("input[]", &format!("{n}{long}"));
        }
        assert_eq!(all.noted().count(), NOTED_MAX);
        assert!(
            all.noted()
                .all(|name| name.len() <= 8 + NOTED_NAME_BYTES_MAX)
        );
    }
}
