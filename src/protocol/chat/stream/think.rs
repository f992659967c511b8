//! `<think>…</think>` at the beginning of the content, for servers that leave it there (flag `think_tags`).

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// A piece of content, told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A thought.
    Thought(String),
    /// Text.
    Text(String),
}

/// Tells thoughts from text as they come.
pub struct Think {
    state: State,
    /// What may be the beginning of a tag.
    held: String,
}

#[derive(PartialEq, Eq)]
enum State {
    /// Nothing but white space has come.
    Start,
    Inside,
    /// After the closing tag, where white space is left out.
    Gap,
    Outside,
}

impl Think {
    /// At the start of an answer.
    pub fn new() -> Think {
        Think {
            state: State::Start,
            held: String::new(),
        }
    }

    /// Takes the next content.
    pub fn push(&mut self, text: &str) -> Vec<Told> {
        let mut told = Vec::new();
        self.held.push_str(text);
        loop {
            match self.state {
                State::Start => {
                    let seen = self.held.trim_start();
                    if let Some(rest) = seen.strip_prefix(OPEN) {
                        self.held = rest.to_owned();
                        self.state = State::Inside;
                    } else if OPEN.starts_with(seen) {
                        return told; // white space, or half a tag
                    } else {
                        self.state = State::Outside;
                    }
                }
                State::Inside => {
                    if let Some((thought, rest)) = self.held.split_once(CLOSE) {
                        if !thought.is_empty() {
                            told.push(Told::Thought(thought.to_owned()));
                        }
                        self.held = rest.to_owned();
                        self.state = State::Gap;
                        continue;
                    }
                    let tail = (1..CLOSE.len())
                        .rev()
                        .find(|&n| self.held.ends_with(&CLOSE[..n]));
                    let cut = self.held.len() - tail.unwrap_or(0);
                    let thought: String = self.held.drain(..cut).collect();
                    if !thought.is_empty() {
                        told.push(Told::Thought(thought));
                    }
                    return told;
                }
                State::Gap => {
                    self.held = self.held.trim_start().to_owned();
                    if self.held.is_empty() {
                        return told;
                    }
                    self.state = State::Outside;
                }
                State::Outside => {
                    if !self.held.is_empty() {
                        told.push(Told::Text(std::mem::take(&mut self.held)));
                    }
                    return told;
                }
            }
        }
    }

    /// What is held at the end.
    pub fn finish(&mut self) -> Option<Told> {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return None;
        }
        Some(match self.state {
            State::Inside => Told::Thought(held),
            _ => Told::Text(held),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pieces: &[&str]) -> (String, String) {
        let mut think = Think::new();
        let mut told: Vec<Told> = pieces.iter().flat_map(|piece| think.push(piece)).collect();
        told.extend(think.finish());
        let (mut thought, mut text) = (String::new(), String::new());
        for piece in told {
            match piece {
                Told::Thought(more) => thought.push_str(&more),
                Told::Text(more) => text.push_str(&more),
            }
        }
        (thought, text)
    }

    #[test]
    fn a_thought_is_told_from_text_however_it_was_split() {
        let whole = "\n<think>a < b</thin k</think>\n\nHi <think>";
        for at in 0..=whole.len() {
            let (head, tail) = whole.split_at(at);
            let expected = ("a < b</thin k".to_owned(), "Hi <think>".to_owned());
            assert_eq!(run(&[head, tail]), expected, "{at}");
        }
        assert_eq!(run(&["<thi"]), (String::new(), "<thi".to_owned()));
        assert_eq!(run(&["plain"]), (String::new(), "plain".to_owned()));
    }
}
