//! Questions to an upstream that cost nothing: which models it has, and which of the three protocols it speaks.
//! A protocol is tried with the body `{}`, which names no model and holds no message, so there is nothing that could be
//! answered and charged; how it is refused tells whether the endpoint exists.

use super::models::{DEADLINE, detailed, list};
use super::{Answer, Request, object};
use crate::error::{Error, Kind};
use crate::gateway::config::{Findings, Problem};
use crate::gateway::config::{Node, secret::is_masked, shown};
use crate::gateway::live::{Refused, surroundings};
use crate::gateway::outbound::{Outbound, Voice};
use crate::gateway::snapshot::{Snapshot, Upstream};
use crate::net::alarm::Alarm;
use crate::net::buffer::Buffer;
use crate::net::client::{self, Call};
use crate::net::exchange::RequestBody;
use crate::net::{Running, together};
use crate::protocol::{ANTHROPIC_VERSION, Protocol};
use crate::wire::head::Method;
use serde_json::{Value, json};
use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;
use tokio::time::timeout;

/// A list of models, or a refusal, is no larger.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Characters of an upstream's own words that are repeated.
const QUOTED_CHARS_MAX: usize = 200;

/// A model an upstream offers.
pub(super) struct Offer {
    pub id: String,
    pub max_model_len: Option<u64>,
}

struct Reply {
    status: u16,
    is_json: bool,
    body: Buffer,
}

/// Asks the upstream for its models.
pub(super) async fn models(upstream: &Upstream) -> Result<Vec<Offer>, Error> {
    let protocol = Protocol::ALL
        .into_iter()
        .find(|&protocol| upstream.supports(protocol));
    let protocol = protocol.unwrap_or(Protocol::Chat);
    let mut path = upstream.path(protocol, "/models");
    if upstream.kind == "anthropic" {
        path.to_mut().push_str("?limit=1000"); // its pages hold 20
    }
    let reply = ask(upstream, protocol, Method::Get, &path, b"").await?;
    let url = upstream.url(protocol, &path);
    if !(200..300).contains(&reply.status) {
        let words = words_of(upstream, &reply);
        return Err(Error::upstream(
            Kind::BadReply,
            format!("{url} answered {}{words}", reply.status),
        ));
    }
    let offers = read_models(reply.body.data());
    offers.ok_or_else(|| {
        Error::upstream(
            Kind::BadReply,
            format!("what {url} answered is not a list of models"),
        )
    })
}

/// `{"data":[{"id"}]}`, or `{"models":[{"slug"}]}`; None: neither.
fn read_models(body: &[u8]) -> Option<Vec<Offer>> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let list = match &value {
        Value::Array(list) => list,
        value => value
            .get("data")
            .or_else(|| value.get("models"))?
            .as_array()?,
    };
    let offer = |model: &Value| {
        let text = |key: &str| model.get(key).and_then(Value::as_str);
        let id = text("id")
            .or_else(|| text("slug"))
            .or_else(|| text("name"))?;
        let lengths = [
            "max_model_len",
            "context_window",
            "context_length",
            "max_input_tokens",
        ];
        let length = lengths.into_iter().find_map(|key| model.get(key)?.as_u64());
        Some(Offer {
            id: id.to_owned(),
            max_model_len: length,
        })
    };
    Some(list.iter().filter_map(offer).collect())
}

/// The upstream's own words in an error answer, without its secrets.
fn words_of(upstream: &Upstream, reply: &Reply) -> String {
    let body = upstream.mask_secrets(reply.body.data());
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    let error = value.get("error").unwrap_or(&value);
    let words = [
        error.get("message"),
        Some(error),
        value.get("detail"),
        value.get("message"),
    ];
    let words = words.into_iter().flatten().find_map(Value::as_str);
    match words.map(str::trim) {
        Some(words) if !words.is_empty() => {
            let words: String = words.chars().take(QUOTED_CHARS_MAX).collect();
            format!(": {words}")
        }
        _ => String::new(),
    }
}

async fn ask(
    upstream: &Upstream,
    protocol: Protocol,
    method: Method,
    path: &str,
    body: &[u8],
) -> Result<Reply, Error> {
    let outbound = Outbound {
        upstream,
        protocol,
        target: path,
        length: body.len(),
        content_type: b"application/json",
        voice: Voice::Gateway {
            betas: &[],
            anthropic_version: ANTHROPIC_VERSION,
        },
        sidecar: None,
    };
    let mut head = Buffer::new();
    head.append_with(|out| {
        outbound.write_head(out, method);
    });
    let mut alarm = Alarm::new(DEADLINE);
    let mut answer = client::send(
        &Call {
            origin: upstream.origin(protocol),
            method,
            parts: &[head.data(), body],
            timeouts: upstream.timeouts,
            retry: upstream.retry,
        },
        &mut alarm,
    )
    .await?;
    let mut collected = Buffer::new();
    let done = answer.body.is_done();
    loop {
        if done || collected.len() > ANSWER_BYTES_MAX {
            break;
        }
        let last = poll_fn(|cx| {
            answer.body.poll_piece(cx, |piece| {
                collected.extend(piece.data());
                piece.last
            })
        })
        .await?;
        if last {
            break;
        }
    }
    let content_type = answer.head.headers.text("content-type").unwrap_or_default();
    Ok(Reply {
        status: answer.head.status,
        is_json: content_type.to_ascii_lowercase().contains("json"),
        body: collected,
    })
}

/// What the refusal of `{}` tells of a protocol's endpoint: whether it is there (None: cannot be told), and why.
fn judge(status: u16, is_json: bool, body: &[u8]) -> (Option<bool>, &'static str) {
    let talks_of_a_model = || {
        String::from_utf8_lossy(body)
            .to_ascii_lowercase()
            .contains("model")
    };
    match status {
        200..300 | 400 | 402 | 409 | 413 | 422 | 429 if is_json => {
            (Some(true), "the endpoint is there")
        }
        200..300 | 400 | 422 => (Some(false), "what answers there is not an API"),
        // Some servers look for the model first, and call a missing one not found.
        404 if is_json && talks_of_a_model() => {
            (Some(true), "the endpoint is there and asks for a model")
        }
        404 | 405 | 410 | 501 => (Some(false), "there is no such endpoint"),
        401 | 403 => (None, "the key is refused, so it cannot be told"),
        300..400 => (None, "it redirects: set base_url to where it points"),
        _ => (None, "the server failed, so it cannot be told"),
    }
}

impl Request<'_> {
    pub(super) async fn test_upstream(&self, body: &RequestBody) -> Result<Answer, Error> {
        let body = object(body)?;
        let upstream = match self.candidate(&body) {
            Ok(found) => found,
            Err(list) => {
                return Ok(super::config::refused(
                    Refused::Problems(list),
                    self.snapshot,
                ));
            }
        };
        let models = async {
            timeout(DEADLINE, models(&upstream))
                .await
                .unwrap_or_else(|_| late(DEADLINE))
        };
        let tries = Protocol::ALL.map(|protocol| {
            let upstream = &upstream;
            Box::pin(async move {
                let path = upstream.path(protocol, protocol.path());
                let asked = ask(upstream, protocol, Method::Post, &path, b"{}");
                timeout(DEADLINE, asked)
                    .await
                    .unwrap_or_else(|_| late(DEADLINE))
            }) as Running<'_, Result<Reply, Error>>
        });
        let (models, tries) = both(models, together(tries.into())).await;
        let unreachable = models
            .as_ref()
            .err()
            .filter(|_| tries.iter().all(Result::is_err));
        if let Some(error) = unreachable {
            return Err(error.clone());
        }
        let mut protocols = json!({});
        for (protocol, answer) in Protocol::ALL.into_iter().zip(tries) {
            protocols[protocol.name()] = match answer {
                Ok(reply) => {
                    let (speaks, detail) = judge(reply.status, reply.is_json, reply.body.data());
                    let words = words_of(&upstream, &reply);
                    json!({"speaks": speaks, "status": reply.status, "detail": format!("{detail}{words}")})
                }
                Err(error) => json!({"speaks": null, "status": null, "detail": error.message}),
            };
        }
        let mut answer = match &models {
            Ok(offers) => list(offers),
            Err(_) => json!({"object": "list", "data": [], "models": detailed(&[])}),
        };
        answer["models_error"] = json!(models.err().map(|error| error.message));
        answer["protocols"] = protocols;
        Ok(Answer::ok(&answer))
    }

    /// The upstream a body of `…/test` describes, as a configuration with that one upstream would have it.
    fn candidate(
        &self,
        body: &serde_json::Map<String, Value>,
    ) -> Result<std::sync::Arc<Upstream>, Vec<Problem>> {
        let own = [
            "base_url",
            "anthropic_base_url",
            "headers",
            "ca_file",
            "proxy",
            "kind",
        ];
        let mut described = json!({"name": "test", "support_chat_completions": true, "support_responses": true, "support_anthropic_messages": true});
        for key in own {
            if let Some(value) = body.get(key).filter(|value| !value.is_null()) {
                described[key] = value.clone();
            }
        }
        let key = body.get("api_key").and_then(Value::as_str).map(str::trim);
        described["auth"] = json!({"type": "api_key", "key": key.filter(|key| !key.is_empty())});
        let stored = body.get("upstream").and_then(Value::as_str);
        if let Some(name) = stored {
            described["name"] = json!(name);
        }
        let mut found = Vec::new();
        let text = json!({"upstreams": [described]}).to_string();
        let change = Node::from_json(text.as_bytes(), &mut found).unwrap_or(Node::Null);
        // Masks stand for the secrets of the stored upstream of that name and address only; there are no renames here.
        let mut base = self.snapshot.tree.clone();
        base.remove("aliases");
        if let (Some(name), Some(Node::List(all))) = (stored, base.get("upstreams")) {
            let same: Vec<Node> = all
                .iter()
                .filter(
                    |upstream| matches!(upstream.get("name"), Some(Node::Text(own)) if own == name),
                )
                .cloned()
                .collect();
            base.set("upstreams", Node::List(same));
        } else if key.is_some_and(is_masked) {
            let message =
                "this is the mask of a key: name the stored upstream, or enter the key itself";
            return Err(vec![Problem::new("api_key", message)]);
        } else {
            base.remove("upstreams");
        }
        let tree = shown::merge(&base, change, &mut found);
        let mut findings = Findings::default();
        let snapshot = surroundings(self.admin.live.folder(), |around| {
            Snapshot::of(tree, around, &mut findings)
        });
        for problem in findings.problems {
            if found.iter().all(|other| other.path != problem.path) {
                found.push(problem);
            }
        }
        for problem in &mut found {
            let path = problem.path.trim_start_matches("upstreams[0].");
            problem.path = if path == "auth.key" {
                "api_key".into()
            } else {
                path.to_owned()
            };
        }
        match snapshot {
            Some(snapshot) if found.is_empty() => {
                let upstream = snapshot.upstreams.first().cloned();
                upstream.ok_or(found)
            }
            _ => Err(found),
        }
    }
}

fn late<T>(limit: Duration) -> Result<T, Error> {
    let message = format!("no answer within {} s", limit.as_secs());
    Err(Error::upstream(Kind::Timeout, message))
}

/// Both outputs, waited for at the same time.
async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut first, mut second) = (None, None);
    poll_fn(|cx| {
        if first.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(cx)
        {
            first = Some(output);
        }
        if second.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(cx)
        {
            second = Some(output);
        }
        match (first.take(), second.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (first, second) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_models_come_in_three_shapes() {
        let ids = |body: &str| {
            let offers = read_models(body.as_bytes())?;
            Some(
                offers
                    .into_iter()
                    .map(|offer| (offer.id, offer.max_model_len))
                    .collect::<Vec<_>>(),
            )
        };
        let a = |length| Some(vec![("a".to_owned(), length)]);
        assert_eq!(
            ids(r#"{"data":[{"id":"a","max_model_len":9},{"x":1}]}"#),
            a(Some(9))
        );
        assert_eq!(
            ids(r#"{"models":[{"slug":"a","context_window":7}]}"#),
            a(Some(7))
        );
        assert_eq!(ids(r#"[{"id":"a"}]"#), a(None));
        assert_eq!(ids(r#"{"error":"no"}"#), None);
        assert_eq!(ids("<html>"), None);
    }

    #[test]
    fn how_nothing_is_refused_tells_what_is_there() {
        assert_eq!(judge(400, true, b"{}").0, Some(true));
        assert_eq!(judge(422, true, b"{}").0, Some(true));
        assert_eq!(
            judge(404, true, br#"{"error":"model is required"}"#).0,
            Some(true)
        );
        assert_eq!(
            judge(404, true, br#"{"detail":"Not Found"}"#).0,
            Some(false)
        );
        assert_eq!(judge(404, false, b"<html>model").0, Some(false));
        assert_eq!(judge(405, true, b"").0, Some(false));
        assert_eq!(judge(200, false, b"<html>").0, Some(false));
        for status in [301, 401, 403, 500, 503] {
            assert_eq!(judge(status, true, b"{}").0, None, "{status}");
        }
    }
}
