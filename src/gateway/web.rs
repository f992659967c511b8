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
        let body = String::from_utf8(markup(index.trim().as_bytes()))
            .expect("whole characters were kept or left out")
            .replacen("{icon}", &address_of(icon), 1)
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

/// An SVG image as the end of a `data:` address, for an attribute in double quotes.
fn address_of(image: &str) -> String {
    let image = image.trim().replace('"', "'");
    ["%", "#", "<", ">"].iter().fold(image, |image, mark| {
        image.replace(mark, &format!("%{:02X}", mark.as_bytes()[0]))
    })
}

/// The text without indentation and empty lines: what only the reader of the source needs.
fn without_margins(source: &str) -> String {
    let lines = source
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Style sheets without comments and without the blanks that part nothing.
fn squeezed_style(source: &str) -> String {
    let mut style = without_margins(source);
    while let Some(from) = style.find("/*") {
        let to = style[from..]
            .find("*/")
            .map_or(style.len(), |n| from + n + 2);
        style.replace_range(from..to, "");
    }
    style = without_margins(&style);
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
        ("> ", ">"),
        (" >", ">"),
    ] {
        style = style.replace(loose, tight);
    }
    style
}

/// Scripts without comments, and without the blanks, line ends and last commas and semicolons that part nothing; constants
/// that follow each other are declared together. Every byte of strings, templates and regular expressions stays, except the
/// margins inside `html` templates and quotes that their markup does not need. Of the sources it asks that every statement
/// ends with its semicolon or brace, that none is empty, and that no list ends with a hole.
fn squeezed_script(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut open = vec![Block::default()];
    let mut at = 0;
    while at < bytes.len() {
        let (byte, last) = (bytes[at], out.last().copied().unwrap_or(b'{'));
        let gap = gap_end(bytes, at);
        if gap > at {
            out.extend(joint(&bytes[at..gap], last, bytes.get(gap)));
            at = gap;
            continue;
        }
        let from = at;
        at += 1;
        let mut template = (byte == b'`').then(|| out.ends_with(b"html"));
        if byte == b'}' {
            if matches!(last, b';' | b',') {
                out.pop();
            }
            template = open.pop().and_then(|block| block.template);
            if open.is_empty() {
                open.push(Block::default()); // one brace too many: the browser will tell
            }
        }
        if let Some(is_markup) = template {
            at = end_of(bytes, at, b'`');
            if bytes[at - 1] == b'{' {
                open.push(Block::of_template(is_markup));
            }
            let piece = &bytes[from..at];
            out.extend(if is_markup {
                markup(piece)
            } else {
                piece.to_vec()
            });
            continue;
        }
        let block = open.last_mut().expect("the script's own");
        match byte {
            b'\'' | b'"' => at = end_of(bytes, at, byte),
            // After an operator a slash begins a regular expression, after a value it divides.
            b'/' if !(is_word(last) || matches!(last, b')' | b']' | b'}')) => {
                at = end_of(bytes, at, b'/');
            }
            b'{' => open.push(Block::default()),
            b'(' | b'[' => block.brackets += 1,
            b')' | b']' => block.brackets = block.brackets.saturating_sub(1),
            b'c' if block.brackets == 0 && matches!(last, b';' | b'{' | b'}') => {
                block.constant = bytes[from..].starts_with(b"const ");
            }
            b';' if block.constant && block.brackets == 0 => {
                let next = gap_end(bytes, at);
                block.constant = bytes[next..].starts_with(b"const ");
                if block.constant {
                    at = next + b"const ".len();
                    out.push(b',');
                    continue;
                }
            }
            _ => {}
        }
        out.extend_from_slice(&bytes[from..at]);
    }
    out.push(b'\n');
    String::from_utf8(out).expect("whole characters were kept or left out")
}

/// What stands between two braces, or between those of a substitution in a template.
#[derive(Default)]
struct Block {
    /// Of a substitution: whether its template is markup.
    template: Option<bool>,
    /// Whether the statement at hand declares constants.
    constant: bool,
    brackets: u32,
}

impl Block {
    fn of_template(markup: bool) -> Block {
        Block {
            template: Some(markup),
            ..Block::default()
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// The end of the blanks, line ends and comments that begin at `at`.
fn gap_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        let rest = &bytes[at..];
        let find = |mark: &[u8]| rest.windows(mark.len()).position(|part| part == mark);
        at += match rest {
            [b' ' | b'\n' | b'\r' | b'\t', ..] => 1,
            [b'/', b'/', ..] => find(b"\n").unwrap_or(rest.len()),
            [b'/', b'*', ..] => find(b"*/").map_or(rest.len(), |n| n + 2),
            _ => return at,
        };
    }
}

/// What must stay of a gap between two bytes of code.
fn joint(gap: &[u8], last: u8, next: Option<&u8>) -> Option<u8> {
    let next = *next?;
    if gap.contains(&b'\n') {
        let goes_on = b"{([,;:?=&|>".contains(&last) || b"})].?:&|,;".contains(&next);
        return (!goes_on).then_some(b'\n');
    }
    let parts = is_word(last) && is_word(next);
    let joins = last == next && matches!(next, b'+' | b'-');
    (parts || joins).then_some(b' ')
}

/// Markup without line ends and the blanks around them, and without the quotes that are not needed.
fn markup(source: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(source.len());
    for (n, line) in source.split(|byte| *byte == b'\n').enumerate() {
        let line = if n > 0 { line.trim_ascii_start() } else { line };
        if n > 0 {
            lines.truncate(lines.trim_ascii_end().len());
        }
        lines.extend_from_slice(line);
    }
    without_quotes(&lines)
}

/// Markup whose attributes stand bare where their values are one word, and a blank or the end of the tag follows.
fn without_quotes(markup: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(markup.len());
    let mut rest = markup;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"=\"") {
        let (before, value) = rest.split_at(at + 2);
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        let end = value.iter().position(|byte| !word(byte));
        let bare = end.filter(|end| *end > 0 && matches!(value[*end..], [b'"', b' ' | b'>', ..]));
        out.extend_from_slice(&before[..at + 1]);
        match bare {
            Some(end) => {
                out.extend_from_slice(&value[..end]);
                rest = &value[end + 1..];
            }
            None => {
                out.push(b'"');
                rest = value;
            }
        }
    }
    out.extend_from_slice(rest);
    out
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
    bytes.len()
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

    /// Every view in two languages; compressed it is a third.
    const BYTES_MAX: usize = 120_000;

    fn page() -> Page {
        Page::of(INDEX, STYLE, SCRIPT, ICON)
    }

    #[test]
    fn the_document_is_small_and_whole() {
        let body = page().body;
        assert!(body.len() < BYTES_MAX, "{} bytes", body.len());
        for placeholder in ["{icon}", "{style}<", "{script}<"] {
            assert!(!body.contains(placeholder), "{placeholder}");
        }
        assert!(body.is_char_boundary(body.len()) && body.ends_with("</html>"));
    }

    #[test]
    fn the_policy_allows_exactly_what_stands_between_the_tags() {
        let Page { body, policy, .. } = page();
        for (open, close, directive) in [
            ("<style>", "</style>", "style-src"),
            ("<script type=module>", "</script>", "script-src"),
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
    fn a_squeezed_script_says_the_same() {
        for (loose, tight) in [
            (
                "// why\n/** More\n * lines */\nconst a = b + c; // why",
                "const a=b+c;\n",
            ),
            ("a = b + +c - -d", "a=b+ +c- -d\n"),
            ("return x / y / z", "return x/y/z\n"),
            ("f(/[/ ] +/g, ' a  // b ')", "f(/[/ ] +/g,' a  // b ')\n"),
            (
                "html`a  b ${ c ? html`<i>  ${ d }  </i>` : { e: 1 } }  // f`",
                "html`a  b ${c?html`<i>  ${d}  </i>`:{e:1}}  // f`\n",
            ),
            ("x = `\\`  ${ '}' }`; y = 1", "x=`\\`  ${'}'}`;y=1\n"),
            ("else if (a) b()", "else if(a)b()\n"),
            (
                "f = () => {\n  a();\n\n  b(c,\n    d);\n};\ng()",
                "f=()=>{a();b(c,d)};g()\n",
            ),
            ("a = b\n  ? c\n  : d\ne()\nf()", "a=b?c:d\ne()\nf()\n"),
            (
                "const a = [b, c];\nconst { d } = e;\nf(d);\n",
                "const a=[b,c],{d}=e;f(d);\n",
            ),
            (
                "const a = () => {\n  const b = 1;\n  c();\n};\nconst d = {\n  e,\n};\n",
                "const a=()=>{const b=1;c()},d={e};\n",
            ),
            (
                "for (const a of b) c(a);\nconst d = `${ () => { const e = 1; const f = 2; } }`;\n",
                "for(const a of b)c(a);const d=`${()=>{const e=1,f=2}}`;\n",
            ),
            (
                "html`<p a=\"b-c\" d=\"${ e }\">\n    ${ a }\n  \n  <b f=\"g\"/>`",
                "html`<p a=b-c d=\"${e}\">${a}<b f=\"g\"/>`\n",
            ),
            (
                "x = `a\n  // b\n    c ${ d }\n  e`",
                "x=`a\n  // b\n    c ${d}\n  e`\n",
            ),
        ] {
            assert_eq!(squeezed_script(loose), tight);
        }
    }

    #[test]
    fn a_script_in_the_middle_of_being_edited_is_still_a_page() {
        for broken in [
            "a }",
            "b))",
            "`c ${",
            "'d\\",
            "html`<e f=\"",
            "/* g",
            "/h[",
            "}}`",
        ] {
            assert!(squeezed_script(broken).ends_with('\n'), "{broken}");
        }
    }

    #[test]
    fn quotes_stay_where_they_are_needed() {
        for (loose, tight) in [
            ("<a b=\"c\" d=\"e-1\">", "<a b=c d=e-1>"),
            (
                "<a b=\"\" c=\"d e\" f=\"/g\">",
                "<a b=\"\" c=\"d e\" f=\"/g\">",
            ),
            ("<a b=\"c\"/><d e=\"f\"", "<a b=\"c\"/><d e=\"f\""),
        ] {
            let squeezed = without_quotes(loose.as_bytes());
            assert_eq!(String::from_utf8(squeezed).expect("text"), tight);
        }
    }

    #[test]
    fn a_squeezed_style_says_the_same() {
        assert_eq!(
            squeezed_style(
                "/* c */\na:b, i > u {\n  margin: 0 -1px;\n  > b { top: 0 }\n}\n\np { color: red }\n"
            ),
            "a:b,i>u{margin:0 -1px;>b{top:0}}p{color:red}"
        );
    }

    #[test]
    fn an_image_stands_in_an_attribute() {
        assert_eq!(address_of("<a b=\"#5%\"/>\n"), "%3Ca b='%235%25'/%3E");
    }
}
