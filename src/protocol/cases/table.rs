//! The table of the README: what becomes of each feature in each direction. Every cell is found by converting a small request
//! with that feature; the README holds the result, and no other.

use crate::protocol::{Caps, Protocol, convert_request};
use Protocol::{Chat, Messages, Responses};

/// A feature as one protocol's clients ask for it.
#[derive(Clone, Copy)]
struct Asked {
    /// Members of the request that ask for it. `messages` and `input` take the place of those of the plain request.
    with: &'static str,
    /// The same request without the feature.
    without: &'static str,
    /// What an upstream's request holds when the value was carried as it is.
    value: &'static str,
}

/// Members that ask, and the value to be found.
const fn asked(with: &'static str, value: &'static str) -> Option<Asked> {
    against(with, "", value)
}

/// The same, where the request without the feature is not the plain one.
const fn against(with: &'static str, without: &'static str, value: &'static str) -> Option<Asked> {
    Some(Asked {
        with,
        without,
        value,
    })
}

/// One row: its name, and how Chat, Responses and Messages clients ask.
struct Feature(&'static str, [Option<Asked>; 3]);

fn feature(
    name: &'static str,
    chat: Option<Asked>,
    responses: Option<Asked>,
    messages: Option<Asked>,
) -> Feature {
    Feature(name, [chat, responses, messages])
}

fn features() -> Vec<Feature> {
    vec![
        feature(
            "system text",
            asked(
                r#""messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]"#,
                "Be brief.",
            ),
            asked(r#""instructions":"Be brief.""#, "Be brief."),
            asked(r#""system":"Be brief.""#, "Be brief."),
        ),
        feature(
            "system text in mid-conversation",
            asked(
                r#""messages":[{"role":"user","content":"Hi"},{"role":"system","content":"Be brief."}]"#,
                r#""content":"Be brief.""#,
            ),
            asked(
                r#""input":[{"role":"user","content":"Hi"},{"role":"developer","content":"Be brief."}]"#,
                r#""content":"Be brief.""#,
            ),
            asked(
                r#""messages":[{"role":"user","content":"Hi"},{"role":"system","content":"Be brief."}]"#,
                r#""content":"Be brief.""#,
            ),
        ),
        feature(
            "image by URL",
            asked(
                r#""messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a/b.png"}}]}]"#,
                "https://a/b.png",
            ),
            asked(
                r#""input":[{"role":"user","content":[{"type":"input_image","image_url":"https://a/b.png"}]}]"#,
                "https://a/b.png",
            ),
            asked(
                r#""messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://a/b.png"}}]}]"#,
                "https://a/b.png",
            ),
        ),
        feature(
            "image inline",
            asked(
                r#""messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBOR"}}]}]"#,
                "iVBOR",
            ),
            asked(
                r#""input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,iVBOR"}]}]"#,
                "iVBOR",
            ),
            asked(
                r#""messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBOR"}}]}]"#,
                "iVBOR",
            ),
        ),
        feature(
            "image by file id",
            None,
            asked(
                r#""input":[{"role":"user","content":[{"type":"input_image","file_id":"file_1"}]}]"#,
                "file_1",
            ),
            asked(
                r#""messages":[{"role":"user","content":[{"type":"image","source":{"type":"file","file_id":"file_1"}}]}]"#,
                "file_1",
            ),
        ),
        feature(
            "PDF inline",
            asked(
                r#""messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBER"}}]}]"#,
                "JVBER",
            ),
            asked(
                r#""input":[{"role":"user","content":[{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,JVBER"}]}]"#,
                "JVBER",
            ),
            asked(
                r#""messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBER"}}]}]"#,
                "JVBER",
            ),
        ),
        feature(
            "PDF by URL",
            None,
            asked(
                r#""input":[{"role":"user","content":[{"type":"input_file","file_url":"https://a/b.pdf"}]}]"#,
                "https://a/b.pdf",
            ),
            asked(
                r#""messages":[{"role":"user","content":[{"type":"document","source":{"type":"url","url":"https://a/b.pdf"}}]}]"#,
                "https://a/b.pdf",
            ),
        ),
        feature(
            "plain-text document",
            None,
            None,
            asked(
                r#""messages":[{"role":"user","content":[{"type":"document","title":"T","source":{"type":"text","media_type":"text/plain","data":"words"}}]}]"#,
                r#""words""#,
            ),
        ),
        feature(
            "citations of documents",
            None,
            None,
            asked(
                r#""messages":[{"role":"user","content":[{"type":"document","citations":{"enabled":true},"source":{"type":"text","media_type":"text/plain","data":"words"}}]}]"#,
                "citations",
            ),
        ),
        feature(
            "audio in",
            asked(
                r#""messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"UklGR","format":"wav"}}]}]"#,
                "UklGR",
            ),
            asked(
                r#""input":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"UklGR","format":"wav"}}]}]"#,
                "UklGR",
            ),
            None,
        ),
        feature(
            "audio out",
            asked(
                r#""modalities":["text","audio"],"audio":{"voice":"a","format":"wav"}"#,
                "audio",
            ),
            None,
            None,
        ),
        feature(
            "answer begun by the client (prefill)",
            asked(
                r#""messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Well"}]"#,
                "Well",
            ),
            asked(
                r#""input":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Well"}]"#,
                "Well",
            ),
            asked(
                r#""messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Well"}]"#,
                "Well",
            ),
        ),
        feature(
            "tool (function)",
            asked(
                r#""tools":[{"type":"function","function":{"name":"f","description":"D","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}}]"#,
                r#"{"type":"object","properties":{"a":{"type":"string"}}}"#,
            ),
            asked(
                r#""tools":[{"type":"function","name":"f","description":"D","strict":false,"parameters":{"type":"object","properties":{"a":{"type":"string"}}}}]"#,
                r#"{"type":"object","properties":{"a":{"type":"string"}}}"#,
            ),
            asked(
                r#""tools":[{"name":"f","description":"D","input_schema":{"type":"object","properties":{"a":{"type":"string"}}}}]"#,
                r#"{"type":"object","properties":{"a":{"type":"string"}}}"#,
            ),
        ),
        feature(
            "strict tool",
            asked(
                r#""tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{},"additionalProperties":false}}}]"#,
                r#""strict":true"#,
            ),
            asked(
                r#""tools":[{"type":"function","name":"f","strict":true,"parameters":{"type":"object","properties":{},"additionalProperties":false}}]"#,
                r#""strict":true"#,
            ),
            asked(
                r#""tools":[{"name":"f","strict":true,"input_schema":{"type":"object","properties":{},"additionalProperties":false}}]"#,
                r#""strict":true"#,
            ),
        ),
        feature(
            "free-form tool (custom)",
            asked(
                r#""tools":[{"type":"custom","custom":{"name":"f"}}]"#,
                r#""type":"custom""#,
            ),
            asked(
                r#""tools":[{"type":"custom","name":"f"}]"#,
                r#""type":"custom""#,
            ),
            None,
        ),
        feature(
            "tools in a namespace",
            None,
            asked(
                r#""tools":[{"type":"namespace","name":"n","tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}}}]}]"#,
                r#""type":"namespace""#,
            ),
            None,
        ),
        feature(
            "the vendor's client-run tools (`shell`, `apply_patch`, `bash_*`, `text_editor_*`, …)",
            None,
            asked(
                r#""tools":[{"type":"shell"},{"type":"apply_patch"},{"type":"local_shell"}]"#,
                r#""type":"shell""#,
            ),
            asked(
                r#""tools":[{"type":"bash_20250124","name":"bash"},{"type":"text_editor_20250728","name":"str_replace_based_edit_tool"}]"#,
                r#""type":"bash_20250124""#,
            ),
        ),
        feature(
            "web search, offered beside other tools",
            asked(
                r#""web_search_options":{},"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}]"#,
                "web_search_options",
            ),
            asked(
                r#""tools":[{"type":"web_search"},{"type":"function","name":"f","strict":false,"parameters":{"type":"object","properties":{}}}]"#,
                r#"{"type":"web_search"}"#,
            ),
            asked(
                r#""tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"f","input_schema":{"type":"object","properties":{}}}]"#,
                "web_search_20250305",
            ),
        ),
        feature(
            "code interpreter, file search, code execution",
            None,
            asked(
                r#""tools":[{"type":"code_interpreter","container":{"type":"auto"}}]"#,
                "code_interpreter",
            ),
            asked(
                r#""tools":[{"type":"code_execution_20250825","name":"code_execution"}]"#,
                "code_execution",
            ),
        ),
        feature(
            "MCP servers reached by the vendor",
            None,
            asked(
                r#""tools":[{"type":"mcp","server_label":"s","server_url":"https://m","require_approval":"never"}]"#,
                "https://m",
            ),
            asked(
                r#""mcp_servers":[{"type":"url","name":"s","url":"https://m"}]"#,
                "https://m",
            ),
        ),
        feature(
            "computer use",
            None,
            asked(
                r#""tools":[{"type":"computer_use_preview","display_width":1,"display_height":1,"environment":"linux"}]"#,
                "computer",
            ),
            asked(
                r#""tools":[{"type":"computer_20250124","name":"computer","display_width_px":1,"display_height_px":1}]"#,
                "computer",
            ),
        ),
        feature(
            "tool forced by name",
            asked(
                r#""tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],"tool_choice":{"type":"function","function":{"name":"f"}}"#,
                r#""tool_choice":{"type""#,
            ),
            asked(
                r#""tools":[{"type":"function","name":"f","strict":false,"parameters":{"type":"object","properties":{}}}],"tool_choice":{"type":"function","name":"f"}"#,
                r#""tool_choice":{"type""#,
            ),
            asked(
                r#""tools":[{"name":"f","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"tool","name":"f"}"#,
                r#""tool_choice":{"type""#,
            ),
        ),
        feature(
            "some of the tools allowed",
            asked(
                r#""tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"g","parameters":{"type":"object","properties":{}}}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}"#,
                "allowed_tools",
            ),
            asked(
                r#""tools":[{"type":"function","name":"f","strict":false,"parameters":{"type":"object","properties":{}}},{"type":"function","name":"g","strict":false,"parameters":{"type":"object","properties":{}}}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"}]}"#,
                "allowed_tools",
            ),
            None,
        ),
        feature(
            "one call at a time",
            asked(
                r#""tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],"parallel_tool_calls":false"#,
                r#""parallel_tool_calls":false"#,
            ),
            asked(
                r#""tools":[{"type":"function","name":"f","strict":false,"parameters":{"type":"object","properties":{}}}],"parallel_tool_calls":false"#,
                r#""parallel_tool_calls":false"#,
            ),
            asked(
                r#""tools":[{"name":"f","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true}"#,
                r#""disable_parallel_tool_use":true"#,
            ),
        ),
        feature(
            "calls and their results in the history",
            asked(
                r#""messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1e2}"}}]},{"role":"tool","tool_call_id":"call_1","content":"done"}]"#,
                r#"1e2"#,
            ),
            asked(
                r#""input":[{"role":"user","content":"Hi"},{"type":"function_call","call_id":"call_1","name":"f","arguments":"{\"a\":1e2}"},{"type":"function_call_output","call_id":"call_1","output":"done"}]"#,
                r#"1e2"#,
            ),
            asked(
                r#""messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"tool_use","id":"call_1","name":"f","input":{"a":1e2}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":"done"}]}]"#,
                r#"1e2"#,
            ),
        ),
        feature(
            "a result that is an error",
            None,
            None,
            asked(
                r#""messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"tool_use","id":"call_1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","is_error":true,"content":"no"}]}]"#,
                r#""is_error":true"#,
            ),
        ),
        feature(
            "an image in a result",
            None,
            asked(
                r#""input":[{"role":"user","content":"Hi"},{"type":"function_call","call_id":"call_1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"call_1","output":[{"type":"input_image","image_url":"https://a/b.png"}]}]"#,
                r#""tool_result","tool_use_id":"call_1","content":[{"type":"image""#,
            ),
            asked(
                r#""messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"tool_use","id":"call_1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":[{"type":"image","source":{"type":"url","url":"https://a/b.png"}}]}]}]"#,
                r#""output":[{"type":"input_image""#,
            ),
        ),
        feature(
            "JSON by schema",
            asked(
                r#""response_format":{"type":"json_schema","json_schema":{"name":"s","strict":true,"schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}}}"#,
                r#""schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#,
            ),
            asked(
                r#""text":{"format":{"type":"json_schema","name":"s","strict":true,"schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}}}"#,
                r#""schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#,
            ),
            asked(
                r#""output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}}}"#,
                r#""schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#,
            ),
        ),
        feature(
            "JSON mode",
            asked(r#""response_format":{"type":"json_object"}"#, "json_object"),
            asked(r#""text":{"format":{"type":"json_object"}}"#, "json_object"),
            None,
        ),
        feature(
            "reasoning effort",
            asked(r#""reasoning_effort":"high""#, r#""high""#),
            asked(r#""reasoning":{"effort":"high"}"#, r#""high""#),
            asked(
                r#""thinking":{"type":"adaptive"},"output_config":{"effort":"high"}"#,
                r#""high""#,
            ),
        ),
        feature(
            "thinking budget",
            None,
            None,
            asked(
                r#""max_tokens":20000,"thinking":{"type":"enabled","budget_tokens":12000}"#,
                r#"12000"#,
            ),
        ),
        feature(
            "thoughts of earlier turns that this upstream gave",
            against(
                r#""messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"A","reasoning_details":[{"type":"reasoning.encrypted","format":"gw1.r","id":"rs_1","data":"gAAAAenc","index":0},{"type":"reasoning.text","text":"T","format":"anthropic-claude-v1","signature":"gAAAAenc","index":0}]},{"role":"user","content":"B"}]"#,
                r#""messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"A"},{"role":"user","content":"B"}]"#,
                r#""gAAAAenc""#,
            ),
            against(
                r#""input":[{"role":"user","content":"Hi"},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"T"}],"encrypted_content":"gw1.m.eyJrIjoidGhpbmtpbmciLCJzIjoiRXFRQlNJRyJ9"},{"role":"assistant","content":"A"},{"role":"user","content":"B"}]"#,
                r#""input":[{"role":"user","content":"Hi"},{"role":"assistant","content":"A"},{"role":"user","content":"B"}]"#,
                r#""T""#,
            ),
            against(
                r#""messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"T","signature":"gw1.r.eyJrIjoicmVhc29uaW5nIiwiaSI6InJzX3UxIiwiZSI6ImdBQUFBZW5jIn0"},{"type":"text","text":"A"}]},{"role":"user","content":"B"}]"#,
                r#""messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"text","text":"A"}]},{"role":"user","content":"B"}]"#,
                r#""T""#,
            ),
        ),
        feature(
            "thoughts of earlier turns that another vendor gave",
            against(
                r#""messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"A","reasoning_content":"T"},{"role":"user","content":"B"}]"#,
                r#""messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"A"},{"role":"user","content":"B"}]"#,
                r#""T""#,
            ),
            against(
                r#""input":[{"role":"user","content":"Hi"},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"T"}],"encrypted_content":"gAAAA"},{"role":"assistant","content":"A"},{"role":"user","content":"B"}]"#,
                r#""input":[{"role":"user","content":"Hi"},{"role":"assistant","content":"A"},{"role":"user","content":"B"}]"#,
                r#""T""#,
            ),
            against(
                r#""messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"T","signature":"EqQB"},{"type":"text","text":"A"}]},{"role":"user","content":"B"}]"#,
                r#""messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"text","text":"A"}]},{"role":"user","content":"B"}]"#,
                r#""T""#,
            ),
        ),
        feature(
            "`reasoning.mode: pro`",
            None,
            asked(r#""reasoning":{"mode":"pro"}"#, r#""pro""#),
            None,
        ),
        feature(
            "output limit",
            asked(r#""max_completion_tokens":777"#, "777"),
            asked(r#""max_output_tokens":777"#, "777"),
            asked(r#""max_tokens":777"#, "777"),
        ),
        feature(
            "stop sequences",
            asked(r#""stop":["END"]"#, r#""END""#),
            None,
            asked(r#""stop_sequences":["END"]"#, r#""END""#),
        ),
        feature(
            "temperature",
            asked(r#""temperature":0.25"#, "0.25"),
            asked(r#""temperature":0.25"#, "0.25"),
            asked(r#""temperature":0.25"#, "0.25"),
        ),
        feature(
            "temperature over 1",
            asked(r#""temperature":1.75"#, "1.75"),
            asked(r#""temperature":1.75"#, "1.75"),
            None,
        ),
        feature(
            "top_p",
            asked(r#""top_p":0.75"#, "0.75"),
            asked(r#""top_p":0.75"#, "0.75"),
            asked(r#""top_p":0.75"#, "0.75"),
        ),
        feature("top_k", None, None, asked(r#""top_k":40"#, "40")),
        feature(
            "penalties",
            asked(
                r#""frequency_penalty":0.25,"presence_penalty":0.25"#,
                "0.25",
            ),
            None,
            None,
        ),
        feature("seed", asked(r#""seed":4242"#, "4242"), None, None),
        feature(
            "more than one choice (`n`)",
            asked(r#""n":2"#, r#""n":2"#),
            None,
            None,
        ),
        feature(
            "log probabilities",
            asked(r#""logprobs":true,"top_logprobs":3"#, r#"top_logprobs":3"#),
            asked(
                r#""include":["message.output_text.logprobs"],"top_logprobs":3"#,
                r#"top_logprobs":3"#,
            ),
            None,
        ),
        feature(
            "logit bias",
            asked(r#""logit_bias":{"50256":-100}"#, "50256"),
            None,
            None,
        ),
        feature(
            "verbosity",
            asked(r#""verbosity":"low""#, r#""verbosity":"low""#),
            asked(r#""text":{"verbosity":"low"}"#, r#""verbosity":"low""#),
            None,
        ),
        feature(
            "predicted output",
            asked(
                r#""prediction":{"type":"content","content":"words"}"#,
                "words",
            ),
            None,
            None,
        ),
        feature(
            "metadata",
            asked(r#""metadata":{"k":"val"}"#, r#""val""#),
            asked(r#""metadata":{"k":"val"}"#, r#""val""#),
            asked(r#""metadata":{"user_id":"val"}"#, r#""val""#),
        ),
        feature(
            "cache hints",
            asked(r#""prompt_cache_key":"key7""#, "key7"),
            asked(r#""prompt_cache_key":"key7""#, "key7"),
            against(
                r#""system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}}]"#,
                r#""system":[{"type":"text","text":"S"}]"#,
                "cache_control",
            ),
        ),
        feature(
            "service tier",
            asked(r#""service_tier":"priority""#, r#""priority""#),
            asked(r#""service_tier":"priority""#, r#""priority""#),
            asked(r#""service_tier":"standard_only""#, "standard_only"),
        ),
        feature(
            "moderation that blocks",
            asked(
                r#""moderation":{"model":"o","policy":{"input":{"mode":"block"}}}"#,
                "moderation",
            ),
            None,
            None,
        ),
        feature(
            "background",
            None,
            asked(r#""background":true"#, "background"),
            None,
        ),
        feature(
            "containers, residency (`inference_geo`)",
            None,
            None,
            asked(r#""inference_geo":"us""#, "inference_geo"),
        ),
        feature("speed", None, None, asked(r#""speed":"fast""#, "fast")),
        feature(
            "a member nobody knows",
            asked(r#""xyz":1"#, "xyz"),
            asked(r#""xyz":1"#, "xyz"),
            asked(r#""xyz":1"#, "xyz"),
        ),
        feature(
            "a part of content nobody knows",
            asked(
                r#""messages":[{"role":"user","content":[{"type":"xyz"}]}]"#,
                "xyz",
            ),
            asked(
                r#""input":[{"role":"user","content":[{"type":"xyz"}]}]"#,
                "xyz",
            ),
            asked(
                r#""messages":[{"role":"user","content":[{"type":"xyz"}]}]"#,
                "xyz",
            ),
        ),
    ]
}

/// What the table is made for.
fn caps(to: Protocol) -> (Caps, &'static str) {
    let (kind, model) = match to {
        Chat => ("generic", "some-model"),
        Responses => ("openai", "gpt-5.2"),
        Messages => ("anthropic", "claude-opus-4-6"),
    };
    (Caps::of(kind, model), model)
}

/// A request of that protocol with those members.
fn body(from: Protocol, members: &str) -> String {
    let mut body = String::from(r#"{"model":"m""#);
    let mut plain = |key: &str, member: &str| {
        if !members.contains(key) {
            body.push(',');
            body.push_str(member);
        }
    };
    match from {
        Chat => plain(
            r#""messages":"#,
            r#""messages":[{"role":"user","content":"Hi"}]"#,
        ),
        Responses => plain(r#""input":"#, r#""input":"Hi""#),
        Messages => {
            plain(r#""max_tokens":"#, r#""max_tokens":100"#);
            plain(
                r#""messages":"#,
                r#""messages":[{"role":"user","content":"Hi"}]"#,
            );
        }
    }
    if !members.is_empty() {
        body.push(',');
        body.push_str(members);
    }
    body + "}"
}

/// The word of one cell.
fn cell(from: Protocol, to: Protocol, asked: &Asked) -> &'static str {
    let (caps, model) = caps(to);
    let convert = |members: &str| {
        let done = convert_request(from, to, &caps, model, body(from, members).as_bytes())?;
        let text = String::from_utf8(done.body).expect("made of str");
        Ok::<_, crate::error::Error>((text, done.warnings.header(), done.context))
    };
    let (plain, warned, plain_context) =
        convert(asked.without).expect("the plain request converts");
    assert_eq!(warned, None, "the plain request has no warning");
    match convert(asked.with) {
        Err(error) => {
            assert_eq!(
                error.kind,
                crate::error::Kind::Unsupported,
                "{}: {error}",
                asked.with
            );
            assert!(error.param.is_some(), "{}: {error}", asked.with);
            "refused"
        }
        Ok((_, Some(_), _)) => "warned",
        Ok((text, None, _)) if text.contains(asked.value) && !plain.contains(asked.value) => {
            "carried"
        }
        Ok((text, None, context)) if text == plain && context.stops == plain_context.stops => {
            "left out"
        }
        Ok(_) => "mapped",
    }
}

const DIRECTIONS: [(Protocol, Protocol); 6] = [
    (Chat, Responses),
    (Chat, Messages),
    (Responses, Chat),
    (Responses, Messages),
    (Messages, Chat),
    (Messages, Responses),
];

fn table() -> String {
    let mut table =
        String::from("| | C→R | C→M | R→C | R→M | M→C | M→R |\n|---|---|---|---|---|---|---|\n");
    for Feature(name, asked) in features() {
        table.push_str(&format!("| {name} |"));
        for (from, to) in DIRECTIONS {
            let asked = match from {
                Chat => &asked[0],
                Responses => &asked[1],
                Messages => &asked[2],
            };
            let word = asked.as_ref().map_or("–", |asked| cell(from, to, asked));
            table.push_str(&format!(" {word} |"));
        }
        table.push('\n');
    }
    table
}

#[test]
fn the_table_of_the_readme_is_what_conversion_does() {
    let readme = include_str!("../../../README.md");
    let table = table();
    assert!(
        readme.contains(&table),
        "README.md lacks this table:\n{table}"
    );
}
