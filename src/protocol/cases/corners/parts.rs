//! What each role may say: a part that its writer has no place for is refused, and never lost (protocols.md 0.1, 1.2).

use super::{ask, param};
use crate::protocol::{Caps, Protocol};
use Protocol::{Chat, Messages, Responses};

const IMAGE: &str = r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBOR"}}"#;
const SOUND: &str = r#"{"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}}"#;
const FILE: &str = r#"{"type":"file","file":{"filename":"a.pdf","file_data":"JVBER"}}"#;
const REFUSAL: &str = r#"{"type":"refusal","refusal":"No."}"#;

/// Where a Chat conversation whose message of that role holds that part is refused.
fn refused(to: Protocol, role: &str, part: &str) -> String {
    let call = r#"{"role":"assistant","tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{}"}}]}"#;
    let first = if role == "tool" {
        call
    } else {
        r#"{"role":"assistant","content":"a"}"#
    };
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"a"}},{first},{{"role":"{role}","tool_call_id":"t1","content":[{{"type":"text","text":"b"}},{part}]}},{{"role":"user","content":"c"}}]}}"#
    );
    param(ask(Chat, to, &Caps::default(), &body))
}

#[test]
fn a_part_that_a_role_cannot_say_is_refused_and_not_lost() {
    for to in [Responses, Messages] {
        for part in [IMAGE, SOUND, FILE] {
            assert_eq!(
                refused(to, "assistant", part),
                "messages[2].content",
                "{part}"
            );
        }
        for part in [SOUND, REFUSAL] {
            assert_eq!(refused(to, "tool", part), "messages[2].content", "{part}");
        }
        assert_eq!(refused(to, "user", REFUSAL), "messages[2].content");
    }
}

#[test]
fn a_tools_answer_that_is_sound_is_refused() {
    let body = r#"{"model":"m","input":[{"role":"user","content":"a"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":[{"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}}]}]}"#;
    for to in [Chat, Messages] {
        let told = ask(Responses, to, &Caps::default(), body);
        assert_eq!(param(told), "input[2].output");
    }
}
