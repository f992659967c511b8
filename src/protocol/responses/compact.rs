//! Compaction for upstreams that have none (protocols.md 6.4): the conversation is summarised by one more request to the same
//! model, and the summary travels in a carrier that only a gateway opens, `gw1.k.` and base64url.

use super::output::{self, Envelope};
use super::stream::{frame, usage};
use crate::error::{Blame, Error};
use crate::protocol::Made;
use crate::protocol::carrier;
use crate::protocol::context::Context;
use crate::protocol::neutral::Usage;
use crate::protocol::refusal::wrong;
use crate::protocol::render::Members;
use crate::protocol::text::Text;
use crate::wire::json::{Edit, Object, Raw, member, splice};
use crate::wire::text::{base64url, base64url_decode};

/// What the model is asked. The words after the dash are what an agent needs to go on.
const ASK: &str = "Summarize this conversation so that you can go on from the summary alone - the task and every requirement, decisions and their reasons, files and commands with their results, what is done, what is open, and the next step. Answer with the summary only.";

/// What the summary begins with when it comes back.
const INTRODUCTION: &str = "Summary of the conversation so far:\n";

fn is_trigger(item: Raw<'_>) -> bool {
    item.as_object()
        .ok()
        .and_then(|item| Text::of(item.get("type")?))
        .is_some_and(|kind| kind.is("compaction_trigger"))
}

/// The request for the summary, again a body of this protocol: the same conversation and tools (histories with calls need
/// them), no tool may be called, no shape is asked, and it is not kept. Serves `/responses/compact` bodies as well.
///
/// # Errors
/// `input` is no array of items.
pub fn summary_request(body: &Object<'_>) -> Result<Vec<u8>, Error> {
    let Some(input) = body.get("input") else {
        return Err(wrong("input", "is required"));
    };
    let mut items = String::from("[");
    for item in input
        .elements()
        .map_err(|fault| fault.blame(Blame::Client))?
    {
        if !is_trigger(item) {
            items.push_str(item.text());
            items.push(',');
        }
    }
    items.push_str(r#"{"type":"message","role":"user","content":""#);
    items.push_str(ASK);
    items.push_str(r#""}]"#);
    let input = member("input", &items);
    let choice = member("tool_choice", "\"none\"");
    let stream = member("stream", "false");
    let store = member("store", "false");
    let set = |key, member| Edit::Set { key, member };
    let remove = |key| Edit::Remove { key };
    let edits = [
        set("input", input.as_str()),
        set("stream", &stream),
        set("store", &store),
        remove("stream_options"),
        remove("text"),
        remove("include"),
        remove("context_management"),
        remove("parallel_tool_calls"),
        remove("max_output_tokens"),
        // Tools may also stand in an item of the input; where there are none the conversion leaves the choice out.
        set("tool_choice", &choice),
    ];
    Ok(splice(body, &edits).parts.concat())
}

/// The text of a whole answer of this protocol: what the model wrote as summary. None: it wrote nothing, or did not come to an
/// end; half a summary would be taken for all there was.
pub fn summary(response: &[u8]) -> Option<String> {
    let object = Object::parse(response).ok()?;
    let status = object.get("status").and_then(Text::of);
    if status.is_some_and(|status| !status.is("completed")) {
        return None;
    }
    let mut summary = String::new();
    for item in object.get("output")?.elements().ok()? {
        let Some(content) = item.as_object().ok()?.get("content") else {
            continue;
        };
        for part in content.elements().into_iter().flatten() {
            let text = part.as_object().ok()?.get("text").and_then(Raw::as_str);
            summary.push_str(text.as_deref().unwrap_or_default());
        }
    }
    (!summary.trim().is_empty()).then_some(summary)
}

/// What that answer cost.
pub fn cost(response: &[u8]) -> Option<Usage> {
    usage(&Object::parse(response).ok()?)
}

/// The item that stands for the conversation.
pub fn item(summary: &str, made: &Made) -> Vec<u8> {
    let mut out = Vec::new();
    Members::object(&mut out, |m| {
        m.str("id", &made.id("cmp_", 1)).str("type", "compaction");
        m.str("encrypted_content", &sealed(summary));
    });
    out
}

/// An answer that holds nothing but that item, as a client of `/responses` expects it.
pub fn answer(summary: &str, usage: Option<Usage>, cx: &Context, made: &Made, out: &mut Vec<u8>) {
    Envelope {
        id: made.id("resp_", 0),
        created: made.now_unix_s,
        status: "completed",
        error: None,
        incomplete: None,
        output: &item(summary, made),
        usage: Some(usage.unwrap_or_default()),
        tier: None,
    }
    .write(cx, out);
}

/// The same as the stream that Codex asks for: it wants exactly one item, a compaction.
pub fn stream(summary: &str, usage: Option<Usage>, cx: &Context, made: &Made, out: &mut Vec<u8>) {
    let item = item(summary, made);
    let envelope = |status, output, usage| Envelope {
        id: made.id("resp_", 0),
        created: made.now_unix_s,
        status,
        error: None,
        incomplete: None,
        output,
        usage,
        tier: None,
    };
    let mut sequence = 0;
    for name in ["response.created", "response.in_progress"] {
        frame(out, &mut sequence, name, |m| {
            envelope("in_progress", b"", None).write(cx, m.key("response"));
        });
    }
    for name in ["response.output_item.added", "response.output_item.done"] {
        frame(out, &mut sequence, name, |m| {
            m.number("output_index", 0);
            m.key("item").extend_from_slice(&item);
        });
    }
    frame(out, &mut sequence, "response.completed", |m| {
        let usage = Some(usage.unwrap_or_default());
        envelope("completed", &item, usage).write(cx, m.key("response"));
    });
}

/// What `POST /responses/compact` answers: the user's own messages, then the item that stands for everything.
pub fn window(
    body: &Object<'_>,
    summary: &str,
    usage: Option<Usage>,
    made: &Made,
    out: &mut Vec<u8>,
) {
    Members::object(out, |m| {
        m.str("id", &made.id("resp_", 0));
        m.str("object", "response.compaction");
        m.number("created_at", made.now_unix_s);
        m.array("output", |list| {
            let items = body.get("input").and_then(|raw| raw.elements().ok());
            for raw in items.into_iter().flatten() {
                let role = raw
                    .as_object()
                    .ok()
                    .and_then(|item| Text::of(item.get("role")?));
                if role.is_some_and(|role| role.is("user")) {
                    list.raw(raw.text());
                }
            }
            list.item().extend_from_slice(&item(summary, made));
        });
        m.nested("usage", |m| {
            output::usage(&usage.unwrap_or_default(), m);
        });
    });
}

/// The carrier of a summary.
fn sealed(summary: &str) -> String {
    format!("{}k.{}", carrier::PREFIX, base64url(summary.as_bytes()))
}

/// What a compaction item says to the model. None: another server made it.
pub fn opened(code: &Text<'_>) -> Option<String> {
    let code = code.as_escaped().strip_prefix(carrier::PREFIX)?;
    let summary = base64url_decode(code.strip_prefix("k.")?)?;
    let summary = String::from_utf8(summary).ok()?;
    Some(format!("{INTRODUCTION}{summary}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Protocol;
    use crate::protocol::responses::testing::{check_life_cycle, last_response};
    use crate::protocol::testing::{cx, made};
    use serde_json::Value;

    #[test]
    fn a_summary_comes_back_as_it_was() {
        let code = sealed("dönè \"x\"");
        assert_eq!(
            opened(&Text::plain(&code)).as_deref(),
            Some("Summary of the conversation so far:\ndönè \"x\"")
        );
        assert!(opened(&Text::plain("gAAAA")).is_none());
        assert!(opened(&Text::plain("gw1.m.e30")).is_none());
    }

    #[test]
    fn the_summary_is_asked_for_without_the_trigger() {
        let body = r#"{"model":"m","input":[{"role":"user","content":"a"},{"type":"compaction_trigger"}],"tools":[],"stream":true}"#;
        let object = Object::parse(body.as_bytes()).unwrap();
        let request = String::from_utf8(summary_request(&object).unwrap()).unwrap();
        assert!(!request.contains("trigger"), "{request}");
        assert!(request.contains(r#""tool_choice":"none""#), "{request}");
        assert!(request.contains(r#""stream":false"#), "{request}");
        Object::parse(request.as_bytes()).unwrap();
        let spoken = br#"{"output":[{"type":"reasoning","summary":[]},{"content":[{"type":"output_text","text":"S"}]}]}"#;
        assert_eq!(summary(spoken).as_deref(), Some("S"));
        assert!(summary(br#"{"output":[]}"#).is_none());
        let cut = br#"{"status":"incomplete","output":[{"content":[{"type":"output_text","text":"S"}]}],"usage":{"input_tokens":7,"output_tokens":3}}"#;
        assert!(summary(cut).is_none());
        let cost = cost(cut).unwrap();
        assert_eq!((cost.input, cost.output), (7, 3));
    }

    #[test]
    fn the_summary_is_one_item_in_each_form_of_answer() {
        let cx = cx(Protocol::Responses, Protocol::Chat);
        let mut out = Vec::new();
        stream("S", None, &cx, &made(), &mut out);
        let out = String::from_utf8(out).unwrap();
        check_life_cycle(&out);
        let last = last_response(&out);
        assert_eq!(last["output"][0]["type"], "compaction");
        let mut whole = Vec::new();
        answer("S", None, &cx, &made(), &mut whole);
        assert_eq!(serde_json::from_slice::<Value>(&whole).unwrap(), last);
        let body =
            r#"{"input":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#;
        let mut compacted = Vec::new();
        let object = Object::parse(body.as_bytes()).unwrap();
        window(&object, "S", None, &made(), &mut compacted);
        let compacted: Value = serde_json::from_slice(&compacted).unwrap();
        assert_eq!(compacted["object"], "response.compaction");
        assert_eq!(compacted["output"][0]["content"], "a");
        assert_eq!(compacted["output"][1]["encrypted_content"], "gw1.k.Uw");
        assert_eq!(compacted["output"].as_array().unwrap().len(), 2);
    }
}
