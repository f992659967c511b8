//! The answers of the counting endpoints, for upstreams that cannot count.

use super::estimate::{TOKEN_BYTES, of_request};
use super::{Protocol, Warnings, twins};
use crate::wire::json::Object;

/// The tokens of that body; for a body that cannot be read, by its size. Never 0.
pub fn estimate_tokens(protocol: Protocol, body: &[u8]) -> u64 {
    let by_size = (body.len() as u64 / TOKEN_BYTES).max(1);
    let Ok(object) = Object::parse(body) else {
        return by_size;
    };
    match twins::read_request(protocol, object, &mut Warnings::default()) {
        Ok(request) => of_request(&request),
        Err(_) => by_size,
    }
}

/// The answer of the counting endpoint at `path` (after `/v1`) for that body; None: the path is not one of them.
pub fn estimate_answer(path: &str, body: &[u8]) -> Option<Vec<u8>> {
    let (protocol, head) = match path {
        "/messages/count_tokens" => (Protocol::Messages, "{"),
        "/responses/input_tokens" => (Protocol::Responses, r#"{"object":"response.input_tokens","#),
        _ => return None,
    };
    let tokens = estimate_tokens(protocol, body);
    Some(format!(r#"{head}"input_tokens":{tokens}}}"#).into_bytes())
}
