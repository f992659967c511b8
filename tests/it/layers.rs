//! Who may import whom: the floors of `src/lib.rs`, as a test on the text of the sources.

use std::path::{Path, PathBuf};

struct Source {
    name: String,
    /// Without comments, and up to the tests of the file.
    code: String,
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder)
        .expect("a folder of the sources")
        .flatten()
    {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            files.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    assert!(files.len() > 10, "the sources were not found");
    // Whole files of tests, which no release holds, may name what they like.
    let is_test = |path: &&std::path::PathBuf| {
        let name = path.to_string_lossy();
        name.ends_with("tests.rs") || name.contains("/cases/") || name.contains("/testing")
    };
    files
        .iter()
        .filter(|path| !is_test(path))
        .map(|path| {
            let text = std::fs::read_to_string(path).expect("a source");
            let code: Vec<&str> = text
                .lines()
                .take_while(|line| line.trim() != "#[cfg(test)]")
                .map(|line| line.split("//").next().unwrap_or_default())
                .collect();
            Source {
                name: path
                    .strip_prefix(root)
                    .expect("below the root")
                    .to_string_lossy()
                    .into_owned(),
                code: without_strings(&code.join("\n")),
            }
        })
        .collect()
}

/// The code with the text of its string literals left out: words in messages are no imports.
fn without_strings(code: &str) -> String {
    let mut out = String::new();
    let mut chars = code.chars().peekable();
    let mut inside = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if inside => {
                chars.next();
            }
            '\'' if !inside && chars.peek() == Some(&'"') => {
                chars.next(); // the character '"', and its end
                chars.next();
            }
            '"' => {
                inside = !inside;
                out.push('"');
            }
            _ if inside => {}
            _ => out.push(c),
        }
    }
    out
}

/// Whether that path or word stands in the code as a whole word.
fn names(code: &str, word: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word).any(|(at, _)| {
        !is_word(code[..at].chars().next_back()) && !is_word(code[at + word.len()..].chars().next())
    })
}

/// `crate::name`, `super::name` from one floor below, or the name first in a grouped `use crate::{…}`.
fn imports(code: &str, floor: &str) -> bool {
    let flat: String = code.split_whitespace().collect::<Vec<_>>().join(" ");
    if names(&flat, &format!("crate::{floor}")) {
        return true;
    }
    flat.match_indices("crate::{").any(|(at, _)| {
        let group = &flat[at + 8..];
        let mut depth = 0;
        let mut item = String::new();
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                _ if depth > 0 => {}
                ',' => item.push(','),
                _ => item.push(c),
            }
        }
        item.split(',')
            .any(|part| part.trim().split("::").next() == Some(floor))
    })
}

const FLOORS: [(&str, &[&str], &str); 5] = [
    (
        "wire",
        &["error", "wire"],
        "wire may import error, and never tokio, async, std::net, std::time or log",
    ),
    (
        "protocol",
        &["error", "wire", "protocol"],
        "protocol may import wire and error, and never tokio, async, net or config",
    ),
    (
        "net",
        &["error", "wire", "log", "clock", "sys", "net"],
        "net may import wire, error, log, clock and sys, and never protocol, gateway or serde_json",
    ),
    (
        "sidecar",
        &["error", "wire", "net", "log", "clock", "sys", "sidecar"],
        "sidecar may import net, wire, error, log, clock and sys, and never protocol or gateway",
    ),
    (
        "gateway",
        &[
            "error", "wire", "protocol", "net", "sidecar", "log", "clock", "sys", "gateway",
        ],
        "gateway may import all but the command line",
    ),
];

const MODULES: [&str; 10] = [
    "error", "wire", "protocol", "net", "sidecar", "gateway", "log", "clock", "sys", "cli",
];

fn floor_of(name: &str) -> Option<&'static (&'static str, &'static [&'static str], &'static str)> {
    FLOORS
        .iter()
        .find(|(floor, _, _)| name.starts_with(&format!("src/{floor}/")))
}

#[test]
fn floors_import_only_what_is_below_them() {
    let mut breaches = Vec::new();
    for source in sources() {
        let Some((_, allowed, law)) = floor_of(&source.name) else {
            continue;
        };
        for module in MODULES {
            if !allowed.contains(&module) && imports(&source.code, module) {
                breaches.push(format!("{} imports {module}: {law}", source.name));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn bytes_and_meaning_know_neither_sockets_nor_time() {
    let mut breaches = Vec::new();
    for source in sources() {
        let Some((floor @ ("wire" | "protocol"), _, law)) = floor_of(&source.name) else {
            continue;
        };
        for word in [
            "tokio",
            "async",
            "await",
            "std::net",
            "std::time",
            "Instant",
            "SystemTime",
            "rustls",
        ] {
            if names(&source.code, word) {
                breaches.push(format!(
                    "{} says {word} on floor {floor}: {law}",
                    source.name
                ));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn each_dangerous_thing_has_one_place() {
    let mut breaches = Vec::new();
    for Source { name, code } in sources() {
        if names(&code, "serde_json") && name.starts_with("src/net/") {
            breaches.push(format!("{name} names serde_json: net moves bytes"));
        }
        if names(&code, "serde_yaml") && !name.starts_with("src/gateway/config") {
            breaches.push(format!("{name} names serde_yaml: only gateway/config may"));
        }
        if names(&code, "SystemTime") && name != "src/clock.rs" {
            breaches.push(format!("{name} names SystemTime: only clock.rs may"));
        }
        if names(&code, "unsafe") && name != "src/sys.rs" {
            breaches.push(format!("{name} says unsafe: only sys.rs may"));
        }
        if names(&code, "unsafe_code") && name != "src/sys.rs" {
            breaches.push(format!("{name} allows unsafe code: only sys.rs may"));
        }
        for macro_name in ["todo!", "unimplemented!", "dbg!"] {
            if code.contains(macro_name) {
                breaches.push(format!("{name} has a {macro_name}"));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn the_unsafe_file_is_short() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("src/sys.rs")).expect("src/sys.rs");
    let lines = text.lines().count(); // its tests are a file of their own
    assert!(lines < 100, "src/sys.rs has {lines} lines");
}

#[test]
fn the_runtime_dependencies_are_the_nine() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("Cargo.toml")).expect("Cargo.toml");
    let section = text
        .split("\n[dependencies]\n")
        .nth(1)
        .and_then(|after| after.split("\n[").next())
        .expect("[dependencies]");
    let mut named: Vec<&str> = section
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name.trim())
        .collect();
    named.sort_unstable();
    assert_eq!(
        named,
        [
            "httparse",
            "lexopt",
            "rustls",
            "serde",
            "serde_json",
            "serde_yaml",
            "tokio",
            "tokio-rustls",
            "webpki-roots"
        ]
    );
}

#[test]
fn the_reader_of_sources_sees_what_it_must() {
    assert!(imports("use crate::net::conn;", "net"));
    assert!(imports("use crate::{error, net};", "net"));
    assert!(imports(
        "use crate::{\n    error::{Fault, Kind},\n    net::conn,\n};",
        "net"
    ));
    assert!(imports("fn x() { crate::net::dial() }", "net"));
    assert!(!imports("use crate::network;", "net"));
    assert!(!imports("use crate::{error::{net}, wire};", "net"));
    assert!(names("let x: std::time::Instant;", "Instant"));
    assert!(!names("let Instantly = 1;", "Instant"));
    assert_eq!(
        without_strings("a \"tokio \\\" x\" b '\"' c"),
        "a \"\" b  c"
    );
}
