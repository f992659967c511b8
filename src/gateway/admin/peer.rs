//! Whose process is at the other end of a loopback connection: the uid column of `/proc/net/tcp` and `tcp6`.
//! Where it cannot be told, it is nobody's.

use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The tables, by the family of the client's socket. An IPv4 address may stand in either.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// TCP_ESTABLISHED: the socket of a process. One that was closed belongs to nobody, and its uid reads as root's.
const ESTABLISHED: &str = "01";

/// The uid of the process that owns the client's end of a connection between `client` and `here`, both on this machine.
pub(super) fn uid_of(client: SocketAddr, here: SocketAddr) -> Option<u32> {
    if !user_ids_are_real() {
        return None;
    }
    let look = || {
        TABLES.iter().find_map(|table| {
            let table = fs::read_to_string(table).ok()?;
            table.lines().find_map(|line| owner(line, client, here))
        })
    };
    // Twice: a socket that is closed while a row is being printed may show root's uid, but not in two rows.
    let first = look()?;
    (look()? == first).then_some(first.0)
}

/// Inside a user namespace that maps only some users, all others read as one.
fn user_ids_are_real() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let mut words = map.split_whitespace();
    let whole = [words.next(), words.next(), words.next()];
    whole == [Some("0"), Some("0"), Some("4294967295")] || {
        // A container's own range is fine as long as the users of both ends are in it, which is what a uid other than the
        // overflow one says.
        let overflow = fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap_or_default();
        overflow
            .trim()
            .parse::<u32>()
            .is_ok_and(|overflow| overflow != crate::sys::getuid())
    }
}

/// Uid and inode of the row for that pair of addresses.
fn owner(row: &str, local: SocketAddr, remote: SocketAddr) -> Option<(u32, u64)> {
    // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
    let mut words = row.split_whitespace().skip(1);
    let is =
        |word: Option<&str>, wanted: SocketAddr| word.and_then(address) == Some(canonical(wanted));
    if !is(words.next(), local) || !is(words.next(), remote) || words.next() != Some(ESTABLISHED) {
        return None;
    }
    let uid = words.nth(3)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    (inode != 0).then_some((uid, inode))
}

fn canonical(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}

/// `0100007F:1F90`: the address as 32-bit words in the machine's byte order, the port as a number.
fn address(word: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = word.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let group = |at: usize| {
        let digits = ip.get(8 * at..8 * at + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let ip = match ip.len() {
        8 => IpAddr::from(group(0)?),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[4 * at..4 * at + 4].copy_from_slice(&group(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some((ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_row_is_read_and_a_closed_socket_is_nobodys() {
        let (a, b): (SocketAddr, SocketAddr) = (
            "127.0.0.1:40000".parse().unwrap(),
            "[::ffff:127.0.0.1]:3000".parse().unwrap(),
        );
        let v4 = if cfg!(target_endian = "little") {
            "0100007F"
        } else {
            "7F000001"
        };
        let row = |state: &str, inode: u32| {
            format!(
                "  5: {v4}:9C40 {v4}:0BB8 {state} 00000000:00000000 00:00000000 00000000  1000        0 {inode} 1 0 20 4 30 10 -1"
            )
        };
        assert_eq!(owner(&row("01", 77), a, b), Some((1000, 77)));
        assert_eq!(owner(&row("01", 0), a, b), None);
        assert_eq!(owner(&row("05", 77), a, b), None);
        assert_eq!(owner(&row("01", 77), b, a), None);
        assert_eq!(owner("", a, b), None);
        assert_eq!(owner("  sl  local_address rem_address   st", a, b), None);
    }

    #[test]
    fn our_own_connection_is_our_own() {
        for place in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(place) else {
                continue; // no IPv6 on this machine
            };
            let port = listener.local_addr().unwrap().port();
            let to = if place.starts_with("[::1]") {
                "::1"
            } else {
                "127.0.0.1"
            };
            let client = TcpStream::connect((to, port)).unwrap();
            let (server, peer) = listener.accept().unwrap();
            assert_eq!(
                uid_of(peer, server.local_addr().unwrap()),
                Some(crate::sys::getuid()),
                "{place}"
            );
            drop(client);
            assert_eq!(uid_of(peer, server.local_addr().unwrap()), None, "{place}");
        }
    }
}
