//! `PUID` and `PGID`. As root the gateway is watched changing its user; anyone else is told that nothing changes.

use crate::support::gateway::{Start, config_for};
use crate::support::{Gateway, Upstream, plain_answer};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

const UID: u32 = 23_456;
const GID: u32 = 23_457;

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn owner(path: &Path) -> (u32, u32) {
    let meta = std::fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    (meta.uid(), meta.gid())
}

/// The numbers after a name in `/proc/PID/status`.
fn ids(gateway: &Gateway, name: &str) -> Vec<u32> {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("it runs");
    let line = status
        .lines()
        .find(|line| line.starts_with(name))
        .expect("a line of proc(5)");
    line.split_whitespace()
        .skip(1)
        .map(|id| id.parse().expect("a number"))
        .collect()
}

fn asked() -> Start {
    let upstream = Upstream::always(plain_answer());
    Gateway::build()
        .config(config_for(&upstream))
        .env("PUID", UID.to_string())
        .env("PGID", GID.to_string())
}

#[test]
fn root_gives_its_folders_away_and_drops_before_it_listens() {
    if !is_root() {
        let gateway = asked().start();
        gateway.wait_for_line("PUID has no effect: only root can become another user");
        return;
    }
    let build = asked()
        .file("config.yaml.bak", "# by hand\n")
        .file("bystander", "not ours");
    let folder = build.folder().to_owned();
    let data = folder.join(".llm-wrapper");
    std::fs::create_dir_all(data.join("deep/er")).expect("a folder");
    std::fs::write(data.join("deep/er/token.json"), "{}").expect("a file");
    std::fs::write(folder.join("elsewhere"), "").expect("a file");
    symlink(folder.join("elsewhere"), data.join("link")).expect("a link");

    let gateway = build.start();
    assert_eq!(ids(&gateway, "Uid:"), [UID; 4]);
    assert_eq!(ids(&gateway, "Gid:"), [GID; 4]);
    assert_eq!(ids(&gateway, "Groups:"), [0_u32; 0]);
    for place in [
        "",
        "config.yaml",
        "config.yaml.bak",
        ".llm-wrapper",
        ".llm-wrapper/deep/er/token.json",
        ".llm-wrapper/link",
    ] {
        assert_eq!(owner(&folder.join(place)), (UID, GID), "{place}");
    }
    for place in ["bystander", "elsewhere"] {
        assert_eq!(owner(&folder.join(place)), (0, 0), "{place}");
    }
    for complaint in ["PUID", "cannot be"] {
        let line = gateway
            .log()
            .into_iter()
            .find(|line| line.contains(complaint));
        assert_eq!(line, None);
    }
    gateway.check_alive();
}

#[test]
fn a_missing_data_folder_is_made_for_the_user() {
    if !is_root() {
        return root_is_needed_for_a_change();
    }
    let build = asked();
    let data = build.folder().join("some/where");
    let gateway = build.env("DATA_DIR", data.display().to_string()).start();
    assert_eq!(owner(&data), (UID, GID));
    let mode = std::fs::metadata(&data)
        .expect("it was made")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    gateway.check_alive();
}

#[test]
fn the_demo_drops_root_and_touches_no_file() {
    if !is_root() {
        return root_is_needed_for_a_change();
    }
    let build = Gateway::build().arg("--demo").env("PUID", UID.to_string());
    let folder = build.folder().to_owned();
    let gateway = build.start();
    assert_eq!(ids(&gateway, "Uid:"), [UID; 4]);
    assert_eq!(ids(&gateway, "Gid:"), [UID; 4]);
    assert_eq!(owner(&folder), (0, 0));
    assert!(!folder.join(".llm-wrapper").exists());
}

#[test]
fn a_wrong_id_is_one_clear_line() {
    for (puid, pgid, needle) in [
        ("bob", "", "PUID=\"bob\" is no id"),
        ("1000", "-1", "PGID=\"-1\" is no id"),
        ("", "1000", "PGID=1000 needs a PUID"),
    ] {
        let (code, out, err) = Gateway::build().env("PUID", puid).env("PGID", pgid).run();
        assert_eq!(code, 1, "{out}{err}");
        assert!(err.contains(needle) && err.lines().count() == 1, "{err}");
    }
}

#[test]
fn a_system_folder_is_refused() {
    if !is_root() {
        return root_is_needed_for_a_change();
    }
    let (code, out, err) = asked().env("DATA_DIR", "/usr/local").run();
    assert_eq!(code, 1, "{out}{err}");
    assert!(
        err.contains("/usr/local away, a folder of the system"),
        "{err}"
    );
    assert_eq!(owner(Path::new("/usr/local")), (0, 0));
}

#[test]
fn without_the_capabilities_the_missing_ones_are_named() {
    if !is_root() {
        return root_is_needed_for_a_change();
    }
    let build = asked();
    let config = build.folder().join("config.yaml");
    let output = Command::new("setpriv")
        .args([
            "--bounding-set",
            "-setuid,-setgid",
            "--inh-caps",
            "-setuid,-setgid",
        ])
        .arg(env!("CARGO_BIN_EXE_llm-wrapper"))
        .args(["-a", "127.0.0.1:0", "-c"])
        .arg(config)
        .env("PUID", UID.to_string())
        .output()
        .expect("setpriv of util-linux");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(
        err.contains("the container needs the capabilities SETGID and SETUID"),
        "{err}"
    );
}

/// A container without CAP_DAC_OVERRIDE: its root can give folders away, and not look into those of others.
#[test]
fn chown_is_all_that_root_needs_for_the_folders() {
    if !is_root() {
        return root_is_needed_for_a_change();
    }
    let build = asked().file("config.yaml", "upstreams: []\n");
    let folder = build.folder().to_owned();
    let data = folder.join("data");
    std::fs::create_dir_all(data.join("accounts")).expect("a folder");
    std::fs::write(data.join("accounts/token.json"), "{}").expect("a file");
    for path in [&folder, &data, &data.join("accounts")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).expect("ours");
    }
    // The second start finds everything given, and closed to it.
    for _ in 0..2 {
        let mut child = Command::new("setpriv")
            .args(["--bounding-set", "-all,+chown,+setgid,+setuid"])
            .arg(env!("CARGO_BIN_EXE_llm-wrapper"))
            .args(["-a", "127.0.0.1:0", "-c"])
            .arg(folder.join("config.yaml"))
            .env("PUID", UID.to_string())
            .env("DATA_DIR", &data)
            .stderr(Stdio::piped())
            .spawn()
            .expect("setpriv of util-linux");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut seen = Vec::new();
        for line in lines.map_while(Result::ok) {
            let listens = line.contains("listening");
            seen.push(line);
            if listens {
                break;
            }
        }
        child.kill().expect("it runs");
        child.wait().expect("a child of ours");
        let log = seen.join("\n");
        assert!(log.contains("listening"), "{log}");
        assert!(!log.contains("PUID") && !log.contains("cannot be"), "{log}");
        for place in [
            "",
            "config.yaml",
            "data",
            "data/accounts",
            "data/accounts/token.json",
        ] {
            assert_eq!(owner(&folder.join(place)), (UID, UID), "{place}");
        }
    }
}

/// What the tests above come to without root: the change is refused in words, and the gateway serves.
fn root_is_needed_for_a_change() {
    let gateway = asked().start();
    gateway.wait_for_line("PUID has no effect");
    gateway.check_alive();
}
