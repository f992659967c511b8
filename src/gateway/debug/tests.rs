use super::*;
use crate::gateway::snapshot::tests::snapshot;
use crate::wire::head::{Searched, parse_request};
use serde_json::Value;

const CONFIG: &str = "upstreams: [{name: up, base_url: 'http://up', api_key: sk-upstream-0123}]\naliases: [{alias: m, target_model: t, upstream: up}]\n";

fn begin(snapshot: &Arc<Snapshot>, id: &str) -> Arc<Record> {
    let text = "POST /v1/chat/completions?key=sk-in-the-query&beta=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sk-mine\r\nUser-Agent: sdk\r\nopenai-api-key: sk-hidden-012\r\nCookie: c\r\n\r\n";
    let mut head = RequestHead::default();
    parse_request(text.as_bytes(), &mut Searched::default(), &mut head).unwrap();
    Record::begin(&Beginning {
        id,
        snapshot,
        head: &head,
        peer: "::ffff:10.0.0.7".parse().unwrap(),
        client_key: Some("laptop"),
        protocol: Protocol::Chat,
        received_at: Instant::now(),
    })
}

fn push(record: &mut Arc<Record>, side: Side, data: &[u8]) {
    Arc::get_mut(record).unwrap().push(side, data);
}

fn read(ring: &Ring, id: Option<&str>) -> Value {
    serde_json::from_slice(&ring.record(id).unwrap()).unwrap()
}

#[test]
fn a_record_has_the_seven_fields_and_no_secret() {
    let snapshot = Arc::new(snapshot(CONFIG));
    let ring = Ring::default();
    let mut record = begin(&snapshot, "req_1");
    push(
        &mut record,
        Side::ClientRequest,
        br#"{"model":"m","note":"sk-upstream-0123"}"#,
    );
    let route = snapshot.aliases[0].clone();
    Arc::get_mut(&mut record)
        .unwrap()
        .routed(&route, Protocol::Chat);
    Arc::get_mut(&mut record).unwrap().asks(
        "/v1/chat/completions",
        b"User-Agent: sdk\r\nopenai-api-key: sk-hidden-012\r\n",
        &[br#"{"model":"t","#, br#""n":12345678901234567890123}"#],
    );
    push(&mut record, Side::UpstreamResponse, b"data: sk-upstream");
    push(&mut record, Side::UpstreamResponse, b"-0123\n\n");
    let end = End {
        status: 200,
        complete: true,
        error: Some("no sk-upstream-0123".into()),
        ..End::default()
    };
    ring.keep(record, end);
    let text = String::from_utf8(ring.record(None).unwrap()).unwrap();
    for secret in [
        "sk-upstream-0123",
        "sk-mine",
        "sk-in-the-query",
        "sk-hidden-012",
        "Cookie",
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(
        text.contains("12345678901234567890123"),
        "numbers are kept: {text}"
    );
    let record = read(&ring, Some("req_1"));
    assert_eq!(record["client_request"]["model"], "m");
    assert_eq!(record["client_ip"], "10.0.0.7");
    assert_eq!(
        record["client_url"],
        "/v1/chat/completions?key=sk-i••••••uery&beta=1"
    );
    assert_eq!(record["endpoint"], "/v1/chat/completions");
    assert_eq!(record["upstream_url"], "http://up/v1/chat/completions");
    assert_eq!(record["upstream_request"]["model"], "t");
    assert_eq!(record["upstream_response"], "data: sk-u••••••0123\n\n");
    assert_eq!(record["client_response"], Value::Null);
    assert_eq!(record["client_key"], "laptop");
    assert_eq!(record["error"], "no sk-u••••••0123");
    assert_eq!(
        record["client_headers"][0],
        serde_json::json!(["User-Agent", "sdk"])
    );
    assert!(ring.record(Some("req_2")).is_none());
    let list: Value = serde_json::from_slice(&ring.list()).unwrap();
    assert_eq!(list[0]["error"], "no sk-u••••••0123");
    ring.clear();
    assert!(ring.record(None).is_none());
}

#[test]
fn the_ring_is_bounded_in_records_and_bytes() {
    let snapshot = Arc::new(snapshot(CONFIG));
    let ring = Ring::default();
    for n in 0..3 * RECORDS_MAX {
        ring.keep(begin(&snapshot, &format!("req_{n}")), End::default());
    }
    assert_eq!(ring.lock().records.len(), RECORDS_MAX);
    let large = vec![b'x'; 10 * SIDE_BYTES_MAX];
    for n in 0..3 * RECORDS_MAX {
        let mut record = begin(&snapshot, &format!("large_{n}"));
        for side in Side::ALL {
            push(&mut record, side, &large);
        }
        ring.keep(record, End::default());
        let kept = ring.lock();
        let bytes: usize = kept.records.iter().map(|record| record.capacity()).sum();
        assert_eq!(kept.bytes, bytes);
        assert!(bytes <= ALL_BYTES_MAX);
    }
    let record = read(&ring, None);
    assert_eq!(record["id"], format!("large_{}", 3 * RECORDS_MAX - 1));
    assert_eq!(record["cut"]["client_request"], 10 * SIDE_BYTES_MAX);
    assert_eq!(
        record["client_request"].as_str().unwrap().len(),
        SIDE_BYTES_MAX
    );
}

#[test]
fn a_secret_cut_at_the_end_of_a_side_is_not_shown_in_part() {
    let snapshot = Arc::new(snapshot(CONFIG));
    let ring = Ring::default();
    let mut record = begin(&snapshot, "req_1");
    push(
        &mut record,
        Side::ClientRequest,
        &vec![b'x'; SIDE_BYTES_MAX - 12],
    );
    push(&mut record, Side::ClientRequest, b"sk-upstream-0123");
    ring.keep(record, End::default());
    let shown = read(&ring, None);
    assert_eq!(
        shown["client_request"].as_str().unwrap(),
        "x".repeat(SIDE_BYTES_MAX - 12)
    );
}

#[test]
fn what_is_kept_after_a_reload_is_redacted_with_its_own_secrets() {
    let old = Arc::new(snapshot(CONFIG));
    let ring = Ring::default();
    let mut record = begin(&old, "req_1");
    push(&mut record, Side::ClientRequest, b"sk-upstream-0123");
    ring.keep(record, End::default());
    drop(old);
    assert_eq!(read(&ring, None)["client_request"], "sk-u••••••0123");
}
