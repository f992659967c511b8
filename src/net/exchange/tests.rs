//! What leaves on a client's connection, however large its pieces are and however slowly the client takes them.

use super::*;
use crate::wire::body::{Framing, Step};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

/// Pieces on both sides of what is written from where it lies, and more than a socket takes at once.
const PIECES: [usize; 9] = [1, 200, 4095, 4096, 4097, 0, 2_000_000, 700, 5000];

/// What a client gets for those pieces, head and body, when it begins to read only after `late`.
fn sent(length: Option<u64>, version: Version, late: Duration) -> Vec<u8> {
    crate::net::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (mut client, (ours, peer)) = (client.await.unwrap(), listener.accept().await.unwrap());
        let reading = tokio::spawn(async move {
            tokio::time::sleep(late).await;
            let mut found = Vec::new();
            client.read_to_end(&mut found).await.unwrap();
            found
        });
        let limit = Duration::from_secs(20);
        let patience = Patience {
            head: limit,
            stall: limit,
            keep_alive: limit,
        };
        let (_stop, stop) = watch::channel(false);
        let mut exchange = Exchange::new(ours, peer, patience, stop);
        exchange.version = version;
        exchange.begin(200, length, |_| {});
        let (last, others) = PIECES.split_last().unwrap();
        for (at, &length) in others.iter().enumerate() {
            exchange.write(&piece(at, length)).await.unwrap();
            assert_eq!(
                exchange.out.capacity(),
                0,
                "a buffer for nothing that waits"
            );
        }
        let last = piece(others.len(), *last);
        exchange.write_last(&last).await.unwrap();
        assert!(exchange.is_whole());
        assert_eq!(exchange.body_bytes_out(), body().len() as u64);
        drop(exchange);
        reading.await.unwrap()
    })
}

fn piece(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + number) as u8).collect()
}

fn body() -> Vec<u8> {
    let pieces = PIECES.iter().enumerate();
    pieces.flat_map(|(at, &length)| piece(at, length)).collect()
}

#[test]
fn pieces_of_any_size_are_one_body() {
    let all = body().len() as u64;
    for late in [Duration::ZERO, Duration::from_millis(50)] {
        for (length, version) in [
            (Some(all), Version::Http11),
            (None, Version::Http11),
            (None, Version::Http10),
        ] {
            let found = sent(length, version, late);
            let head_end = found.windows(4).position(|end| end == b"\r\n\r\n");
            let (head, mut rest) = found.split_at(head_end.unwrap() + 4);
            let framing = match (length, version) {
                (Some(n), _) => Framing::Length(n),
                (None, Version::Http11) => Framing::Chunked,
                (None, Version::Http10) => Framing::UntilClose,
            };
            let chunked = b"transfer-encoding: chunked\r\n";
            let says_chunked = head.windows(chunked.len()).any(|line| line == chunked);
            assert_eq!(says_chunked, framing == Framing::Chunked);
            let mut decoder = Decoder::of_response(framing);
            let (mut decoded, mut chunks) = (Vec::new(), 0);
            loop {
                let (used, step) = decoder.step(rest, true).unwrap();
                rest = &rest[used..];
                match step {
                    Step::Data(data) => {
                        decoded.extend_from_slice(data);
                        chunks += 1;
                    }
                    Step::End => break,
                    Step::NeedMore => unreachable!("all of it is there"),
                }
            }
            assert!(rest.is_empty() && decoded == body());
            // One for each piece: a client may take a chunk for an event.
            let pieces = PIECES.iter().filter(|&&length| length > 0).count();
            assert!(framing != Framing::Chunked || chunks == pieces);
        }
    }
}
