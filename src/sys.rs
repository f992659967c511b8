//! System calls that std and tokio lack: the only `unsafe` here, declared by hand (no libc crate). Linux; elsewhere no-ops.
#![allow(unsafe_code)]
use std::{io, process::Command};
/// What [`kill`] sends: a request to end, or the end.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Term = 15,
    Kill = 9,
}
pub use system::*;
#[cfg(target_os = "linux")]
mod system {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::ptr::{null, null_mut};
    const PR_SET_PDEATHSIG: i32 = 1;
    const RLIMIT_NOFILE: i32 = 7;
    type Rlimit = [u64; 2]; // the soft one, the hard one
    // musl's memcpy takes ten times as long for a field or a struct.
    #[cfg(all(target_arch = "x86_64", any(test, target_env = "musl")))]
    std::arch::global_asm!(include_str!("sys/copy.s"));
    unsafe extern "C" {
        /// The real user id of this process.
        pub safe fn getuid() -> u32;
        safe fn getppid() -> i32;
        safe fn setsid() -> i32;
        safe fn umask(mask: u32) -> u32;
        #[link_name = "kill"]
        safe fn send_signal(pid: i32, signal: i32) -> i32;
        fn prctl(option: i32, ...) -> i32;
        // On 32 bits glibc's plain name takes 32-bit limits; musl's never does.
        #[cfg_attr(
            all(target_env = "gnu", target_pointer_width = "32"),
            link_name = "prlimit64"
        )]
        fn prlimit(pid: i32, resource: i32, new: *const Rlimit, old: *mut Rlimit) -> i32;
        fn setgroups(count: usize, groups: *const u32) -> i32;
        safe fn setgid(gid: u32) -> i32;
        safe fn setuid(uid: u32) -> i32;
    }
    fn check(result: i32) -> io::Result<()> {
        match result {
            0.. => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
    /// Signals one process. 0 and what fits no pid is refused: it would mean a whole group.
    pub fn kill(pid: u32, signal: Signal) -> io::Result<()> {
        match i32::try_from(pid) {
            Ok(pid @ 1..) => check(send_signal(pid, signal as i32)),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
    /// The child will have its own session, make private files, and get SIGTERM when the thread that spawns it ends (prctl(2)).
    pub fn tie_to_this_thread(child: &mut Command) {
        let parent = std::process::id() as i32;
        let prepare = move || {
            // SAFETY: the option takes one more argument, an unsigned long.
            check(unsafe { prctl(PR_SET_PDEATHSIG, Signal::Term as std::ffi::c_ulong) })?;
            if getppid() != parent {
                return Err(io::ErrorKind::NotConnected.into()); // the parent died before prctl: its signal will not come
            }
            umask(0o077);
            check(setsid())
        };
        // SAFETY: between fork and exec `prepare` only makes system calls; it neither allocates nor locks.
        unsafe { child.pre_exec(prepare) };
    }
    /// Raises the soft limit of descriptors to the hard one and returns it.
    pub fn raise_descriptor_limit() -> io::Result<u64> {
        let mut limit: Rlimit = [0; 2];
        // SAFETY: `limit` is laid out as struct rlimit and outlives both calls; pid 0 is this process.
        check(unsafe { prlimit(0, RLIMIT_NOFILE, null(), &mut limit) })?;
        limit[0] = limit[1];
        check(unsafe { prlimit(0, RLIMIT_NOFILE, &limit, null_mut()) }).map(|()| limit[0])
    }
    /// Becomes that user for good, without supplementary groups. Root only.
    pub fn become_user(uid: u32, gid: u32) -> io::Result<()> {
        // SAFETY: a count of 0 reads no list. The user goes last: after it the rest would be forbidden.
        check(unsafe { setgroups(0, null()) })?;
        check(setgid(gid))?;
        check(setuid(uid))
    }
}
#[cfg(not(target_os = "linux"))]
#[rustfmt::skip]
#[allow(missing_docs)]
mod system {
    use super::*;
    pub fn getuid() -> u32 { 0 }
    pub fn kill(_: u32, _: Signal) -> io::Result<()> { Ok(()) }
    pub fn tie_to_this_thread(_: &mut Command) {}
    pub fn raise_descriptor_limit() -> io::Result<u64> { Ok(1024) }
    pub fn become_user(_: u32, _: u32) -> io::Result<()> { Ok(()) }
}
#[cfg(test)]
mod tests;
