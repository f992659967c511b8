//! `GET /v1/models`: one document that the clients of both vendors read.

use crate::support::gateway::config_for;
use crate::support::{Gateway, Upstream, plain_answer};

fn gateway(upstream: &Upstream) -> Gateway {
    let config = config_for(upstream).replace(
        "aliases:",
        "  - {name: off, base_url: 'http://127.0.0.1:9', enabled: false}\naliases:",
    );
    Gateway::start(format!(
        "{config}  - {{alias: claude-main, target_model: x, upstream: up, max_model_len: 200000}}
  - {{alias: hidden, target_model: x, upstream: off}}
"
    ))
}

#[test]
fn the_list_reads_as_either_vendors() {
    let upstream = Upstream::always(plain_answer());
    let gateway = gateway(&upstream);
    let reply = gateway.get("/v1/models").expect(200);
    assert_eq!(
        reply.header("content-type").as_deref(),
        Some("application/json")
    );
    let json = reply.json();
    assert_eq!(json["object"], "list");
    assert_eq!(json["has_more"], false);
    assert_eq!(json["first_id"], "m");
    assert_eq!(json["last_id"], "claude-main");
    let data = json["data"].as_array().expect("data");
    let ids: Vec<&str> = data.iter().filter_map(|m| m["id"].as_str()).collect();
    assert_eq!(ids, ["m", "claude-main"], "only what can be asked for");
    for model in data {
        assert_eq!(model["object"], "model");
        assert_eq!(model["type"], "model");
        assert_eq!(model["owned_by"], "up");
        assert!(model["created"].as_u64().is_some_and(|t| t > 1_700_000_000));
        let created_at = model["created_at"].as_str().expect("created_at");
        assert!(
            created_at.len() == 20 && created_at.ends_with('Z'),
            "{created_at}"
        );
        assert!(model["display_name"].is_string());
    }
    let again = gateway.get("/v1/models").expect(200).json();
    assert_eq!(again, json, "the same process, the same document");
    let codex = gateway
        .get("/v1/models?client_version=0.169.0")
        .expect(200)
        .json();
    assert_eq!(codex, json);
}

#[test]
fn one_model_is_the_entry_of_the_list() {
    let upstream = Upstream::always(plain_answer());
    let gateway = gateway(&upstream);
    let list = gateway.get("/v1/models").expect(200).json();
    let one = gateway.get("/v1/models/claude-main").expect(200).json();
    assert_eq!(one, list["data"][1]);
    let slashed = Gateway::start(format!(
        "{}  - {{alias: 'a/b c', target_model: x, upstream: up}}\n",
        config_for(&upstream)
    ));
    assert_eq!(
        slashed.get("/v1/models/a/b%20c").expect(200).json()["id"],
        "a/b c"
    );
    for hidden in ["hidden", "no-such", "target-model"] {
        let reply = gateway.get(&format!("/v1/models/{hidden}")).expect(404);
        assert_eq!(reply.json()["error"]["code"], "model_not_found");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn anthropic_clients_may_page() {
    let upstream = Upstream::always(plain_answer());
    let gateway = gateway(&upstream);
    let page = |query: &str| {
        gateway
            .client()
            .send(format!(
                "GET /v1/models{query} HTTP/1.1\r\nHost: g\r\nanthropic-version: 2023-06-01\r\n\r\n"
            ))
            .read_reply()
            .expect(200)
            .json()
    };
    let first = page("?limit=1");
    assert_eq!(first["data"][0]["id"], "m");
    assert_eq!(first["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(first["has_more"], true);
    let second = page("?limit=1&after_id=m");
    assert_eq!(second["data"][0]["id"], "claude-main");
    assert_eq!(second["has_more"], false);
    assert_eq!(
        page("?limit=1000")["data"].as_array().map(Vec::len),
        Some(2)
    );
}
