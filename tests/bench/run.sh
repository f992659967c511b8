#!/bin/sh
# The bench: what llm-wrapper costs beside nginx and HAProxy, on this machine, in one run.
# Usage: sh tests/bench/run.sh [--rounds N] [SCENARIO…]; without a scenario all of them (about half an hour).
# Scenarios: json log latency burst paced prose code tls held held-9000 held-tls held-tls-9000 burst-memory start size allocations
# Converted: {json,burst,paced,held}-CLIENT-UPSTREAM of chat, messages and responses, such as burst-messages-chat; `converted` is all of them.
# Installs Debian's nginx and HAProxy if they are missing. Leaves target/bench/results.md.
set -eu
cd "$(dirname "$0")/../.."

missing=
need() { command -v "$1" > /dev/null 2>&1 || missing="$missing $2"; }
PATH=$PATH:/usr/sbin
export PATH
need nginx nginx-light
need haproxy haproxy
need python3 python3
need taskset util-linux
if [ -n "$missing" ]; then
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing > /dev/null
fi
# Thousands of streams take two descriptors each.
ulimit -n "$(ulimit -H -n)"

BENCH_GATEWAY=${BENCH_GATEWAY:-$(.ci/release)}
BENCH_LOAD=$(cargo bench --no-run --bench load 2>&1 | sed -n 's/.*Executable .*(\(.*\))$/\1/p')
[ -x "$BENCH_LOAD" ] || { echo "the load generator was not built: cargo bench --no-run --bench load" >&2; exit 1; }
export BENCH_GATEWAY BENCH_LOAD
exec python3 tests/bench/bench.py "$@"
