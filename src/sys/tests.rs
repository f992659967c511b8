//! Tests of the system calls, apart so that the file with the `unsafe` can be read at a glance.

use super::*;

#[test]
fn the_user_id_is_the_one_proc_shows() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("Uid:"))
        .unwrap();
    let real = line.split_whitespace().nth(1).unwrap();
    assert_eq!(getuid().to_string(), real);
}

#[test]
fn the_soft_descriptor_limit_becomes_the_hard_one() {
    let raised = raise_descriptor_limit().unwrap().to_string();
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!((words[3], words[4]), (&*raised, &*raised));
}

#[test]
fn a_signal_goes_to_one_process_and_never_to_a_group() {
    for group in [0, u32::MAX] {
        let error = kill(group, Signal::Term).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    kill(child.id(), Signal::Kill).unwrap();
    assert!(!child.wait().unwrap().success());
}

#[test]
fn a_tied_child_leads_its_own_session_and_ends_with_the_thread_that_spawned_it() {
    let spawn = || {
        let mut command = Command::new("sleep");
        command.arg("60");
        tie_to_this_thread(&mut command);
        let child = command.spawn().unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        // After the name in parentheses: state, parent, process group, session (proc(5)).
        let after_name = stat.rsplit_once(") ").unwrap().1;
        let session = after_name.split(' ').nth(3).unwrap().to_owned();
        (child, session)
    };
    let (mut child, session) = std::thread::spawn(spawn).join().unwrap();
    assert_eq!(session, child.id().to_string());
    // The thread is gone, so this returns well before the 60 seconds are over.
    let started = std::time::Instant::now();
    assert!(!child.wait().unwrap().success());
    assert!(started.elapsed().as_secs() < 50);
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn bytes_are_copied_as_they_were_whatever_the_count_and_the_overlap() {
    unsafe extern "C" {
        fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8;
    }
    let source: Vec<u8> = (0..6000_u32).map(|n| (n * 7 + n / 251) as u8).collect();
    let counts = (0..300).chain([511, 512, 1000, 2047, 2048, 2049, 2500]);
    for count in counts {
        // Apart, and overlapping from both sides by little and by nearly all; aligned and not.
        for (from, to) in [
            (0, 3000),
            (3, 3001),
            (3001, 7),
            (100, 100),
            (100, 101),
            (101, 100),
            (100, 117),
            (117, 100),
            (64, 96),
            (96, 64),
            (100, 100 + count * 2 / 3),
            (100 + count * 2 / 3, 100),
        ] {
            let (mut copied, mut expected) = (source.clone(), source.clone());
            expected.copy_within(from..from + count, to);
            let begin = copied.as_mut_ptr();
            // SAFETY: both ranges lie inside of `copied`.
            let given = unsafe { memmove(begin.add(to), begin.add(from), count) };
            assert_eq!(given.addr() - begin.addr(), to);
            assert!(copied == expected, "{count} bytes from {from} to {to}");
        }
    }
}
