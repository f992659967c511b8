#!/bin/sh
# All tests, from a fresh Debian machine on: installs what is missing, then formatting, lints, tests, the official SDKs, real
# clients (Claude Code, Codex CLI and others), the WebUI in a browser.
# Stops at the first failure. Takes root's rights (or sudo) only if a package is missing.
set -eu
cd "$(dirname "$0")/.."

begun=$(date +%s)
section_begun=$begun
section=
# section NAME: ends the running section with its duration, begins the next.
section() {
    now=$(date +%s)
    [ -z "$section" ] || echo "== $section: $((now - section_begun)) s"
    section=$1
    section_begun=$now
    [ -z "$section" ] || echo "== $section"
}

missing=
need() { command -v "$1" > /dev/null 2>&1 || missing="$missing $2"; }
section "tools"
need cc build-essential
need curl curl
need python3 python3
need prlimit util-linux
need chromium chromium
[ -x /usr/sbin/nginx ] || need nginx nginx
python3 -c 'import venv, ensurepip' 2> /dev/null || missing="$missing python3-venv"
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
if [ -n "$missing" ]; then
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing > /dev/null
fi
PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
export PATH
if ! command -v rustup > /dev/null 2>&1 && ! command -v cargo > /dev/null 2>&1; then
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain none
fi
# rust-toolchain.toml names the toolchain and its components; rustup fetches them on first use.
cargo --version
# Some tests hold thousands of sockets.
ulimit -n "$(ulimit -H -n)" 2> /dev/null || true

section "formatting"
cargo fmt --check

section "lints"
cargo clippy --quiet --all-targets -- -D warnings

section "fuzzing targets"
cargo check --quiet --manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz

section "dependencies"
crates=$(cargo tree -e normal --target x86_64-unknown-linux-musl --prefix none | sort -u | wc -l)
echo "$crates crates"
[ "$crates" -le 45 ] || { echo "more than 45 crates" >&2; exit 1; }

section "tests"
cargo test --quiet

section "SDKs"
sh tests/sdk/run.sh

section "clients"
sh tests/clients/run.sh

section "WebUI"
sh tests/browser/run.sh

section ""
echo "== all passed in $(($(date +%s) - begun)) s"
