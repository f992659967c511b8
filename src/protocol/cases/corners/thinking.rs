//! Thinking that is asked for by its mode alone, and what a small answer leaves of it (protocols.md 5.10).

use super::chat;
use crate::protocol::{Caps, Protocol};
use Protocol::Messages;

const MODE: &str = r#""thinking":{"type":"enabled"}"#;

#[test]
fn a_mode_without_a_strength_is_never_lost() {
    let asked = |kind: &str, model: &str| {
        let members = format!(r#"{MODE},"max_tokens":20000"#);
        chat(Messages, &Caps::of(kind, model), &members).unwrap()
    };
    for (kind, model) in [
        ("anthropic", "claude-sonnet-4-5"),
        ("deepseek", "deepseek-chat"),
    ] {
        let (sent, warnings) = asked(kind, model);
        let budget = r#""thinking":{"type":"enabled","budget_tokens":10240}"#;
        assert!(sent.contains(budget), "{model}: {sent}");
        assert_eq!(warnings, "");
    }
    let (sent, _) = asked("anthropic", "claude-opus-4-6");
    assert!(sent.contains(r#""thinking":{"type":"adaptive""#), "{sent}");
    let (sent, warnings) = asked("anthropic", "claude-3-haiku-20240307");
    assert!(!sent.contains("thinking"), "{sent}");
    assert_eq!(warnings, "max_tokens:clamped,reasoning_effort:unsupported");
}

#[test]
fn a_budget_always_leaves_room_for_the_answer() {
    let deepseek = Caps::of("deepseek", "deepseek-chat");
    let (sent, warnings) = chat(
        Messages,
        &deepseek,
        r#""reasoning_effort":"high","max_tokens":500"#,
    )
    .unwrap();
    assert!(!sent.contains("budget_tokens"), "{sent}");
    assert_eq!(warnings, "reasoning_effort:no_room");
    // The client's own number, not one for the word it is nearest to.
    let own = r#""thinking":{"type":"enabled","budget_tokens":3000},"max_tokens":9000"#;
    let (sent, _) = chat(Messages, &deepseek, own).unwrap();
    assert!(sent.contains(r#""budget_tokens":3000"#), "{sent}");
}
