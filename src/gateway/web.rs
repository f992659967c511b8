//! The WebUI: one constant document, joined from `static/` at compile time and holding no data, so that anyone may have it.
//! Its policy allows its own script and style by their hashes and nothing else.

use crate::net::exchange::{Exchange, Gone};
use crate::wire::head::{RequestHead, list_items, write_field};
use crate::wire::text::{base64, hex, sha256};
use std::borrow::Cow;
use std::sync::OnceLock;

/// The parts as they were when this was compiled; the scripts share one scope, so their order is that of their use.
macro_rules! parts {
    ($($script:literal),+ $(,)?) => {
        /// Names of the scripts, in order.
        const SCRIPTS: &[&str] = &[$($script),+];
        const SCRIPT: &str = concat!($(include_str!(concat!("../../static/", $script))),+);
    };
}
parts!(
    "html.js",
    "store.js",
    "api.js",
    "lang.js",
    "parts.js",
    "settings.js",
    "models.js",
    "connect.js",
    "aliases.js",
    "accounts.js",
    "upstreams.js",
    "keys.js",
    "viewer.js",
    "requests.js",
    "play.js",
    "login.js",
    "app.js",
);
const INDEX: &str = include_str!("../../static/index.html");
const STYLE: &str = include_str!("../../static/style.css");
const ICON: &str = include_str!("../../static/favicon.svg");

/// In debug builds: a folder to read the parts from on every request, for "edit, reload".
const FOLDER_VARIABLE: &str = "LLM_WRAPPER_STATIC";

struct Page {
    body: String,
    etag: String,
    policy: String,
}

impl Page {
    fn of(index: &str, style: &str, script: &str, icon: &str) -> Page {
        let style = without_margins(style);
        let script = without_margins(script);
        let hash = |text: &str| format!("'sha256-{}'", base64(&sha256(text.as_bytes())));
        let policy = format!(
            "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src 'self' data:; \
             frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
            hash(&style),
            hash(&script)
        );
        // The script comes last: nothing is searched for inside it.
        let body = without_margins(index)
            .replacen("{icon}", &base64(icon.trim().as_bytes()), 1)
            .replacen("{style}", &style, 1)
            .replacen("{script}", &script, 1);
        let etag = format!("\"{}\"", &hex(&sha256(body.as_bytes()))[..32]);
        Page { body, etag, policy }
    }

    /// The page in force. An unreadable folder is told in the page's place.
    fn current() -> Cow<'static, Page> {
        static PAGE: OnceLock<Page> = OnceLock::new();
        if cfg!(debug_assertions)
            && let Some(folder) = std::env::var_os(FOLDER_VARIABLE)
        {
            let read = |name: &str| {
                let path = std::path::Path::new(&folder).join(name);
                std::fs::read_to_string(&path)
                    .unwrap_or_else(|error| format!("{}: {error}", path.display()))
            };
            let script: String = SCRIPTS.iter().map(|name| read(name)).collect();
            let page = Page::of(
                &read("index.html"),
                &read("style.css"),
                &script,
                &read("favicon.svg"),
            );
            return Cow::Owned(page);
        }
        Cow::Borrowed(PAGE.get_or_init(|| Page::of(INDEX, STYLE, SCRIPT, ICON)))
    }
}

impl Clone for Page {
    fn clone(&self) -> Page {
        Page {
            body: self.body.clone(),
            etag: self.etag.clone(),
            policy: self.policy.clone(),
        }
    }
}

/// The text without indentation, empty lines and lines that are comments: what only the reader of the source needs.
/// Block comments stand on lines of their own.
fn without_margins(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut in_comment = false;
    for line in source.lines().map(str::trim) {
        in_comment |= line.starts_with("/*");
        if !in_comment && !line.is_empty() && !line.starts_with("//") {
            out.push_str(line);
            out.push('\n');
        }
        in_comment &= !line.ends_with("*/");
    }
    out
}

/// Answers a request for the page.
pub(super) async fn answer(
    head: &RequestHead,
    exchange: &mut Exchange,
    id: &str,
) -> Result<(), Gone> {
    let page = Page::current();
    let known = head
        .headers
        .all("if-none-match")
        .flat_map(list_items)
        .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == page.etag.as_bytes());
    let (status, body) = if known {
        (304, "")
    } else {
        (200, page.body.as_str())
    };
    exchange
        .answer(status, body.as_bytes(), |out| {
            write_field(out, "etag", page.etag.as_bytes());
            // Kept, but asked for each time: a new version shows at once.
            write_field(out, "cache-control", b"no-cache");
            write_field(out, "content-security-policy", page.policy.as_bytes());
            if status == 200 {
                write_field(out, "content-type", b"text/html; charset=utf-8");
            }
            write_field(out, "x-content-type-options", b"nosniff");
            write_field(out, "x-frame-options", b"DENY");
            write_field(out, "referrer-policy", b"no-referrer");
            super::headers::write_request_ids(out, id.as_bytes());
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 120 * 1024;

    fn page() -> Page {
        Page::of(INDEX, STYLE, SCRIPT, ICON)
    }

    #[test]
    fn the_document_is_small_and_whole() {
        let body = page().body;
        assert!(body.len() < BYTES_MAX, "{} bytes", body.len());
        for placeholder in ["{icon}\"", "{style}<", "{script}<"] {
            assert!(!body.contains(placeholder), "{placeholder}");
        }
        assert!(body.is_char_boundary(body.len()) && body.ends_with("</html>\n"));
    }

    #[test]
    fn the_policy_allows_exactly_what_stands_between_the_tags() {
        let Page { body, policy, .. } = page();
        for (open, close, directive) in [
            ("<style>", "</style>", "style-src"),
            ("<script type=\"module\">", "</script>", "script-src"),
        ] {
            let (_, rest) = body.split_once(open).expect("the tag");
            let (inside, _) = rest.split_once(close).expect("its end");
            assert_eq!(body.matches(open).count(), 1, "{open}");
            let hash = base64(&sha256(inside.as_bytes()));
            assert!(
                policy.contains(&format!("{directive} 'sha256-{hash}'")),
                "{directive}"
            );
        }
    }

    #[test]
    fn nothing_in_the_page_would_need_a_wider_policy() {
        let body = page().body;
        for word in [
            " style=\"", " onclick=", " onload=", "eval(", "innerHTML +=", "<!--",
        ] {
            assert!(!body.contains(word), "{word}");
        }
        // One place only makes markup of text.
        assert_eq!(body.matches("innerHTML").count(), 1);
    }

    #[test]
    fn margins_go_and_code_stays() {
        let source = "// a rule\n/** One line. */\n/**\n * More\n */\n  a();\n\n  // why\n  b('//x'); // kept\n";
        assert_eq!(without_margins(source), "a();\nb('//x'); // kept\n");
    }
}
