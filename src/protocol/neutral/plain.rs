//! What becomes plain text where the other protocol has nothing better.

use super::{Part, ToolResult};
use crate::protocol::text::Text;

/// A document that is plain text, as the text part it becomes (protocols.md 5.3).
pub fn document_text(title: Option<&Text<'_>>, content: &Text<'_>) -> Text<'static> {
    let mut out = Text::plain("<document").into_owned();
    if let Some(title) = title {
        out.push(&Text::plain(" title=\""));
        out.push(title);
        out.push(&Text::plain("\""));
    }
    out.push(&Text::plain(">\n"));
    out.push(content);
    out.push(&Text::plain("\n</document>"));
    out
}

/// The texts of a tool result as one, `[tool error]` in front of a failed one: for Chat always, for Responses when there is
/// nothing but text.
pub fn flat_result<'t>(result: &'t ToolResult<'_>) -> Text<'t> {
    if let ([Part::Text(only)], false) = (result.parts.as_slice(), result.is_error) {
        return only.text.borrow();
    }
    let texts = result.parts.iter().filter_map(|part| match part {
        Part::Text(part) => Some(&part.text),
        _ => None,
    });
    let joined = Text::join(texts, "\n");
    if !result.is_error {
        return joined;
    }
    let mut out = Text::plain("[tool error]\n").into_owned();
    out.push(&joined);
    out
}
