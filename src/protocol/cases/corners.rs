//! Corners of the tables of protocols.md 5 and 6 that no numbered case names.

mod answers;
mod citations;
mod content;
mod faults;
mod ids;
mod parts;
mod thinking;
mod tools;
mod vendors;

use crate::error::Error;
use crate::protocol::testing::{convert_request, convert_response, made};
use crate::protocol::{Caps, Context, Converted, Protocol, Warnings};
use Protocol::{Chat, Messages, Responses};

const F: &str = r#"{"type":"function","name":"f","strict":false,"parameters":{"type":"object","properties":{}}}"#;

/// The whole conversion, for that model.
fn convert(
    from: Protocol,
    to: Protocol,
    caps: &Caps,
    model: &str,
    body: &str,
) -> Result<Converted, Error> {
    convert_request(from, to, caps, model, body.as_bytes())
}

/// What the upstream gets, and the warnings.
fn ask(from: Protocol, to: Protocol, caps: &Caps, body: &str) -> Result<(String, String), Error> {
    let done = convert(from, to, caps, "up", body)?;
    let warnings = done.warnings.header().unwrap_or_default();
    Ok((String::from_utf8(done.body).unwrap(), warnings))
}

fn responses(to: Protocol, caps: &Caps, members: &str) -> Result<(String, String), Error> {
    let body = format!(r#"{{"model":"m","input":"Hi",{members}}}"#);
    ask(Responses, to, caps, &body)
}

fn chat(to: Protocol, caps: &Caps, members: &str) -> Result<(String, String), Error> {
    let body =
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"Hi"}}],{members}}}"#);
    ask(Chat, to, caps, &body)
}

fn messages(to: Protocol, caps: &Caps, members: &str) -> Result<(String, String), Error> {
    let body = format!(
        r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"Hi"}}],{members}}}"#
    );
    ask(Messages, to, caps, &body)
}

fn param(result: Result<(String, String), Error>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.status(), 400, "{error}");
    error.param.unwrap()
}

/// What the client gets for that whole answer, and the warnings.
fn answered(cx: &Context, body: &str) -> Result<(String, String), Error> {
    let mut warnings = Warnings::default();
    let (upstream, client) = (cx.upstream, cx.client);
    let told = convert_response(
        upstream,
        client,
        cx,
        &made(),
        body.as_bytes(),
        &mut warnings,
    )?;
    let warnings = warnings.header().unwrap_or_default();
    Ok((String::from_utf8(told).unwrap(), warnings))
}

/// A stream of those frames.
fn sse(frames: &[&str]) -> String {
    let frames = frames.iter().map(|frame| format!("data: {frame}\n\n"));
    frames.collect()
}
