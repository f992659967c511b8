//! The measuring instruments, measured: the raw client directly against the scripted upstream.

use super::client::post;
use super::{Client, Ending, Gate, STREAM_HEAD, Upstream, json_answer};

#[test]
fn the_client_tells_whole_cut_and_reset_answers_apart() {
    let gate = Gate::new();
    let go = gate.clone();
    let upstream = Upstream::script(move |mut peer| {
        let request = peer.expect()?;
        match request.text().as_str() {
            "whole" => peer.send(format!("{STREAM_HEAD}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))?,
            "sized" => peer.send(json_answer(201, "{}"))?,
            "cut" => {
                peer.send(format!("{STREAM_HEAD}3\r\nabc\r\n"))?;
                return Ok(());
            }
            _ => {
                peer.send(format!("{STREAM_HEAD}3\r\nabc\r\n"))?;
                go.wait();
                return peer.reset();
            }
        }
        peer.wait_closed()?;
        Ok(())
    });
    let whole = Client::connect(upstream.addr)
        .post("/x", "whole")
        .expect(200);
    assert_eq!(whole.text(), "abcde");
    let sized = Client::connect(upstream.addr)
        .post("/x", "sized")
        .expect(201);
    assert_eq!(sized.json(), serde_json::json!({}));
    let cut = Client::connect(upstream.addr).post("/x", "cut");
    assert!(!cut.whole && cut.text() == "abc");
    let mut client = Client::connect(upstream.addr);
    client.send(post("/x", "", "reset")).read_until("abc\r\n");
    gate.open();
    let (rest, ending) = client.read_to_end();
    assert_eq!((rest.len(), ending), (0, Ending::Reset));
    assert_eq!((upstream.connections(), upstream.requests()), (4, 4));
    assert_eq!(
        upstream.request(1).header("host").as_deref(),
        Some("gateway")
    );
}

#[test]
fn a_leaving_client_is_seen_by_the_script() {
    let closed = Gate::new();
    let tell = closed.clone();
    let upstream = Upstream::script(move |mut peer| {
        peer.expect()?;
        peer.wait_closed()?;
        tell.open();
        Ok(())
    });
    for reset in [false, true] {
        let mut client = Client::connect(upstream.addr);
        client.send(post("/x", "", "{}"));
        upstream.request(usize::from(reset));
        if reset {
            client.reset();
        } else {
            drop(client);
        }
        closed.wait();
    }
}
