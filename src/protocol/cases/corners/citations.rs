//! Citations of a whole text, which Claude makes before it speaks: their span is that of the text (protocols.md 7.2).

use super::{answered, sse};
use crate::protocol::testing::{check_stream, cx, made};
use crate::protocol::{Protocol, Translator};
use Protocol::{Chat, Messages, Responses};

const CITED: &str = r#"{"type":"web_search_result_location","url":"https://a","title":"A","cited_text":"c","encrypted_index":"e"}"#;
const BEGIN: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#;

fn frames(texts: &[(usize, &str)]) -> Vec<String> {
    let mut frames = vec![BEGIN.to_owned()];
    for (index, (citations, text)) in texts.iter().enumerate() {
        frames.push(format!(
            r#"{{"type":"content_block_start","index":{index},"content_block":{{"type":"text","text":"","citations":[]}}}}"#
        ));
        let cited = format!(
            r#"{{"type":"content_block_delta","index":{index},"delta":{{"type":"citations_delta","citation":{CITED}}}}}"#
        );
        frames.extend(std::iter::repeat_n(cited, *citations));
        frames.push(format!(
            r#"{{"type":"content_block_delta","index":{index},"delta":{{"type":"text_delta","text":"{text}"}}}}"#
        ));
        frames.push(format!(
            r#"{{"type":"content_block_stop","index":{index}}}"#
        ));
    }
    frames.push(r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1}}"#.to_owned());
    frames.push(r#"{"type":"message_stop"}"#.to_owned());
    frames
}

fn stream(texts: &[(usize, &str)]) -> String {
    let frames = frames(texts);
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    sse(&frames)
}

#[test]
fn a_citation_before_its_text_spans_all_of_it() {
    let stream = stream(&[(0, "So "), (1, "wörld")]);
    let told = check_stream(Messages, Responses, &cx(Responses, Messages), &stream);
    let cited =
        r#""type":"url_citation","start_index":0,"end_index":5,"url":"https://a","title":"A""#;
    // In its own event, its part, its item and the answer.
    assert_eq!(told.out.matches(cited).count(), 4, "{}", told.out);
    assert_eq!(told.out.matches("url_citation").count(), 4, "{}", told.out);
    let told = check_stream(Messages, Chat, &cx(Chat, Messages), &stream);
    let cited = r#"{"start_index":3,"end_index":8,"url":"https://a","title":"A"}"#;
    assert_eq!(told.out.matches(cited).count(), 1, "{}", told.out);
    let whole = format!(
        r#"{{"content":[{{"type":"text","text":"So "}},{{"type":"text","text":"wörld","citations":[{CITED}]}},{{"type":"text","text":"!","citations":[{CITED}]}}],"stop_reason":"end_turn"}}"#
    );
    let (body, _) = answered(&cx(Chat, Messages), &whole).unwrap();
    for span in [(3, 8), (8, 9)] {
        let span = format!(r#""start_index":{},"end_index":{}"#, span.0, span.1);
        assert!(body.contains(&span), "{span} in {body}");
    }
}

#[test]
fn many_citations_of_a_long_text_are_no_more_work_than_the_text() {
    let long = "ö".repeat(400_000);
    let stream = stream(&[(1500, &long), (1500, &long)]);
    for client in [Chat, Responses] {
        let mut translator = Translator::new(Messages, client, cx(client, Messages), made());
        let mut out = Vec::new();
        translator.feed(stream.as_bytes(), &mut out).unwrap();
        assert!(translator.is_finished());
        let cited = String::from_utf8(out).unwrap();
        let ends = if client == Chat { 800_000 } else { 400_000 };
        let end = format!(r#""end_index":{ends},"#);
        assert!(cited.matches(&end).count() >= 1500);
    }
    let cited = vec![CITED; 1500].join(",");
    let block = format!(r#"{{"type":"text","text":"{long}","citations":[{cited}]}}"#);
    let whole = format!(
        r#"{{"content":[{}],"stop_reason":"end_turn"}}"#,
        vec![block; 2].join(",")
    );
    for client in [Chat, Responses] {
        let (body, _) = answered(&cx(client, Messages), &whole).unwrap();
        assert_eq!(body.matches("\"url_citation\",").count(), 3000);
    }
}
