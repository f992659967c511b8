//! What exists is documented: every key, flag and variable is in the README, and the example configuration is a good one.

use std::path::Path;

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every mapping key of the example, commented out or not. A comment line counts when it looks like a key and not like a sentence.
fn example_keys() -> Vec<String> {
    let mut keys = Vec::new();
    for line in text("config.example.yaml").lines() {
        let bare = line.trim_start().trim_start_matches('#').trim_start();
        let bare = bare.trim_start_matches("- ").trim_start_matches('{');
        let Some((key, rest)) = bare.split_once(':') else {
            continue;
        };
        let is_key = !key.is_empty()
            && key
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if is_key && (rest.is_empty() || rest.starts_with(' ')) {
            keys.push(key.to_string());
        }
    }
    keys.sort();
    keys.dedup();
    keys
}

#[test]
fn every_key_of_the_example_is_in_the_readme() {
    let readme = text("README.md");
    let keys = example_keys();
    assert!(keys.len() > 30, "only {} keys: {keys:?}", keys.len());
    let missing: Vec<&String> = keys.iter().filter(|key| !readme.contains(*key)).collect();
    assert!(missing.is_empty(), "not in README.md: {missing:?}");
}

#[test]
fn every_key_of_the_specification_is_in_the_example() {
    let keys = example_keys();
    for key in [
        "cli_proxy_api_endpoint",
        "cli_proxy_api",
        "binary",
        "manage",
        "data_dir",
        "api_key",
        "management_key",
        "proxy_url",
        "allow_protocol_conversion",
        "admin_key",
        "client_api_keys",
        "responses_store",
        "debug_header",
        "proxy",
        "limits",
        "max_body_mb",
        "max_connections",
        "max_buffered_mb",
        "timeouts",
        "connect",
        "first_byte",
        "idle",
        "client_head",
        "client_stall",
        "keep_alive",
        "drain",
        "upstreams",
        "name",
        "base_url",
        "anthropic_base_url",
        "auth",
        "enabled",
        "support_chat_completions",
        "support_responses",
        "support_anthropic_messages",
        "kind",
        "flags",
        "headers",
        "ca_file",
        "retry",
        "aliases",
        "alias",
        "target_model",
        "upstream",
        "param_overrides",
        "source",
        "strict",
        "max_model_len",
    ] {
        assert!(
            keys.iter().any(|known| known == key),
            "config.example.yaml lacks {key}"
        );
    }
}

#[test]
fn every_flag_and_variable_is_in_the_readme_and_every_flag_in_the_help() {
    let readme = text("README.md");
    for name in [
        "--config",
        "--addr",
        "--demo",
        "--check",
        "--health",
        "--version",
        "--help",
        "CONFIG_PATH",
        "BIND_ADDR",
        "ADMIN_KEY",
        "DATA_DIR",
        "PUID",
        "PGID",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "LOG",
        "${NAME}",
        "/healthz",
        "/metrics",
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1/models",
        "/api/config",
        "/api/cli-proxy-api/login/",
        "/api/cli-proxy-api/complete-login/",
        "/api/cli-proxy-api/login-stream/",
        "/api/cli-proxy-api/status",
        "/api/cli-proxy-api/quota",
        "/api/auth/login/",
        "/api/auth/token/",
        "anthropic_oauth",
        "codex_oauth",
        "X-Debug-Mode",
        "x-llm-wrapper-warnings",
        "tests/all.sh",
    ] {
        assert!(readme.contains(name), "README.md lacks {name}");
    }
    let (_, help, _) = crate::support::Gateway::build().arg("--help").run();
    for flag in [
        "--config",
        "--addr",
        "--demo",
        "--check",
        "--health",
        "--version",
        "--help",
    ] {
        assert!(help.contains(flag), "--help lacks {flag}:\n{help}");
    }
}

/// The YAML blocks of the README that are configurations, without the list's indentation that some have.
fn configurations() -> Vec<String> {
    let readme = text("README.md");
    let blocks = readme.split("```yaml\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap_or_default());
    let outdented = blocks.map(|block| {
        let indent = block.len() - block.trim_start_matches(' ').len();
        let lines = block
            .lines()
            .map(|line| line.get(indent..).unwrap_or_default());
        lines.collect::<Vec<_>>().join("\n")
    });
    let found: Vec<_> = outdented
        .filter(|block| !block.contains("apiVersion"))
        .collect();
    assert!(found.len() >= 2, "only {} configurations", found.len());
    found
}

#[test]
fn every_configuration_of_the_readme_is_valid() {
    for config in configurations() {
        let build = crate::support::Gateway::build();
        let (code, out, err) = build.config(config.clone()).arg("--check").run();
        let clean = code == 0 && !out.contains("warning");
        assert!(clean, "{config}\n{out}{err}");
    }
}

#[test]
fn every_kind_is_named_and_every_flag_the_readme_names_is_one() {
    let (readme, example) = (text("README.md"), text("config.example.yaml"));
    for (kind, _) in llm_wrapper::protocol::caps::KINDS {
        assert!(
            readme.contains(&format!("`{kind}`")),
            "README.md lacks {kind}"
        );
        assert!(example.contains(kind), "config.example.yaml lacks {kind}");
    }
    let table = readme.split("| the upstream | flag |").nth(1);
    let rows = table.expect("the table of flags").lines().skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let mut flags = 0;
    for row in rows {
        let cell = row.rsplit_once("| ").expect("two cells").1;
        let settings = cell.split('`').filter(|part| part.contains(": "));
        for setting in settings {
            let config = format!(
                "upstreams:\n  - {{name: a, base_url: 'http://127.0.0.1:1', flags: {{{setting}}}}}\n"
            );
            let build = crate::support::Gateway::build();
            let (code, out, err) = build.config(config).arg("--check").run();
            assert_eq!(code, 0, "{setting}: {out}{err}");
            flags += 1;
        }
    }
    assert!(flags >= 10, "only {flags} flags");
}

#[test]
fn what_the_readme_says_of_trouble_the_log_says() {
    let (readme, source) = (text("README.md"), text("src/gateway/trouble.rs"));
    let said = readme.split('`').skip(1).step_by(2);
    let quoted: Vec<_> = said
        .filter(|said| said.starts_with("an upstream "))
        .collect();
    assert!(quoted.len() >= 5, "{quoted:?}");
    for sentence in quoted {
        assert!(source.contains(&format!("\"{sentence}\"")), "{sentence}");
    }
}

#[test]
fn the_example_is_a_good_configuration() {
    let example = text("config.example.yaml");
    let mut build = crate::support::Gateway::build()
        .config(example.clone())
        .arg("--check");
    for part in example.split("${").skip(1) {
        if let Some((name, _)) = part.split_once('}') {
            build = build.env(name, "a-value");
        }
    }
    let (code, out, err) = build.run();
    assert_eq!(code, 0, "{out}{err}");
    assert!(!format!("{out}{err}").contains("unknown"), "{out}{err}");
}

/// The crates of the released binary and their licences, as cargo sees them.
fn crates() -> std::collections::BTreeMap<String, String> {
    let output = std::process::Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "-e",
            "normal",
            "--prefix",
            "none",
        ])
        .args(["--target", "x86_64-unknown-linux-musl", "-f", "{p}|{l}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = String::from_utf8(output.stdout).expect("text");
    let crates = lines.lines().map(|line| {
        let (package, licence) = line
            .trim_end_matches(" (*)")
            .split_once('|')
            .expect("a licence");
        let name = package.split(' ').next().expect("a name");
        (name.to_string(), licence.to_string())
    });
    crates.filter(|(name, _)| name != "llm-wrapper").collect()
}

#[test]
fn the_readme_counts_the_crates_and_names_their_licences() {
    let readme = text("README.md");
    let crates = crates();
    assert!((9..=45).contains(&crates.len()), "{} crates", crates.len());
    let count = format!("the binary has {} crates", crates.len());
    assert!(readme.contains(&count), "README.md lacks: {count}");
    let table = readme
        .split("| licence | crates |")
        .nth(1)
        .expect("the table of licences");
    let table = table.split("\n## ").next().expect("its end");
    let mut listed = std::collections::BTreeMap::new();
    for row in table.lines().filter_map(|line| line.strip_prefix("| ")) {
        let (licence, names) = row
            .trim_end_matches(" |")
            .split_once(" | ")
            .expect("two columns");
        for name in names.split(", ") {
            listed.insert(name.to_string(), licence.to_string());
        }
    }
    assert_eq!(listed, crates);
}

#[test]
fn cargo_toml_names_nine_dependencies() {
    let manifest = text("Cargo.toml");
    let section = manifest
        .split("[dependencies]\n")
        .nth(1)
        .expect("the section");
    let named = section.lines().take_while(|line| !line.is_empty());
    let names: Vec<&str> = named.filter_map(|line| line.split(' ').next()).collect();
    let expected = [
        "tokio",
        "rustls",
        "tokio-rustls",
        "webpki-roots",
        "serde",
        "serde_json",
        "serde_yaml",
        "httparse",
        "lexopt",
    ];
    assert_eq!(names, expected);
}
