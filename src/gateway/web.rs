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
        let style = squeezed_style(style);
        let script = squeezed_script(script);
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

/// Style sheets without margins and without the blanks that part nothing.
fn squeezed_style(source: &str) -> String {
    let mut style = without_margins(source);
    for (loose, tight) in [
        ("\n", " "),
        (" {", "{"),
        ("{ ", "{"),
        ("; }", "}"),
        (" }", "}"),
        ("} ", "}"),
        ("; ", ";"),
        (": ", ":"),
        (", ", ","),
    ] {
        style = style.replace(loose, tight);
    }
    style
}

/// Scripts without margins, comments at the ends of lines, and blanks beside punctuation. Line ends stay, and so does
/// every byte of strings, templates and regular expressions.
fn squeezed_script(source: &str) -> String {
    let source = without_margins(source);
    let bytes = source.as_bytes();
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$') || b >= 0x80;
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut depths = vec![0_u32]; // open braces, in the code and in each substitution of a template around it
    let mut at = 0;
    while at < bytes.len() {
        let (byte, last) = (bytes[at], out.last().copied().unwrap_or(b'\n'));
        let next = bytes.get(at + 1).copied().unwrap_or(b'\n');
        let from = at;
        at += 1;
        match byte {
            b' ' => {
                let parts = is_word(last) && is_word(next);
                let joins = last == next && matches!(next, b'+' | b'-');
                if !(parts || joins) {
                    continue;
                }
            }
            b'/' if next == b'/' => {
                at += bytes[at..].iter().position(|b| *b == b'\n').unwrap_or(0);
                while out.last() == Some(&b' ') {
                    out.pop();
                }
                continue;
            }
            b'\'' | b'"' => at = end_of(bytes, at, byte),
            // After an operator a slash begins a regular expression, after a value it divides.
            b'/' if !(is_word(last) || matches!(last, b')' | b']' | b'}')) => {
                at = end_of(bytes, at, b'/');
            }
            b'`' => at = end_of(bytes, at, b'`'),
            b'{' => *depths.last_mut().unwrap_or(&mut 0) += 1,
            b'}' if depths.len() > 1 && depths.last() == Some(&0) => {
                depths.pop();
                at = end_of(bytes, at, b'`');
            }
            b'}' => {
                let depth = depths.last_mut();
                *depth.expect("the code's own") -= 1;
            }
            _ => {}
        }
        if at - from > 1 && bytes[at - 1] == b'{' {
            depths.push(0); // a template came to a substitution
        }
        out.extend_from_slice(&bytes[from..at]);
    }
    String::from_utf8(out).expect("whole characters were kept or left out")
}

/// Where the literal ends that `at` is inside of: after its closing mark, or after `${` in a template.
fn end_of(bytes: &[u8], mut at: usize, mark: u8) -> usize {
    let mut in_class = false;
    while at < bytes.len() {
        let byte = bytes[at];
        at += 1;
        match byte {
            b'\\' => at += 1,
            b'$' if mark == b'`' && bytes.get(at) == Some(&b'{') => return at + 1,
            b'[' if mark == b'/' => in_class = true,
            b']' if mark == b'/' => in_class = false,
            _ if byte == mark && !in_class => return at,
            _ => {}
        }
    }
    at
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

    /// Every view in two languages, with what is to be said of accounts 165 KB; compressed it is a third.
    const BYTES_MAX: usize = 168_000;

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
            " style=\"",
            " onclick=",
            " onload=",
            "eval(",
            "innerHTML +=",
            "<!--",
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

    #[test]
    fn a_squeezed_script_says_the_same() {
        for (loose, tight) in [
            ("const a = b + c; // why", "const a=b+c;\n"),
            ("a = b + +c - -d", "a=b+ +c- -d\n"),
            ("return x / y / z", "return x/y/z\n"),
            ("f(/[/ ] +/g, ' a  b ')", "f(/[/ ] +/g,' a  b ')\n"),
            (
                "html`a  b ${ c ? html`<i>  ${ d }  </i>` : { e: 1 } }  // f`",
                "html`a  b ${c?html`<i>  ${d}  </i>`:{e:1}}  // f`\n",
            ),
            ("x = `\\`  ${ '}' }`; y = 1", "x=`\\`  ${'}'}`;y=1\n"),
            ("else if (a) b()", "else if(a)b()\n"),
        ] {
            assert_eq!(squeezed_script(loose), tight);
        }
        assert_eq!(
            squeezed_style("/* c */\na:b, i > u {\n  margin: 0 -1px;\n}\n\np { color: red }\n"),
            "a:b,i > u{margin:0 -1px}p{color:red}"
        );
    }
}
