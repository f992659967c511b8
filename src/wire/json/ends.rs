//! Where the long containers of one body end, found in one walk over it. A reader goes down level by level, and each level
//! has to step over what it holds: without this, the arguments in an agent's history are walked over five times.
//!
//! What is found is kept for the thread and asked for by address. That is sound while a [`LongEnds`] lives: it borrows the
//! bytes, so that whatever lies at one of their addresses is a piece of them.

use super::scan::each_container;
use std::cell::RefCell;
use std::marker::PhantomData;

/// A container of this size is worth remembering; a shorter one is sooner walked over.
const LONG_BYTES_MIN: usize = 512;
/// Levels that are remembered, which no conversation passes: together with the size it bounds what is kept to a quarter of
/// the body.
const LEVELS_MAX: usize = 8;
/// Bodies below this are sooner walked over twice.
const BODY_BYTES_MIN: usize = 16 * 1024;
/// A list with room for more is not kept for the next body.
const SPARE_ENDS_MAX: usize = 16 * 1024;

struct Found {
    /// The address of the body. None: nothing is remembered.
    body: Option<usize>,
    bytes: usize,
    /// Where each starts and ends, sorted.
    spans: Vec<(usize, usize)>,
}

thread_local! {
    static FOUND: RefCell<Found> = const {
        RefCell::new(Found { body: None, bytes: 0, spans: Vec::new() })
    };
}

/// While it lives, the long containers of a body are stepped over at once.
pub struct LongEnds<'b> {
    /// Another body's stand there already, or the thread is ending: then this one's are walked over as ever.
    is_kept: bool,
    /// Of this thread only.
    body: PhantomData<(&'b [u8], *const ())>,
}

impl<'b> LongEnds<'b> {
    /// Walks over a body that was parsed.
    pub fn of(body: &'b [u8]) -> LongEnds<'b> {
        let found = FOUND.try_with(|found| {
            let mut found = found.borrow_mut();
            if body.len() < BODY_BYTES_MIN || found.body.is_some() {
                return false;
            }
            let spans = &mut found.spans;
            let start = body.len() - body.trim_ascii_start().len();
            let walked = each_container::<LEVELS_MAX>(body, start, |start, end| {
                if end - start >= LONG_BYTES_MIN {
                    spans.push((start, end));
                }
            });
            if walked.is_err() {
                spans.clear();
                return false;
            }
            spans.sort_unstable();
            found.body = Some(body.as_ptr().addr());
            found.bytes = body.len();
            true
        });
        LongEnds {
            is_kept: found.unwrap_or(false),
            body: PhantomData,
        }
    }
}

impl Drop for LongEnds<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            return;
        }
        let _ = FOUND.try_with(|found| {
            let mut found = found.borrow_mut();
            found.body = None;
            found.spans.clear();
            found.spans.shrink_to(SPARE_ENDS_MAX);
        });
    }
}

/// Where the container ends that starts at `start` in `text`, if that is known.
#[inline]
pub(super) fn known_end(text: &[u8], start: usize) -> Option<usize> {
    if text.len() - start < LONG_BYTES_MIN {
        return None;
    }
    let end = FOUND.try_with(|found| found.borrow().end_of(text, start));
    end.ok().flatten()
}

impl Found {
    fn end_of(&self, text: &[u8], start: usize) -> Option<usize> {
        let offset = text.as_ptr().addr().checked_sub(self.body?)?;
        if offset >= self.bytes {
            return None;
        }
        let spans = &self.spans;
        let at = spans.binary_search_by_key(&(offset + start), |&(start, _)| start);
        let (_, end) = spans[at.ok()?];
        Some(end - offset).filter(|&end| end <= text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::{Object, Raw};

    fn body() -> String {
        let long = "a \\\"quoted\\\" [word] ".repeat(60);
        let turn =
            format!(r#"{{"role":"user","content":[{{"text":"{long}"}},{{"text":"{long}"}}]}}"#);
        format!(
            r#" {{"model":"m","messages":[{}]}}"#,
            [turn.as_str(); 12].join(" , ")
        )
    }

    fn walked(raw: Raw<'_>, seen: &mut Vec<String>) {
        seen.push(raw.text().to_owned());
        if let Ok(object) = raw.as_object() {
            object.iter().for_each(|(_, raw)| walked(raw, seen));
        }
        if let Ok(elements) = raw.elements() {
            elements.for_each(|raw| walked(raw, seen));
        }
    }

    fn everything(text: &str) -> Vec<String> {
        let mut seen = Vec::new();
        walked(Raw::parse(text).unwrap(), &mut seen);
        seen
    }

    #[test]
    fn what_is_remembered_is_what_would_be_found() {
        let body = body();
        let plain = everything(&body);
        let ends = LongEnds::of(body.as_bytes());
        assert!(ends.is_kept);
        let start = body.find('[').unwrap();
        assert_eq!(known_end(body.as_bytes(), start), Some(body.len() - 1));
        // In a piece of it, too, but not past its end.
        assert_eq!(
            known_end(&body.as_bytes()[5..], start - 5),
            Some(body.len() - 6)
        );
        assert_eq!(known_end(&body.as_bytes()[..9_000], start), None);
        assert_eq!(
            known_end(body.as_bytes(), start + 1),
            Some(start + 1 + turn_bytes(&body))
        );
        assert_eq!(known_end(body.as_bytes(), start + 2), None);
        assert_eq!(everything(&body), plain);
    }

    fn turn_bytes(body: &str) -> usize {
        let object = Object::parse(body.as_bytes()).unwrap();
        let messages = object.get("messages").unwrap();
        messages.elements().unwrap().next().unwrap().text().len()
    }

    #[test]
    fn another_text_is_never_taken_for_it_and_nothing_outlives_it() {
        let (body, other) = (body(), body().replace("word", "w]rd"));
        let start = body.find('[').unwrap();
        let ends = LongEnds::of(body.as_bytes());
        let second = LongEnds::of(other.as_bytes());
        assert!(!second.is_kept);
        assert_eq!(known_end(other.as_bytes(), start), None);
        drop(second);
        assert!(known_end(body.as_bytes(), start).is_some());
        drop(ends);
        assert_eq!(known_end(body.as_bytes(), start), None);
        assert!(LongEnds::of(other.as_bytes()).is_kept);
    }

    #[test]
    fn only_so_many_levels_are_remembered() {
        let deep = format!(
            "{}{}{}",
            "[".repeat(10_000),
            " ".repeat(9_000),
            "]".repeat(10_000)
        );
        let _ends = LongEnds::of(deep.as_bytes());
        assert_eq!(
            known_end(deep.as_bytes(), LEVELS_MAX - 1),
            Some(deep.len() - LEVELS_MAX + 1)
        );
        assert_eq!(known_end(deep.as_bytes(), LEVELS_MAX), None);
        assert!(Raw::parse(&deep).unwrap().elements().is_ok());
    }
}
