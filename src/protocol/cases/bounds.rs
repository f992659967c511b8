//! What one answer can make the gateway keep has an end: an upstream that goes on for ever is noticed, whatever it goes on with.

use crate::error::{Error, Kind};
use crate::protocol::Protocol::{self, Chat, Messages, Responses};
use crate::protocol::pipe::KEPT_BYTES_MAX;
use crate::protocol::testing::{chat_stream, cx, delta, made};
use crate::protocol::{Collector, Translator};

#[test]
fn endless_text_is_kept_only_where_it_is_told_again() {
    let large = "x".repeat(8_000_000);
    let piece = chat_stream(&[&delta(&format!(r#"{{"content":"{large}"}}"#))]);
    let times = KEPT_BYTES_MAX / large.len() + 1;
    for client in [Messages, Responses] {
        let mut translator = Translator::new(Chat, client, cx(client, Chat), made());
        let mut out = Vec::new();
        let mut ended = Ok(());
        let times = if client == Responses { times } else { 1 };
        for _ in 0..times {
            out.clear();
            ended = ended.and_then(|()| translator.feed(piece.as_bytes(), &mut out));
        }
        let kept = translator.held_bytes();
        if client == Responses {
            assert!(kept > KEPT_BYTES_MAX, "{kept}");
            assert_eq!(ended.unwrap_err().kind, Kind::BadReply);
        } else {
            assert_eq!((ended, kept), (Ok(()), 0));
        }
    }
    let mut collector = Collector::new(Chat, Messages, cx(Messages, Chat), made());
    collector.feed(piece.as_bytes()).unwrap();
    assert_eq!(collector.held_bytes(), large.len());
}

/// What a translator says to 20,000 repetitions, in each of which `#` is its number.
fn repeated(upstream: Protocol, client: Protocol, event: &str) -> Result<(), Error> {
    let mut translator = Translator::new(upstream, client, cx(client, upstream), made());
    let mut out = Vec::new();
    let opening = match upstream {
        Chat => "",
        Messages => "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\"}}\n\n",
        Responses => "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n",
    };
    translator.feed(opening.as_bytes(), &mut out)?;
    for number in 0..20_000 {
        out.clear();
        let event = event.replace('#', &number.to_string());
        translator.feed(event.as_bytes(), &mut out)?;
    }
    Ok(())
}

#[test]
fn endless_blocks_are_not_an_answer() {
    let thought = "data: {\"type\":\"content_block_start\",\"index\":#,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}\n\ndata: {\"type\":\"content_block_stop\",\"index\":#}\n\n";
    let search = "data: {\"type\":\"response.output_item.done\",\"output_index\":#,\"item\":{\"type\":\"web_search_call\",\"id\":\"w#\"}}\n\n";
    for (upstream, client, event) in [(Messages, Chat, thought), (Responses, Messages, search)] {
        let error = repeated(upstream, client, event).unwrap_err();
        assert_eq!(error.kind, Kind::BadReply, "{upstream:?}: {event}");
    }
}
