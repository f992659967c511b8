//! JSON by scanning (RFC 8259): one level is found and checked, the values stay the bytes they were.
//! Numbers stay text, `null` is not absence, key order is kept, a duplicate key is refused however it is spelt,
//! and nesting never recurses. What lies inside a member that nobody reads is balanced, not judged; `validate` judges all.

mod edit;
mod scan;
mod walk;

use crate::error::Fault;
use scan::{container_end, string_end};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

pub use edit::{Edit, Spliced, member, splice};
pub use walk::Walk;

/// Members of one object; the largest honest ones have some hundreds. Without a bound 64 MB of `"a":1,` would cost 700 MB.
pub const MEMBERS_MAX: usize = 16_384;
/// Up to this many members a new key is compared with each before it; more are sorted once.
const COMPARED_EACH_MAX: usize = 24;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum JsonKind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl JsonKind {
    /// Its name with an article, for messages.
    pub fn name(self) -> &'static str {
        match self {
            JsonKind::Null => "null",
            JsonKind::Bool => "a boolean",
            JsonKind::Number => "a number",
            JsonKind::String => "a string",
            JsonKind::Array => "an array",
            JsonKind::Object => "an object",
        }
    }
}

/// One JSON value as it was written, without white space around it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// `null`.
    pub const NULL: Raw<'static> = Raw("null");

    /// The one value that `text` holds, white space around it aside.
    ///
    /// # Errors
    /// No value, a malformed one (its own level is checked, not what it contains), or something after it.
    pub fn parse(text: &'a str) -> Result<Raw<'a>, Fault> {
        let mut cursor = Cursor { text, at: 0 };
        cursor.skip_space();
        let value = cursor.value()?;
        cursor.end()?;
        Ok(value)
    }

    /// The value as it was written.
    pub fn text(self) -> &'a str {
        self.0
    }

    /// What it is.
    pub fn kind(self) -> JsonKind {
        match self.0.as_bytes().first() {
            Some(b'"') => JsonKind::String,
            Some(b'{') => JsonKind::Object,
            Some(b'[') => JsonKind::Array,
            Some(b't' | b'f') => JsonKind::Bool,
            Some(b'n') | None => JsonKind::Null,
            Some(_) => JsonKind::Number,
        }
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.kind() == JsonKind::Null
    }

    /// The boolean, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// The number, if it is written as a whole number from 0 to 2^64-1 (`1.0` and `1e2` are not).
    pub fn as_u64(self) -> Option<u64> {
        match self.kind() {
            JsonKind::Number => self.0.parse().ok(), // a JSON number has no plus sign, so parse is exact
            _ => None,
        }
    }

    /// The nearest f64, if it is a number that has one: `1e400` has none.
    pub fn as_f64(self) -> Option<f64> {
        match self.kind() {
            JsonKind::Number => self.0.parse().ok().filter(|n: &f64| n.is_finite()),
            _ => None,
        }
    }

    /// The decoded string; borrowed when it has no escapes. A lone surrogate becomes U+FFFD, as it has no UTF-8.
    /// None: not a string, or an escape in it is malformed.
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        decode(self.string_inner()?)
    }

    /// A string as it was written, without its quotes and still escaped: to be pasted and joined without decoding,
    /// which also mends an emoji whose two surrogates came in two pieces.
    pub fn string_inner(self) -> Option<&'a str> {
        self.0.strip_prefix('"')?.strip_suffix('"')
    }

    /// Its members, one level deep.
    ///
    /// # Errors
    /// It is not an object, or a malformed one, see [`Object::parse`].
    pub fn as_object(self) -> Result<Object<'a>, Fault> {
        match self.kind() {
            JsonKind::Object => Object::of_text(self.0),
            other => Err(expected("an object", other)),
        }
    }

    /// Its elements. The whole level is checked here, so the iterator has no errors.
    ///
    /// # Errors
    /// It is not an array, or a malformed one.
    pub fn elements(self) -> Result<Elements<'a>, Fault> {
        if self.kind() != JsonKind::Array {
            return Err(expected("an array", self.kind()));
        }
        Elements::of_text(self.0)
    }
}

impl fmt::Debug for Raw<'_> {
    /// Kind and size only: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({} of {} bytes)", self.kind().name(), self.0.len())
    }
}

#[cold]
fn expected(what: &str, found: JsonKind) -> Fault {
    Fault::bad(format!("expected {what}, found {}", found.name()))
}

#[cold]
fn wrong(at: usize, what: &str) -> Fault {
    Fault::bad(format!("the JSON is wrong at byte {at}: {what}"))
}

/// Walks one level. `at` always stands on an ASCII byte or at the end, so slices of `text` never cut a character.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// RFC 8259 2: blank, tab, line feed and carriage return, nothing else.
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// The value that starts here.
    fn value(&mut self) -> Result<Raw<'a>, Fault> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        self.at = match self.peek() {
            Some(b'"') => string_end(bytes, start)?,
            Some(b'{' | b'[') => container_end(bytes, start)?,
            Some(b'-' | b'0'..=b'9') => {
                number_end(bytes, start).ok_or_else(|| wrong(start, "a malformed number"))?
            }
            Some(_) => {
                let rest = &bytes[start..];
                let word = ["null", "true", "false"]
                    .into_iter()
                    .find(|word| rest.starts_with(word.as_bytes()))
                    .ok_or_else(|| wrong(start, "a value was expected"))?;
                start + word.len()
            }
            None => return Err(wrong(start, "it ends where a value was expected")),
        };
        Ok(Raw(&self.text[start..self.at]))
    }

    /// The key that starts here, decoded.
    fn key(&mut self) -> Result<Cow<'a, str>, Fault> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(wrong(start, "a key in double quotes was expected"));
        }
        self.at = string_end(self.text.as_bytes(), start)?;
        let inner = &self.text[start + 1..self.at - 1];
        decode(inner).ok_or_else(|| wrong(start, "a malformed escape in a key"))
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<(), Fault> {
        self.skip_space();
        if self.peek() != Some(byte) {
            return Err(wrong(self.at, what));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    /// After a member or an element: whether another follows.
    fn another(&mut self, close: u8) -> Result<bool, Fault> {
        self.skip_space();
        let found = self.peek();
        if found == Some(b',') {
            self.at += 1;
            self.skip_space();
            Ok(true)
        } else if found == Some(close) {
            Ok(false)
        } else {
            Err(wrong(self.at, "a comma or a closing bracket was expected"))
        }
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(wrong(self.at, "something follows the value")),
        }
    }
}

/// Where the number that starts at `start` ends (RFC 8259 6); None: it is malformed.
fn number_end(bytes: &[u8], start: usize) -> Option<usize> {
    let digits = |from: usize| {
        let count = bytes[from..].iter().take_while(|b| b.is_ascii_digit());
        from + count.count()
    };
    let whole = start + usize::from(bytes[start] == b'-');
    let mut at = digits(whole);
    if at == whole || (bytes[whole] == b'0' && at > whole + 1) {
        return None;
    }
    if bytes.get(at) == Some(&b'.') {
        let end = digits(at + 1);
        if end == at + 1 {
            return None;
        }
        at = end;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let signed = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let end = digits(at + 1 + signed);
        if end == at + 1 + signed {
            return None;
        }
        at = end;
    }
    Some(at)
}

struct Field<'a> {
    key: Cow<'a, str>,
    value: Raw<'a>,
    key_at: usize,
    value_at: usize,
    taken: bool,
}

/// Lists that are kept on each thread for the next objects: as many as are open inside of each other.
const SPARES_MAX: usize = 8;
/// A list with room for more members than this is not kept.
const SPARE_MEMBERS_MAX: usize = 64;

thread_local! {
    static SPARES: RefCell<Vec<Vec<Field<'static>>>> = const { RefCell::new(Vec::new()) };
}

/// An empty list: musl takes longer to allocate one than a small object takes to be read.
fn spare<'a>() -> Vec<Field<'a>> {
    let spare = SPARES.try_with(|spares| spares.borrow_mut().pop());
    let spare = spare.ok().flatten(); // no thread's list: the thread is ending
    spare.unwrap_or_else(|| Vec::with_capacity(8))
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        if !(1..=SPARE_MEMBERS_MAX).contains(&fields.capacity()) {
            return;
        }
        fields.clear();
        // An empty list borrows nothing any more; collecting it in place keeps its memory.
        let nothing = |_: Field<'_>| -> Field<'static> { unreachable!("the list is empty") };
        let spare = fields.into_iter().map(nothing).collect();
        let _ = SPARES.try_with(|spares| {
            let mut spares = spares.borrow_mut();
            if spares.len() < SPARES_MAX {
                spares.push(spare);
            }
        });
    }
}

/// One level of a JSON object.
pub struct Object<'a> {
    source: &'a [u8],
    fields: Vec<Field<'a>>,
    /// Where the closing brace stands.
    close: usize,
}

impl<'a> Object<'a> {
    /// The object that is all of `bytes`, white space around it aside.
    ///
    /// # Errors
    /// Bytes that are not UTF-8 anywhere; a top level that breaks RFC 8259; brackets that do not pair; a duplicate key
    /// (`"model"` and `"mod\u0065l"` are one); more than [`MEMBERS_MAX`] members; anything after the object.
    pub fn parse(bytes: &'a [u8]) -> Result<Object<'a>, Fault> {
        Object::of_text(utf8(bytes)?)
    }

    fn of_text(text: &'a str) -> Result<Object<'a>, Fault> {
        let mut cursor = Cursor { text, at: 0 };
        cursor.expect(b'{', "an object was expected")?;
        let mut fields = spare();
        let mut more = cursor.peek() != Some(b'}');
        while more {
            let key_at = cursor.at;
            let key = cursor.key()?;
            if fields.len() < COMPARED_EACH_MAX && fields.iter().any(|field| field.key == key) {
                return Err(duplicate(&key));
            }
            if fields.len() == MEMBERS_MAX {
                return Err(Fault::bad(format!(
                    "an object of more than {MEMBERS_MAX} members"
                )));
            }
            cursor.expect(b':', "a colon was expected")?;
            let value_at = cursor.at;
            let value = cursor.value()?;
            fields.push(Field {
                key,
                value,
                key_at,
                value_at,
                taken: false,
            });
            more = cursor.another(b'}')?;
        }
        let close = cursor.at;
        cursor.at += 1;
        cursor.end()?;
        if fields.len() > COMPARED_EACH_MAX {
            let mut keys: Vec<&str> = fields.iter().map(|field| field.key.as_ref()).collect();
            keys.sort_unstable();
            if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(duplicate(pair[0]));
            }
        }
        Ok(Object {
            source: text.as_bytes(),
            fields,
            close,
        })
    }

    fn present(&self) -> impl Iterator<Item = &Field<'a>> {
        self.fields.iter().filter(|field| !field.taken)
    }

    /// The value of that member. `null` is a value: None means that the member is absent or was taken.
    pub fn get(&self, key: &str) -> Option<Raw<'a>> {
        self.present()
            .find(|field| field.key == key)
            .map(|field| field.value)
    }

    /// Like [`Object::get`], and the member no longer counts: what is left in the end was understood by nobody.
    pub fn take(&mut self, key: &str) -> Option<Raw<'a>> {
        let field = self
            .fields
            .iter_mut()
            .find(|field| !field.taken && field.key == key)?;
        field.taken = true;
        Some(field.value)
    }

    /// The members that were not taken, in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Raw<'a>)> {
        self.present()
            .map(|field| (field.key.as_ref(), field.value))
    }

    /// What nobody took, in the order it came.
    pub fn rest(mut self) -> impl Iterator<Item = (Cow<'a, str>, Raw<'a>)> {
        std::mem::take(&mut self.fields)
            .into_iter()
            .filter(|field| !field.taken)
            .map(|field| (field.key, field.value))
    }

    /// How many members were not taken.
    pub fn len(&self) -> usize {
        self.present().count()
    }

    /// Whether there is no member that was not taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes it was parsed from, white space around the object included.
    pub fn source(&self) -> &'a [u8] {
        self.source
    }
}

impl fmt::Debug for Object<'_> {
    /// Keys only: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.fields.iter().map(|field| &field.key))
            .finish()
    }
}

#[cold]
fn duplicate(key: &str) -> Fault {
    let shown: String = key.chars().take(64).collect();
    Fault::bad(format!("the member {shown:?} is given twice"))
}

/// The elements of an array.
#[derive(Clone)]
pub struct Elements<'a> {
    /// Found while the array was checked: most arrays in a stream have one element, which is then not scanned twice.
    first: Option<Raw<'a>>,
    /// Stands where the next element starts, or on the closing bracket.
    cursor: Cursor<'a>,
}

impl<'a> Elements<'a> {
    /// Checks all of it and keeps nothing but the first: a list of where all elements are would take eight times the
    /// size of `[0,0,0,…]`.
    fn of_text(text: &'a str) -> Result<Elements<'a>, Fault> {
        let mut cursor = Cursor { text, at: 0 };
        cursor.expect(b'[', "an array was expected")?;
        let mut elements = Elements {
            first: None,
            cursor,
        };
        let mut more = cursor.peek() != Some(b']');
        while more {
            let value = cursor.value()?;
            more = cursor.another(b']')?;
            if elements.first.is_none() {
                elements.first = Some(value);
                elements.cursor = cursor;
            }
        }
        cursor.at += 1;
        cursor.end()?;
        Ok(elements)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Raw<'a>> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        if self.cursor.peek() == Some(b']') {
            return None;
        }
        let value = self.cursor.value().ok()?; // of_text has checked every element
        self.cursor.another(b']').ok()?;
        Some(value)
    }
}

impl fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Elements")
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| wrong(error.valid_up_to(), "it is not UTF-8"))
}

/// Checks one value to its last leaf (RFC 8259), and that it is all there is.
///
/// # Errors
/// The first place where it is wrong.
pub fn validate(bytes: &[u8]) -> Result<(), Fault> {
    // serde_json skips ignored values without recursion, but not their UTF-8: that is checked before.
    serde_json::from_str::<serde::de::IgnoredAny>(utf8(bytes)?)
        .map(|_| ())
        .map_err(|error| Fault::bad(format!("the JSON is wrong: {error}")))
}

/// Decodes the inside of a string token: borrowed when it has no escapes, lone surrogates become U+FFFD.
/// None: an escape is malformed.
pub fn decode(inner: &str) -> Option<Cow<'_, str>> {
    const SHORT_BYTES_MAX: usize = 32; // a key, mostly: a search that has to be set up costs more
    let found = match inner.len() {
        ..SHORT_BYTES_MAX => inner.bytes().position(|b| b == b'\\'),
        _ => inner.find('\\'),
    };
    let Some(mut escape) = found else {
        return Some(Cow::Borrowed(inner));
    };
    let mut out = Vec::with_capacity(inner.len());
    out.extend_from_slice(&inner.as_bytes()[..escape]);
    while escape < inner.len() {
        let rest = &inner[escape + 1..];
        let letter = *rest.as_bytes().first()?;
        let plain = match letter {
            b'"' | b'\\' | b'/' => Some(letter),
            b'b' => Some(0x8),
            b'f' => Some(0xc),
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            b't' => Some(b'\t'),
            b'u' => None,
            _ => return None,
        };
        let width = match plain {
            Some(byte) => {
                out.push(byte);
                2
            }
            None => {
                let unit = hex4(&rest[1..])?;
                let low = match unit {
                    0xd800..=0xdbff => rest[5..]
                        .strip_prefix("\\u")
                        .and_then(hex4)
                        .filter(|low| (0xdc00..=0xdfff).contains(low)),
                    _ => None,
                };
                let (code, width) = match low {
                    Some(low) => (0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00), 12),
                    None => (unit, 6),
                };
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                width
            }
        };
        let from = escape + width;
        escape = from
            + copy_until(&inner.as_bytes()[from..], &mut out, |word| {
                zeros(word, b'\\')
            });
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// Marks the bytes of a word that are `byte`. The lowest mark is right; those above it may not be.
fn zeros(word: u64, byte: u8) -> u64 {
    let rest = word ^ (ONES * u64::from(byte));
    rest.wrapping_sub(ONES) & !rest & HIGHS
}

/// The same for those a string cannot hold as they are: quote, backslash, control characters.
fn specials(word: u64) -> u64 {
    let controls = word.wrapping_sub(ONES * u64::from(b' ')) & !word & HIGHS;
    controls | zeros(word, b'"') | zeros(word, b'\\')
}

/// Copies up to the first byte that `marks` finds and answers how many were. In words of eight bytes: source code has an
/// escape every few, and a call of musl's memcpy costs more than copying them.
fn copy_until(bytes: &[u8], out: &mut Vec<u8>, marks: impl Fn(u64) -> u64) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        out.extend_from_slice(word);
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            let kept = found.trailing_zeros() as usize / 8;
            out.truncate(out.len() - 8 + kept);
            return at * 8 + kept;
        }
    }
    // Filled up with what is never marked.
    let mut last = [b' '; 8];
    last[..tail.len()].copy_from_slice(tail);
    let kept = (marks(u64::from_le_bytes(last)).trailing_zeros() as usize / 8).min(tail.len());
    out.extend_from_slice(&tail[..kept]);
    words.len() * 8 + kept
}

/// The number of the four hex digits that `text` begins with.
fn hex4(text: &str) -> Option<u32> {
    let digits = text.as_bytes().get(..4)?;
    digits
        .iter()
        .try_fold(0, |sum, &b| Some(sum << 4 | (b as char).to_digit(16)?))
}

/// Appends `text` as a JSON string: quoted, with quote, backslash and control characters escaped and all else as it is.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
}

/// Appends `text` escaped, without quotes: what [`Raw::string_inner`] takes apart.
pub fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len());
    let mut at = copy_until(bytes, out, specials);
    while let Some(&byte) = bytes.get(at) {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x8 => b'b',
            0xc => b'f',
            _ => 0,
        };
        if short == 0 {
            out.extend_from_slice(b"\\u00");
            out.push(b'0' + (byte >> 4));
            out.push(b"0123456789abcdef"[usize::from(byte & 15)]);
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
        at += 1;
        at += copy_until(&bytes[at..], out, specials);
    }
}

#[cfg(test)]
mod tests;
