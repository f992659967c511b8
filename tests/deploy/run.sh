#!/bin/sh
# Runs the deployment snippets of the README as they stand there: systemd, procd, nginx, Caddy, HAProxy, Kubernetes, compose.
# Usage: sh tests/deploy/run.sh. Installs Debian's packages of those that are missing.
set -eu
cd "$(dirname "$0")/../.."

PATH=$PATH:/usr/sbin
export PATH
missing=
need() { command -v "$1" > /dev/null 2>&1 || missing="$missing $2"; }
need nginx nginx-light
need haproxy haproxy
need caddy caddy
need systemd-analyze systemd
python3 -c 'import yaml' 2> /dev/null || missing="$missing python3-yaml"
if [ -n "$missing" ]; then
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing > /dev/null
fi
cargo build --quiet
exec python3 tests/deploy/check.py "${CARGO_TARGET_DIR:-target}/debug/llm-wrapper"
