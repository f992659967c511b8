//! One level of an object: each member found once, in the order it came, its value left as it was written. What a reader
//! takes no longer counts, so that what is left in the end was understood by nobody.

use super::cursor::Cursor;
use super::{Raw, utf8};
use crate::error::Fault;
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

/// Members of one object; the largest honest ones have some hundreds. Without a bound 64 MB of `"a":1,` would cost 700 MB.
pub const MEMBERS_MAX: usize = 16_384;
/// Up to this many members a new key is compared with each before it; more are sorted once.
pub(super) const COMPARED_EACH_MAX: usize = 24;

pub(super) struct Field<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) value: Raw<'a>,
    pub(super) key_at: usize,
    pub(super) value_at: usize,
    pub(super) taken: bool,
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
    pub(super) source: &'a [u8],
    pub(super) fields: Vec<Field<'a>>,
    /// Members that were not taken: most readers ask for more when all have been.
    left: usize,
    /// Where the closing brace stands.
    pub(super) close: usize,
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

    pub(super) fn of_text(text: &'a str) -> Result<Object<'a>, Fault> {
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
            left: fields.len(),
            fields,
            close,
        })
    }

    fn present(&self) -> impl Iterator<Item = &Field<'a>> {
        let fields = if self.left == 0 {
            &[][..]
        } else {
            &self.fields
        };
        fields.iter().filter(|field| !field.taken)
    }

    /// The value of that member. `null` is a value: None means that the member is absent or was taken.
    pub fn get(&self, key: &str) -> Option<Raw<'a>> {
        self.present()
            .find(|field| field.key == key)
            .map(|field| field.value)
    }

    /// Like [`Object::get`], and the member no longer counts: what is left in the end was understood by nobody.
    pub fn take(&mut self, key: &str) -> Option<Raw<'a>> {
        if self.left == 0 {
            return None;
        }
        let field = self
            .fields
            .iter_mut()
            .find(|field| !field.taken && field.key == key)?;
        field.taken = true;
        self.left -= 1;
        Some(field.value)
    }

    /// The members that were not taken, in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Raw<'a>)> {
        self.present()
            .map(|field| (field.key.as_ref(), field.value))
    }

    /// What nobody took, in the order it came.
    pub fn rest(mut self) -> impl Iterator<Item = (Cow<'a, str>, Raw<'a>)> {
        // Where nothing is left the list is kept for the next object.
        let fields = match self.is_empty() {
            true => Vec::new(),
            false => std::mem::take(&mut self.fields),
        };
        fields
            .into_iter()
            .filter(|field| !field.taken)
            .map(|field| (field.key, field.value))
    }

    /// How many members were not taken.
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether there is no member that was not taken.
    pub fn is_empty(&self) -> bool {
        self.left == 0
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
