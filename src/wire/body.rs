//! Where a message body ends (RFC 9112 6 and 7): the framing, taken from a head in exactly two functions, and the decoder.
//! All smuggling rules live here. The decoder borrows its input: nothing is copied to be unwrapped.

use super::head::{Headers, Method, RequestHead, ResponseHead, Version};
use crate::error::{Fault, Kind};
use std::ops::Range;

/// A chunk-size line without its extension: 16 hex digits, and the blanks that some upstreams pad it with.
pub const CHUNK_SIZE_DIGITS_MAX: u8 = 16;
/// Padding after a chunk size, tolerated from upstreams only.
const CHUNK_PADDING_BYTES_MAX: u8 = 16;
/// Chunk extensions of one body in sum: they carry no data, so an endless row of them must end somewhere.
pub const CHUNK_EXTENSION_BYTES_MAX: u32 = 16 * 1024;
/// Trailer fields of one body in sum.
pub const TRAILER_BYTES_MAX: u32 = 16 * 1024;

/// How a body's end is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// Exactly that many bytes.
    Length(u64),
    /// Chunks, ended by an empty one.
    Chunked,
    /// All bytes until the connection is closed (responses only).
    UntilClose,
}

impl Framing {
    /// The framing of a request (RFC 9112 6.3). Length and chunked together, two lengths, and any other coding are refused.
    pub fn of_request(head: &RequestHead) -> Result<Framing, Fault> {
        let length = content_length(&head.headers, false)?;
        match chunked(&head.headers, head.version)? {
            true if length.is_some() => {
                Err(Fault::bad("both Content-Length and Transfer-Encoding"))
            }
            true => Ok(Framing::Chunked),
            false => Ok(length.map_or(Framing::None, |n| {
                if n == 0 {
                    Framing::None
                } else {
                    Framing::Length(n)
                }
            })),
        }
    }

    /// The framing of the response to a request of that method. 1xx, 204, 304 and answers to HEAD have no body, whatever they say.
    pub fn of_response(method: Method, head: &ResponseHead) -> Result<Framing, Fault> {
        if method == Method::Head || head.status < 200 || head.status == 204 || head.status == 304 {
            return Ok(Framing::None);
        }
        let length = content_length(&head.headers, true)?;
        match chunked(&head.headers, head.version)? {
            true if length.is_some() => {
                Err(Fault::bad("both Content-Length and Transfer-Encoding"))
            }
            true => Ok(Framing::Chunked),
            false => Ok(length.map_or(Framing::UntilClose, Framing::Length)),
        }
    }
}

/// `1*DIGIT`, once (http.md 10). `str::parse` would take `+5`, so the bytes are read here.
fn content_length(headers: &Headers, response: bool) -> Result<Option<u64>, Fault> {
    let mut values = headers.all("content-length");
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Fault::bad("more than one Content-Length"));
    }
    let number =
        digits(value).ok_or_else(|| Fault::bad("the Content-Length is not a plain number"))?;
    if response && number > i64::MAX as u64 {
        return Err(Fault::bad("the Content-Length is beyond all reason"));
    }
    Ok(Some(number))
}

/// A plain decimal number: digits only, no sign, no overflow.
pub fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, &b| {
        sum.checked_mul(10)?.checked_add(u64::from(b - b'0'))
    })
}

/// Whether the body is chunked: exactly `chunked`, once, in HTTP/1.1 (http.md 11).
fn chunked(headers: &Headers, version: Version) -> Result<bool, Fault> {
    let mut values = headers.all("transfer-encoding");
    let Some(value) = values.next() else {
        return Ok(false);
    };
    if values.next().is_some() {
        return Err(Fault::bad("more than one Transfer-Encoding"));
    }
    if version == Version::Http10 {
        return Err(Fault::bad("HTTP/1.0 has no Transfer-Encoding"));
    }
    if !value.eq_ignore_ascii_case(b"chunked") {
        return Err(Fault::new(
            Kind::UnknownCoding,
            "the only transfer coding is chunked",
        ));
    }
    Ok(true)
}

/// What the next bytes of a body are.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Bytes of the body.
    Data(&'a [u8]),
    /// Nothing more can be said without more input.
    NeedMore,
    /// The body is complete; what was not used belongs to the next message.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    Size { value: u64, digits: u8 },
    Padding { value: u64, bytes: u8 },
    Extension { value: u64 },
    SizeLf { value: u64 },
    Data(u64),
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

/// The beginning of a chunk.
const SIZE: State = State::Size {
    value: 0,
    digits: 0,
};
/// Hex digits of a chunk size that is read at once: more are read one by one, and counted.
const PLAIN_DIGITS_MAX: usize = 7;

/// What a byte is worth as a hex digit; 16 where it is none.
const HEX: [u8; 256] = {
    let mut worth = [16; 256];
    let digits = b"0123456789abcdef";
    let mut at = 0;
    while at < digits.len() {
        worth[digits[at] as usize] = at as u8;
        worth[digits[at].to_ascii_uppercase() as usize] = at as u8;
        at += 1;
    }
    worth
};

/// A chunk-size line as nearly all are: a few hex digits and CR LF, all there. The size, and the bytes it takes.
/// Everything else goes byte by byte through [`Decoder::framing_byte`], which gives the same for these.
#[inline(always)]
fn plain_size(bytes: &[u8]) -> Option<(u64, usize)> {
    let line: &[u8; PLAIN_DIGITS_MAX + 2] = bytes.first_chunk()?;
    let (mut value, mut digits) = (0, 0);
    while digits < PLAIN_DIGITS_MAX {
        let worth = HEX[usize::from(line[digits])];
        if worth > 15 {
            break;
        }
        value = value << 4 | u64::from(worth);
        digits += 1;
    }
    let ends = line[digits] == b'\r' && line[digits + 1] == b'\n';
    (ends && digits > 0).then_some((value, digits + 2))
}

/// Finds a body in the bytes of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    state: State,
    /// Blanks after a chunk size are taken (upstreams pad), see http.md 13.
    padding_ok: bool,
    extension_bytes: u32,
    trailer_bytes: u32,
}

impl Decoder {
    /// A decoder of a request's body: strict.
    pub fn of_request(framing: Framing) -> Decoder {
        Decoder::new(framing, false)
    }

    /// A decoder of a response's body: blanks after a chunk size are taken, nothing else is.
    pub fn of_response(framing: Framing) -> Decoder {
        Decoder::new(framing, true)
    }

    fn new(framing: Framing, padding_ok: bool) -> Decoder {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::End,
            Framing::Length(n) => State::Length(n),
            Framing::UntilClose => State::UntilClose,
            Framing::Chunked => SIZE,
        };
        Decoder {
            state,
            padding_ok,
            extension_bytes: 0,
            trailer_bytes: 0,
        }
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        self.state == State::End
    }

    /// The next step: how many bytes of `input` it used, and what they were. `eof`: no byte will follow `input`.
    /// A body cut by the end of the connection is an error, never an end.
    #[inline(always)]
    pub fn step<'a>(&mut self, input: &'a [u8], eof: bool) -> Result<(usize, Step<'a>), Fault> {
        let Some((place, left)) = self.plain_chunk(input) else {
            return self.any_step(input, eof);
        };
        self.state = match left {
            0 => State::DataCr,
            _ => State::Data(left),
        };
        Ok((place.end, Step::Data(&input[place])))
    }

    fn any_step<'a>(&mut self, input: &'a [u8], eof: bool) -> Result<(usize, Step<'a>), Fault> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match self.state {
                State::End => return Ok((used, Step::End)),
                State::UntilClose if rest.is_empty() && eof => self.state = State::End,
                _ if rest.is_empty() => {
                    return if eof {
                        Err(Fault::bad("the connection closed inside the body"))
                    } else {
                        Ok((used, Step::NeedMore))
                    };
                }
                State::UntilClose => return Ok((input.len(), Step::Data(rest))),
                State::Length(left) => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let left = left - taken as u64;
                    self.state = if left == 0 {
                        State::End
                    } else {
                        State::Length(left)
                    };
                    return Ok((used + taken, Step::Data(&rest[..taken])));
                }
                State::Data(left) => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let left = left - taken as u64;
                    self.state = if left == 0 {
                        State::DataCr
                    } else {
                        State::Data(left)
                    };
                    return Ok((used + taken, Step::Data(&rest[..taken])));
                }
                State::DataCr if rest.starts_with(CHUNK_SUFFIX) => {
                    self.state = SIZE;
                    used += CHUNK_SUFFIX.len();
                }
                _ => {
                    self.state = self.framing_byte(rest[0])?;
                    used += 1;
                }
            }
        }
    }

    /// What nearly every step of a stream is: from the end of one chunk's data into the next one's, all of its framing there.
    /// Where the data lies in `input`, and how much of the chunk is left behind it.
    #[inline(always)]
    fn plain_chunk(&self, input: &[u8]) -> Option<(Range<usize>, u64)> {
        let line = match self.state {
            State::DataCr if input.starts_with(CHUNK_SUFFIX) => CHUNK_SUFFIX.len(),
            State::Size { digits: 0, .. } => 0,
            _ => return None,
        };
        let (size, length) = plain_size(&input[line..])?;
        let start = line + length;
        let taken = usize::try_from(size).ok()?.min(input.len() - start);
        (taken > 0).then_some((start..start + taken, size - taken as u64))
    }

    /// One byte that is not data.
    fn framing_byte(&mut self, byte: u8) -> Result<State, Fault> {
        let state = match (self.state, byte) {
            (State::Size { value, digits }, b) if b.is_ascii_hexdigit() => {
                if digits >= CHUNK_SIZE_DIGITS_MAX || value > u64::MAX >> 8 {
                    return Err(Fault::bad("a chunk size is beyond all reason"));
                }
                let digit = (b as char).to_digit(16).unwrap_or_default(); // a hex digit, matched above
                State::Size {
                    value: value << 4 | u64::from(digit),
                    digits: digits + 1,
                }
            }
            (State::Size { digits: 0, .. }, _) => return Err(Fault::bad("a chunk has no size")),
            (State::Size { value, .. } | State::Padding { value, .. }, b'\r') => {
                State::SizeLf { value }
            }
            (State::Size { value, .. } | State::Padding { value, .. }, b';') => {
                State::Extension { value }
            }
            (State::Size { value, .. }, b' ' | b'\t') if self.padding_ok => {
                State::Padding { value, bytes: 1 }
            }
            (State::Padding { value, bytes }, b' ' | b'\t') if bytes < CHUNK_PADDING_BYTES_MAX => {
                State::Padding {
                    value,
                    bytes: bytes + 1,
                }
            }
            (State::Extension { value }, b'\r') => State::SizeLf { value },
            (State::Extension { value }, b) if b != b'\n' && b != 0 => {
                self.extension_bytes += 1;
                if self.extension_bytes > CHUNK_EXTENSION_BYTES_MAX {
                    return Err(Fault::bad("too many bytes of chunk extensions"));
                }
                State::Extension { value }
            }
            (State::SizeLf { value: 0 }, b'\n') => State::TrailerStart,
            (State::SizeLf { value }, b'\n') => State::Data(value),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => SIZE,
            (State::DataCr | State::DataLf, _) => {
                return Err(Fault::bad("a chunk is longer than its size says"));
            }
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::EndLf, b'\n') => State::End,
            (State::TrailerStart | State::TrailerName, b) if is_token_byte(b) => {
                self.trailer_byte(State::TrailerName)?
            }
            (State::TrailerName, b':') => self.trailer_byte(State::TrailerValue)?,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, b) if b == b'\t' || (b >= b' ' && b != 0x7f) => {
                self.trailer_byte(State::TrailerValue)?
            }
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (
                State::TrailerStart
                | State::TrailerName
                | State::TrailerValue
                | State::TrailerLf
                | State::EndLf,
                _,
            ) => {
                return Err(Fault::bad("a trailer field is malformed"));
            }
            _ => return Err(Fault::bad("a chunk-size line is malformed")),
        };
        Ok(state)
    }

    fn trailer_byte(&mut self, next: State) -> Result<State, Fault> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX {
            return Err(Fault::bad("too many bytes of trailer fields"));
        }
        Ok(next)
    }

    /// What is left of a body of known length; None for the other framings and at the end.
    pub fn length_left(&self) -> Option<u64> {
        match self.state {
            State::Length(n) => Some(n),
            _ => None,
        }
    }

    /// How many bytes the body will still hold at least, as far as the framing says: for limits before anything is read.
    pub fn announced(&self) -> u64 {
        match self.state {
            State::Length(n) | State::Data(n) | State::SizeLf { value: n } => n,
            _ => 0,
        }
    }
}

fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// The most a chunk's size line takes: 16 hex digits and CR LF.
pub const CHUNK_PREFIX_BYTES_MAX: usize = 18;
/// What follows a chunk's data.
pub const CHUNK_SUFFIX: &[u8] = b"\r\n";
/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Writes the size line of a chunk of `len` bytes right-aligned into `room`, and gives where it starts.
pub fn chunk_prefix(len: usize, room: &mut [u8; CHUNK_PREFIX_BYTES_MAX]) -> usize {
    let mut at = room.len();
    for byte in [b'\n', b'\r'] {
        at -= 1;
        room[at] = byte;
    }
    let mut rest = len;
    loop {
        at -= 1;
        room[at] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
        if rest == 0 {
            return at;
        }
    }
}

#[cfg(test)]
mod tests;
