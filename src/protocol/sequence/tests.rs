use super::*;
use crate::protocol::neutral::{Grammar, Start};

/// Runs a script (`open 1 text`, `1 hi`, `close 1`, `finish`) and writes what comes out in one line.
fn run(script: &[&str]) -> Result<String, Error> {
    let mut sequencer = Sequencer::default();
    let mut grammar = Grammar::Before;
    let mut seen = Vec::new();
    let mut out = |event: Event<'_>| {
        grammar = grammar.step(&event)?;
        seen.push(match &event {
            Event::Open(Open::Call(head)) => format!("[{}", head.name.decode()),
            Event::Open(Open::Text) => "[text".to_owned(),
            Event::Open(_) => "[thought".to_owned(),
            Event::Delta(
                Piece::Arguments(text) | Piece::Reasoning(text) | Piece::Text { text, .. },
            ) => text.decode().into_owned(),
            Event::Close { whole: true } => "]".to_owned(),
            Event::Close { whole: false } => "]cut".to_owned(),
            Event::Finish(_) => "end".to_owned(),
            _ => String::new(),
        });
        Ok(())
    };
    let mut push = |block, event| sequencer.push(Keyed { block, event }, &mut out);
    push(0, Event::Start(Start::default()))?;
    for line in script {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        let key = |at: usize| words[at].trim_start_matches(['t', 'r']).parse().unwrap();
        match words[0] {
            "open" => {
                let open = match words[2] {
                    "text" => Open::Text,
                    "thought" => Open::Reasoning,
                    name => Open::Call(Opened {
                        id: Text::EMPTY,
                        kind: if name == "free" {
                            CallKind::Custom
                        } else {
                            CallKind::Function
                        },
                        name: Text::plain(name),
                        namespace: None,
                    }),
                };
                push(key(1), Event::Open(open))?;
            }
            "close" => push(key(1), Event::Close { whole: true })?,
            "finish" => push(0, Event::Finish(Finish::of(Reason::Done)))?,
            "limit" => push(0, Event::Finish(Finish::of(Reason::Length)))?,
            first if first.starts_with('t') => {
                push(key(0), Event::Delta(Piece::text(Text::plain(words[1]))))?
            }
            first if first.starts_with('r') => push(
                key(0),
                Event::Delta(Piece::Reasoning(Text::plain(words[1]))),
            )?,
            _ => push(
                key(0),
                Event::Delta(Piece::Arguments(Text::plain(words[1]))),
            )?,
        }
    }
    Ok(seen.join(" ").trim().to_owned())
}

#[test]
fn calls_that_interleave_come_out_one_after_another() {
    let script = [
        "open 1 a",
        "open 2 b",
        "1 {",
        "2 {\"x\":",
        "1 }",
        "2 1}",
        "finish",
    ];
    assert_eq!(run(&script).unwrap(), "[a { } ] [b {\"x\": 1} ] end");
}

#[test]
fn a_whole_call_makes_room_at_once() {
    assert_eq!(
        run(&["open 1 a", "1 {}", "open 2 b", "2 {}", "finish"]).unwrap(),
        "[a {} ] [b {} ] end"
    );
    assert_eq!(
        run(&["open 1 a", "open 2 b", "1 {}", "2 {}", "finish"]).unwrap(),
        "[a {} ] [b {} ] end"
    );
}

#[test]
fn text_behind_an_unfinished_call_waits() {
    let script = [
        "open 1 a",
        "1 {",
        "open 2 text",
        "t2 hi",
        "1 }",
        "close 1",
        "t2 ho",
        "finish",
    ];
    assert_eq!(run(&script).unwrap(), "[a { } ] [text hi ho ] end");
}

#[test]
fn text_that_goes_on_after_a_call_is_a_new_block() {
    let script = ["open 1 text", "t1 x", "open 2 a", "2 {}", "t1 y", "finish"];
    assert_eq!(run(&script).unwrap(), "[text x ] [a {} ] [text y ] end");
}

#[test]
fn free_text_is_whole_only_when_its_upstream_says_so() {
    let script = [
        "open 1 free",
        "1 {}",
        "open 2 b",
        "2 {}",
        "1 more",
        "close 1",
        "finish",
    ];
    assert_eq!(run(&script).unwrap(), "[free {} more ] [b {} ] end");
}

#[test]
fn a_late_fragment_is_an_error_unless_blank() {
    assert_eq!(
        run(&["open 1 a", "1 {}", "open 2 b", "1 \n", "finish"]).unwrap(),
        "[a {} ] [b ] end"
    );
    assert!(run(&["open 1 a", "1 {}", "open 2 b", "1 {}"]).is_err());
}

#[test]
fn a_call_at_the_limit_is_cut_unless_whole() {
    assert_eq!(run(&["open 1 a", "1 {", "limit"]).unwrap(), "[a { ]cut end");
    assert_eq!(run(&["open 1 a", "1 {}", "limit"]).unwrap(), "[a {} ] end");
    assert_eq!(
        run(&["open 1 a", "1 {", "open 2 text", "t2 x", "limit"]).unwrap(),
        "[a { ]cut [text x ] end"
    );
}

#[test]
fn what_is_held_is_bounded() {
    let mut sequencer = Sequencer::default();
    let mut out = |_: Event<'_>| Ok(());
    let call = |name| {
        Event::Open(Open::Call(Opened {
            id: Text::EMPTY,
            kind: CallKind::Function,
            name: Text::plain(name),
            namespace: None,
        }))
    };
    let mut push = |block, event| sequencer.push(Keyed { block, event }, &mut out);
    push(1, call("a")).unwrap();
    push(2, call("b")).unwrap();
    let piece = Text::owned("x".repeat(1 << 20));
    let mut pushed = 0;
    while push(2, Event::Delta(Piece::Arguments(piece.borrow()))).is_ok() {
        pushed += 1;
        assert!(pushed <= 64);
    }
    assert_eq!(pushed, 63);
}
