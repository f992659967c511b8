//! Stop sequences for upstreams that cannot look for them (protocols.md 6.5): the visible text is cut exactly before the first
//! match, however it was split. Only then is text decoded; without such stops this stage does not exist.

use super::estimate::TOKEN_BYTES;
use super::neutral::{Event, Finish, Piece, Reason, Usage};
use super::text::Text;
use crate::error::Error;

/// Scans the text blocks of one answer.
pub struct Stops {
    stops: Vec<String>,
    longest: usize,
    /// Text not passed on yet: it may be the beginning of a stop. At most `longest - 1` bytes.
    tail: String,
    /// Whether the upstream has reported usage. It will not any more once it is cut off.
    counted: bool,
    /// Input tokens and bytes of the answer so far, to estimate by.
    input: u64,
    passed: u64,
}

impl Stops {
    /// A scanner for those sequences; None if there are none to look for.
    pub fn new(stops: &[String], input_estimate: u64) -> Option<Stops> {
        let stops: Vec<String> = stops
            .iter()
            .filter(|stop| !stop.is_empty())
            .cloned()
            .collect();
        let longest = stops.iter().map(String::len).max()?;
        Some(Stops {
            stops,
            longest,
            tail: String::new(),
            counted: false,
            input: input_estimate,
            passed: 0,
        })
    }

    /// Passes the event on, or holds its text back, or ends the answer. True: a stop was met, nothing more may follow.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn step(
        &mut self,
        event: Event<'_>,
        out: &mut dyn FnMut(Event<'_>) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        match event {
            Event::Delta(Piece::Text { text, .. }) => self.text(&text.decode(), out),
            Event::Close { whole } => {
                self.flush(out)?;
                out(Event::Close { whole })?;
                Ok(false)
            }
            other => {
                self.counted |= matches!(other, Event::Usage(_));
                if let Event::Delta(Piece::Reasoning(text) | Piece::Arguments(text)) = &other {
                    self.passed += text.as_escaped().len() as u64;
                }
                out(other)?;
                Ok(false)
            }
        }
    }

    fn text(
        &mut self,
        text: &str,
        out: &mut dyn FnMut(Event<'_>) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        self.tail.push_str(text);
        self.passed += text.len() as u64;
        let found = self
            .stops
            .iter()
            .filter_map(|stop| Some((self.tail.find(stop.as_str())?, stop)));
        if let Some((at, stop)) =
            found.min_by_key(|(at, stop)| (*at, std::cmp::Reverse(stop.len())))
        {
            let stop = Text::owned(stop.clone());
            self.tail.truncate(at);
            self.flush(out)?;
            out(Event::Close { whole: true })?;
            if !self.counted {
                out(Event::Usage(Usage {
                    input: self.input,
                    output: self.passed.div_ceil(TOKEN_BYTES),
                    ..Usage::default()
                }))?;
            }
            out(Event::Finish(Finish {
                stop: Some(stop),
                ..Finish::of(Reason::Done)
            }))?;
            return Ok(true);
        }
        // What could still become a stop stays: the longest tail that begins one.
        let from = self.tail.len().saturating_sub(self.longest - 1);
        let held = (from..self.tail.len())
            .filter(|&at| self.tail.is_char_boundary(at))
            .find(|&at| {
                self.stops
                    .iter()
                    .any(|stop| stop.starts_with(&self.tail[at..]))
            });
        let cut = held.unwrap_or(self.tail.len());
        if cut > 0 {
            out(Event::Delta(Piece::text(Text::plain(&self.tail[..cut]))))?;
            self.tail.drain(..cut);
        }
        Ok(false)
    }

    fn flush(&mut self, out: &mut dyn FnMut(Event<'_>) -> Result<(), Error>) -> Result<(), Error> {
        if !self.tail.is_empty() {
            out(Event::Delta(Piece::text(Text::plain(&self.tail))))?;
            self.tail.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, Option<String>) {
        let stops: Vec<String> = stops.iter().map(|&s| s.to_owned()).collect();
        let mut scanner = Stops::new(&stops, 3).unwrap();
        let (mut text, mut met) = (String::new(), None);
        let mut out = |event: Event<'_>| {
            match event {
                Event::Delta(Piece::Text { text: more, .. }) => text.push_str(&more.decode()),
                Event::Finish(finish) => met = finish.stop.map(|stop| stop.decode().into_owned()),
                _ => {}
            }
            Ok(())
        };
        for piece in pieces {
            if scanner
                .step(Event::Delta(Piece::text(Text::plain(piece))), &mut out)
                .unwrap()
            {
                return (text, met);
            }
        }
        scanner
            .step(Event::Close { whole: true }, &mut out)
            .unwrap();
        (text, met)
    }

    #[test]
    fn text_is_cut_before_the_first_match_however_it_was_split() {
        let whole = "one\ntwo\n\nthree";
        for at in 0..=whole.len() {
            for to in at..=whole.len() {
                let pieces = [&whole[..at], &whole[at..to], &whole[to..]];
                let (text, met) = run(&["\n\n", "END"], &pieces);
                assert_eq!(
                    (text.as_str(), met.as_deref()),
                    ("one\ntwo", Some("\n\n")),
                    "{at} {to}"
                );
            }
        }
    }

    #[test]
    fn what_only_begins_a_stop_comes_out_in_the_end() {
        assert_eq!(
            run(&["END"], &["the E", "N", "ergy EN"]),
            ("the ENergy EN".to_owned(), None)
        );
        assert_eq!(
            run(&["é!"], &["caf", "é", " é!x"]),
            ("café ".to_owned(), Some("é!".to_owned()))
        );
    }

    #[test]
    fn nothing_to_look_for_is_no_scanner() {
        assert!(Stops::new(&[], 0).is_none());
        assert!(Stops::new(&[String::new()], 0).is_none());
    }
}
