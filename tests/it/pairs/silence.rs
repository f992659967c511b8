//! Silence longer than proxies bear is filled: with comments before the answer has begun, then with the client's own sign of life.

use super::vendors::Speech;
use super::{House, Pair};
use crate::support::client::post;
use std::io::Read;
use std::time::Duration;

/// A little more than the 15 s after which a client of a conversion hears something.
pub const SILENCE: Duration = Duration::from_secs(16);

/// What a client of that protocol hears in the middle of a silent stream.
fn sign_of_life(client: Speech) -> &'static str {
    match client {
        Speech::Chat => "\"delta\":{},\"logprobs\":null,\"finish_reason\":null",
        Speech::Responses => ": keepalive\n\n",
        Speech::Messages => "event: ping\n",
    }
}

#[test]
fn silence_is_filled_in_all_converted_streams_and_the_answer_is_whole() {
    let house = House::with("timeouts: {first_byte: 60, idle: 60}");
    let plays = Pair::all()
        .into_iter()
        .flat_map(|pair| ["act:pause", "act:stutter"].map(|act| (pair, act)));
    // All at once: each of them only waits.
    std::thread::scope(|scope| {
        for (pair, act) in plays {
            let house = &house;
            scope.spawn(move || check(house, pair, act));
        }
    });
}

fn check(house: &House, pair: Pair, act: &str) {
    let mut client = house.gateway.client();
    let body = pair.body(act);
    client.send(post(pair.client.path(), "Connection: close\r\n", body));
    let patience = SILENCE + Duration::from_secs(20);
    let timeout = client.stream.set_read_timeout(Some(patience));
    timeout.expect("a socket option");
    let mut bytes = Vec::new();
    client.stream.read_to_end(&mut bytes).expect("an answer");
    let answer = String::from_utf8_lossy(&bytes).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200"), "{pair:?}: {answer}");
    // Chunks end where events do, so their sizes stand on lines of their own.
    let text = answer.split_once("\r\n\r\n").expect("a head").1.to_owned();
    let place = format!("{pair:?} {act}: {text}");
    assert_eq!(pair.client.text(&text, pair.stream), "Half done", "{place}");
    assert_eq!(
        text.contains(pair.client.end_mark()),
        pair.stream,
        "{place}"
    );
    if !pair.stream {
        return;
    }
    let mark = match act {
        "act:pause" => ": keepalive\n\n",
        _ => sign_of_life(pair.client),
    };
    let begun = text.find("Half").expect("it is there");
    let (before, after) = text.split_at(begun);
    let heard = match act {
        "act:pause" => before.contains(mark),
        _ => after.contains(mark),
    };
    // A verbatim stream is the upstream's bytes and nothing else.
    assert_eq!(heard, !pair.is_verbatim(), "{place}");
}
