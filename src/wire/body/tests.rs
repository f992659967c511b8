use super::*;
use crate::wire::dice::Dice;
use crate::wire::head::{Searched, parse_request, parse_response};

fn request_framing(version: &str, lines: &str) -> Result<Framing, Fault> {
    let text = format!("POST / HTTP/{version}\r\nHost: h\r\n{lines}\r\n");
    let mut head = RequestHead::default();
    parse_request(text.as_bytes(), &mut Searched::default(), &mut head)?;
    Framing::of_request(&head)
}

fn response_framing(method: Method, status: u16, lines: &str) -> Result<Framing, Fault> {
    let text = format!("HTTP/1.1 {status} X\r\n{lines}\r\n");
    let mut head = ResponseHead::default();
    parse_response(text.as_bytes(), &mut Searched::default(), &mut head)?;
    Framing::of_response(method, &head)
}

/// Every piece is what newly came; what a step did not use is offered again with the next.
fn decode_with(
    mut decoder: Decoder,
    pieces: &[&[u8]],
    eof: bool,
) -> Result<(Vec<u8>, Option<usize>), Fault> {
    let (mut body, mut held, mut total) = (Vec::new(), Vec::new(), 0);
    for (at, piece) in pieces.iter().enumerate() {
        held.extend_from_slice(piece);
        loop {
            let (used, step) = decoder.step(&held, eof && at + 1 == pieces.len())?;
            let (end, more) = match step {
                Step::Data(data) => {
                    assert!(!data.is_empty());
                    body.extend_from_slice(data);
                    (false, true)
                }
                Step::NeedMore => (false, false),
                Step::End => (true, false),
            };
            total += used;
            held.drain(..used);
            if end {
                assert!(decoder.is_done());
                return Ok((body, Some(total)));
            }
            if !more {
                break;
            }
        }
    }
    Ok((body, None))
}

/// Whole, at every split, byte by byte: the same body and end, or a refusal each time.
fn decode(decoder: Decoder, bytes: &[u8], eof: bool) -> Result<(Vec<u8>, Option<usize>), Fault> {
    let whole = decode_with(decoder, &[bytes], eof);
    let check = |pieces: &[&[u8]]| {
        let found = decode_with(decoder, pieces, eof);
        match (&whole, &found) {
            (Ok(a), Ok(b)) => assert_eq!(a, b, "{}", bytes.escape_ascii()),
            (Err(_), Err(_)) => {}
            _ => panic!("{whole:?} but {found:?}: {}", bytes.escape_ascii()),
        }
    };
    for at in 0..=bytes.len() {
        let (a, b) = bytes.split_at(at);
        check(&[a, b]);
    }
    if !bytes.is_empty() {
        check(&bytes.chunks(1).collect::<Vec<_>>());
    }
    whole
}

fn chunked_request(bytes: impl AsRef<[u8]>) -> Result<(Vec<u8>, Option<usize>), Fault> {
    decode(Decoder::of_request(Framing::Chunked), bytes.as_ref(), false)
}

fn chunked_response(bytes: impl AsRef<[u8]>) -> Result<(Vec<u8>, Option<usize>), Fault> {
    decode(
        Decoder::of_response(Framing::Chunked),
        bytes.as_ref(),
        false,
    )
}

#[test]
fn rule_10_content_length_is_digits_only() {
    let length = |value: &str| request_framing("1.1", &format!("Content-Length: {value}\r\n"));
    assert_eq!(length("5"), Ok(Framing::Length(5)));
    assert_eq!(length("005"), Ok(Framing::Length(5)));
    assert_eq!(length("0"), Ok(Framing::None));
    assert_eq!(
        length("9999999999999999999"),
        Ok(Framing::Length(9_999_999_999_999_999_999))
    );
    for bad in [
        "+5",
        "-5",
        "",
        " ",
        "5 5",
        "5,5",
        "5, 5",
        "0x5",
        "5.0",
        "5e1",
        "1_0",
        "five",
        "5;",
        "\u{665}",
        "18446744073709551616",
        "18446744073709551615",
        "99999999999999999999",
    ] {
        assert_eq!(length(bad).unwrap_err().kind, Kind::BadRequest, "{bad}");
        assert!(
            response_framing(Method::Get, 200, &format!("Content-Length: {bad}\r\n")).is_err(),
            "{bad}"
        );
    }
    for lines in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\ncontent-length: 6\r\n",
    ] {
        assert!(request_framing("1.1", lines).is_err());
        assert!(response_framing(Method::Get, 200, lines).is_err()); // rule 31: equal repeats included
    }
    assert_eq!(request_framing("1.1", ""), Ok(Framing::None));
    assert_eq!(
        request_framing("1.0", "Content-Length: 5\r\n"),
        Ok(Framing::Length(5))
    );
}

#[test]
fn rule_11_transfer_encoding_is_chunked_once_in_http_1_1() {
    let coding = |value: &str| request_framing("1.1", &format!("Transfer-Encoding: {value}\r\n"));
    assert_eq!(coding("chunked"), Ok(Framing::Chunked));
    assert_eq!(coding(" CHUNKED\t"), Ok(Framing::Chunked));
    for bad in [
        "gzip, chunked",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "identity",
        "",
        "chunked;a=b",
        "\"chunked\"",
        "xchunked",
        "chunked x",
        "chun ked",
    ] {
        assert_eq!(coding(bad).unwrap_err().kind, Kind::UnknownCoding, "{bad}");
        assert!(
            response_framing(Method::Get, 200, &format!("Transfer-Encoding: {bad}\r\n")).is_err()
        );
    }
    assert!(coding("\u{b}chunked").is_err());
    assert!(
        request_framing(
            "1.1",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"
        )
        .is_err()
    );
    assert!(request_framing("1.0", "Transfer-Encoding: chunked\r\n").is_err());
}

#[test]
fn rule_12_length_and_chunked_together_are_refused() {
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
    ] {
        assert!(request_framing("1.1", lines).is_err());
        assert!(response_framing(Method::Post, 200, lines).is_err());
    }
}

#[test]
fn rule_33_some_answers_have_no_body_whatever_they_say() {
    let lines = "Content-Length: 5\r\n";
    for status in [100, 101, 103, 204, 304] {
        assert_eq!(
            response_framing(Method::Get, status, lines),
            Ok(Framing::None),
            "{status}"
        );
        assert_eq!(
            response_framing(Method::Get, status, "Transfer-Encoding: chunked\r\n"),
            Ok(Framing::None)
        );
    }
    assert_eq!(
        response_framing(Method::Head, 200, lines),
        Ok(Framing::None)
    );
    assert_eq!(
        response_framing(Method::Get, 200, lines),
        Ok(Framing::Length(5))
    );
    assert_eq!(
        response_framing(Method::Get, 200, "Content-Length: 0\r\n"),
        Ok(Framing::Length(0))
    );
    assert_eq!(
        response_framing(Method::Get, 200, ""),
        Ok(Framing::UntilClose)
    );
    assert_eq!(
        response_framing(Method::Get, 205, "Transfer-Encoding: chunked\r\n"),
        Ok(Framing::Chunked)
    );
    assert!(Decoder::of_response(Framing::Length(0)).is_done());
}

#[test]
fn chunks_become_the_body_and_what_follows_is_left() {
    let (body, end) =
        chunked_request("3\r\nabc\r\nA\r\n0123456789\r\n0;x=\"y\"\r\n\r\nGET /").unwrap();
    assert_eq!(body, b"abc0123456789");
    assert_eq!(end, Some(34));
    assert_eq!(chunked_request("0\r\n\r\n").unwrap(), (vec![], Some(5)));
    assert_eq!(
        chunked_request("00003\r\na\r\n\r\n000\r\n\r\n").unwrap().0,
        b"a\r\n"
    );
    assert_eq!(
        chunked_request("3;ext\r\nabc\r\n").unwrap(),
        (b"abc".to_vec(), None)
    );
}

#[test]
fn rule_13_a_chunk_size_is_hex_digits_only() {
    for bad in [
        "", " 3", "+3", "-3", "0x3", "3_0", "3 ", "3\t", "g", "3h", "3 ;x", "\"3\"", "\0", "3\0",
    ] {
        let text = format!("{bad}\r\nabc\r\n0\r\n\r\n");
        assert!(chunked_request(&text).is_err(), "{bad:?}");
    }
    for bad in [
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "3\r\nabc\rX0\r\n\r\n",
        "3\r\nabc\r\r\n0\r\n\r\n",
        "3\r\rabc\r\n",
        "3\r\nabcXX0\r\n\r\n",
        "0\r\nX\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\n\r\r",
    ] {
        assert!(chunked_request(bad).is_err(), "{bad:?}");
        assert!(chunked_response(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn rule_13_upstreams_may_pad_a_chunk_size() {
    for text in [
        "3 \r\nabc\r\n0\r\n\r\n",
        "3\t  \r\nabc\r\n0  \r\n\r\n",
        "3 ;x\r\nabc\r\n0\r\n\r\n",
    ] {
        assert_eq!(chunked_response(text).unwrap().0, b"abc");
        assert!(chunked_request(text).is_err());
    }
    let padded = |count| format!("3{}\r\nabc\r\n0\r\n\r\n", " ".repeat(count));
    assert!(chunked_response(padded(16)).is_ok());
    assert!(chunked_response(padded(17)).is_err());
    for bad in [
        " 3\r\nabc\r\n",
        "3 0\r\nabc\r\n",
        "3 \nabc\r\n",
        "3 x\r\nabc\r\n",
        "3 \0\r\nabc\r\n",
    ] {
        assert!(chunked_response(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn h11_wrong_bytes_after_chunk_data_are_refused() {
    // CVE-2025-43859: h11 took any two bytes for the line end.
    for a in 0..=255_u8 {
        for b in [b'\r', b'\n', 0, b'0', b' '] {
            let text = [b"1\r\nx", &[a, b][..], b"0\r\n\r\n"].concat();
            let right = a == b'\r' && b == b'\n';
            let found = decode_with(Decoder::of_request(Framing::Chunked), &[&text], false);
            assert_eq!(found.is_ok(), right, "{a:#x} {b:#x}");
        }
    }
}

#[test]
fn rule_13_sizes_at_the_limits_of_u64() {
    for bad in [
        "ffffffffffffffff",
        "10000000000000000",
        "fffffffffffffffff",
        "100000000000000000000000000000003",
        "00000000000000003",
    ] {
        let found = decode_with(
            Decoder::of_request(Framing::Chunked),
            &[format!("{bad}\r\nabc").as_bytes()],
            false,
        );
        assert!(found.is_err(), "{bad}");
    }
    let mut decoder = Decoder::of_request(Framing::Chunked);
    assert_eq!(
        decoder.step(b"ffffffffffffff\r\nabc", false).unwrap(),
        (19, Step::Data(b"abc"))
    );
    assert_eq!(decoder.announced(), 0x00ff_ffff_ffff_ffff - 3);
    assert_eq!(decoder.step(b"", false).unwrap(), (0, Step::NeedMore));
    let mut decoder = Decoder::of_request(Framing::Length(u64::MAX));
    assert_eq!(
        decoder.step(b"abc", false).unwrap(),
        (3, Step::Data(b"abc"))
    );
    assert_eq!(decoder.announced(), u64::MAX - 3);
    // httparse's own chunk-size parser takes these.
    assert!(
        httparse::parse_chunk_size(b"3  \r\n").is_ok()
            && httparse::parse_chunk_size(b"3;\0\n\r\n").is_ok()
    );
    assert!(httparse::parse_chunk_size(b"ffffffffffffffff\r\n").is_ok());
}

#[test]
fn rule_14_line_ends_and_nul_in_an_extension_are_refused() {
    for bad in [
        "3;a\nb\r\nabc\r\n",
        "3;a\rb\r\nabc\r\n",
        "3;a\0b\r\nabc\r\n",
        "3;\n\r\nabc\r\n",
        "3;a\r\rabc\r\n",
    ] {
        assert!(chunked_request(bad).is_err(), "{bad:?}");
        assert!(chunked_response(bad).is_err(), "{bad:?}");
    }
    assert_eq!(
        chunked_request("3;a=\"b;c\" d\r\nabc\r\n0\r\n\r\n")
            .unwrap()
            .0,
        b"abc"
    );
}

#[test]
fn rule_15_valid_trailers_are_discarded_and_bad_ones_refused() {
    let trailer = |lines: &str| chunked_request(format!("1\r\nx\r\n0\r\n{lines}\r\n"));
    for good in [
        "",
        "A: b\r\n",
        "A:\r\nConnection: close\r\nContent-Length: 5\r\n",
        "A: \t\u{e4}\r\n",
    ] {
        assert_eq!(trailer(good).unwrap().0, b"x");
    }
    for bad in [
        "A\r\n",
        ": b\r\n",
        " A: b\r\n",
        "A : b\r\n",
        "A: b\n",
        "A: b\r\n c\r\n",
        "A: b\rc\r\n",
        "A: \0\r\n",
        "A: \x7f\r\n",
        "\u{e4}: b\r\n",
    ] {
        assert!(trailer(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn rule_8_extensions_and_trailers_are_bounded_in_sum() {
    let once = |text: String| {
        decode_with(
            Decoder::of_request(Framing::Chunked),
            &[text.as_bytes()],
            false,
        )
    };
    let chunk = |bytes: u32| format!("1;{}\r\nx\r\n", "e".repeat(bytes as usize));
    assert!(once(chunk(CHUNK_EXTENSION_BYTES_MAX)).is_ok());
    assert!(once(chunk(CHUNK_EXTENSION_BYTES_MAX + 1)).is_err());
    let half = chunk(CHUNK_EXTENSION_BYTES_MAX / 2);
    assert!(once(half.repeat(2)).is_ok() && once(half.repeat(3)).is_err());
    let trailers = |count: u32| format!("0\r\n{}\r\n", "A:bcd\r\n".repeat(count as usize));
    assert!(once(trailers(TRAILER_BYTES_MAX / 5)).is_ok());
    assert!(once(trailers(TRAILER_BYTES_MAX / 5 + 1)).is_err());
}

#[test]
fn rule_16_a_body_cut_by_the_end_is_never_complete() {
    let text = b"3\r\nabc\r\n0\r\nA: b\r\n\r\n";
    for at in 0..text.len() {
        assert!(
            decode(Decoder::of_response(Framing::Chunked), &text[..at], true).is_err(),
            "{at}"
        );
    }
    assert!(decode(Decoder::of_response(Framing::Chunked), text, true).is_ok());
    for at in 0..3 {
        assert!(
            decode(
                Decoder::of_response(Framing::Length(3)),
                &b"abc"[..at],
                true
            )
            .is_err()
        );
    }
    let whole = decode(Decoder::of_response(Framing::Length(3)), b"abcd", true).unwrap();
    assert_eq!(whole, (b"abc".to_vec(), Some(3)));
    let open = decode(Decoder::of_response(Framing::UntilClose), b"abc", true).unwrap();
    assert_eq!(open, (b"abc".to_vec(), Some(3)));
    let open = decode(Decoder::of_response(Framing::UntilClose), b"abc", false).unwrap();
    assert_eq!(open, (b"abc".to_vec(), None));
    let none = decode(Decoder::of_request(Framing::None), b"GET /", false).unwrap();
    assert_eq!(none, (vec![], Some(0)));
}

#[test]
fn what_is_written_as_chunks_decodes_to_itself() {
    let mut dice = Dice::new(4);
    for length in (0..40).chain([255, 256, 257, 4_095, 4_096, 70_000]) {
        let body: Vec<u8> = (0..length).map(|_| dice.next() as u8).collect();
        let mut wire = Vec::new();
        let mut rest = &body[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((1 + dice.below(length)).min(rest.len()));
            let mut room = [0; CHUNK_PREFIX_BYTES_MAX];
            let at = chunk_prefix(piece.len(), &mut room);
            wire.extend_from_slice(&[&room[at..], piece, CHUNK_SUFFIX].concat());
            rest = after;
        }
        wire.extend_from_slice(LAST_CHUNK);
        let expected = (body, Some(wire.len()));
        if length < 300 {
            assert_eq!(chunked_request(&wire).unwrap(), expected);
        }
        assert_eq!(
            decode_with(Decoder::of_request(Framing::Chunked), &[&wire], false).unwrap(),
            expected
        );
    }
    let mut room = [0; CHUNK_PREFIX_BYTES_MAX];
    assert_eq!(chunk_prefix(usize::MAX, &mut room), 0);
    assert_eq!(&room, b"ffffffffffffffff\r\n");
}

#[test]
fn mutated_chunks_never_panic_and_splits_never_matter() {
    let seeds: [&[u8]; 3] = [
        b"3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\n",
        b"1\r\n\r\r\n2\r\n\r\n\r\n0\r\n\r\n",
        b"a \r\n0123456789\r\n0  \r\n\r\nrest",
    ];
    let mut dice = Dice::new(13);
    let mut taken = 0;
    for round in 0..40_000 {
        let bytes = dice.mutate(seeds[round % 3], b"\r\n0123fF;: \t\0x");
        for decoder in [
            Decoder::of_request(Framing::Chunked),
            Decoder::of_response(Framing::Chunked),
        ] {
            let whole = decode_with(decoder, &[&bytes], round % 2 == 0);
            let at = dice.below(bytes.len() + 1);
            let (a, b) = bytes.split_at(at);
            let split = decode_with(decoder, &[a, b], round % 2 == 0);
            assert_eq!(whole.is_ok(), split.is_ok(), "{}", bytes.escape_ascii());
            if let (Ok(whole), Ok(split)) = (whole, split) {
                assert_eq!(whole, split);
                assert!(whole.0.len() <= bytes.len());
                taken += usize::from(whole.1.is_some());
            }
        }
    }
    assert!(taken > 2_000, "{taken}");
}

#[test]
fn a_size_read_at_once_is_the_one_read_byte_by_byte() {
    let bytewise = |bytes: &[u8]| {
        let mut decoder = Decoder::of_response(Framing::Chunked);
        for (at, &byte) in bytes.iter().enumerate() {
            decoder.state = decoder.framing_byte(byte).ok()?;
            match decoder.state {
                State::Data(value) => return Some((value, at + 1)),
                State::TrailerStart => return Some((0, at + 1)),
                _ => {}
            }
        }
        None
    };
    let check = |bytes: &[u8]| {
        let (fast, slow) = (plain_size(bytes), bytewise(bytes));
        // What is not read at once is padded, long, or may not be there yet.
        let plain = |&(_, used): &(u64, usize)| {
            let digits = bytes[..used - 2].iter().all(u8::is_ascii_hexdigit);
            digits && used <= PLAIN_DIGITS_MAX + 2 && bytes.len() >= PLAIN_DIGITS_MAX + 2
        };
        let slow = slow.filter(plain);
        assert_eq!(fast, slow, "{}", bytes.escape_ascii());
        fast.is_some()
    };
    for bytes in [
        &b"1234567\r\n"[..],
        b"1234567\r",
        b"12345678\r\n",
        b"fffffff\r\nx",
        b"0000000\r\n",
        b"0\r\n\r\nGET /",
        b"\r\n123456",
        b"abc\n12345",
        b"abc\r\r\n12345",
        b"0\r\n\r\n",
    ] {
        check(bytes);
    }
    let mut dice = Dice::new(14);
    let mut read = 0;
    for round in 0..200_000 {
        let alphabet: &[u8] = match round % 3 {
            0 => b"0123456789abcdefABCDEF",
            1 => b"0129afAF\r\n\r\n:;/g@G`\0\xb0",
            _ => b"0\r\n",
        };
        let mut bytes: Vec<u8> = (0..dice.below(10)).map(|_| dice.pick(alphabet)).collect();
        if dice.below(2) == 0 {
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend((0..dice.below(6)).map(|_| dice.pick(alphabet)));
        read += usize::from(check(&bytes));
    }
    assert!(read > 10_000, "{read}");
}
