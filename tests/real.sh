# Sourced by the scripts that put real clients through the gateway (sdk/run.sh, clients/run.sh): their tools are installed, pinned,
# under target; a scripted upstream and the gateway are started and ended. Wants `here`, `room`, `python_pins` and `node_pins`.

binary=${BINARY:-target/debug/llm-wrapper}
pids=

# Installs what the pins name, unless it is there already, and puts it before everything else in PATH.
install_pins() {
    mkdir -p "$room/node"
    if [ "$(cat "$room/python.pins" 2>/dev/null)" != "$python_pins" ]; then
        python3 -m venv --clear "$room/venv"
        # The wheel of Node brings its own npm: the distribution's may be older than the packages want.
        # shellcheck disable=SC2086
        "$room/venv/bin/pip" install --quiet --disable-pip-version-check $python_pins
        echo "$python_pins" > "$room/python.pins"
    fi
    PATH=$room/venv/bin:$PATH
    if [ "$(cat "$room/node.pins" 2>/dev/null)" != "$node_pins" ]; then
        # shellcheck disable=SC2086
        (cd "$room/node" && rm -rf node_modules && echo '{"private": true, "type": "module"}' > package.json &&
            npm install --silent --no-audit --no-fund --ignore-scripts $node_pins)
        echo "$node_pins" > "$room/node.pins"
    fi
    [ -x "$binary" ] || cargo build --quiet
}

# For the trap at the end: ends what was started, shows the end of the gateway's log after a failure, and removes $run unless KEEP is set.
finish() {
    status=$?
    trap - EXIT INT TERM
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    if [ "$status" -ne 0 ] && [ -s "$run/gateway.log" ]; then
        echo "--- the gateway's log, its end:" >&2
        tail -n 30 "$run/gateway.log" >&2
    fi
    if [ -n "${KEEP:-}" ]; then echo "kept: $run"; else rm -rf "$run"; fi
    exit "$status"
}

# wait_for FILE TEXT: until the text stands in the file, ten seconds at most.
wait_for() {
    tries=0
    until grep -q "$2" "$1" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || { echo "$1 never said $2" >&2; return 1; }
        sleep 0.05
    done
}

# Starts the scripted upstream and a gateway before it, in the folder $run: exports UPSTREAM_URL and GATEWAY_URL.
start() {
    python3 "$here/upstream.py" "$run/config.yaml" > "$run/upstream.out" &
    pids="$pids $!"
    wait_for "$run/upstream.out" ready
    UPSTREAM_URL=$(sed -n 's/^ready //p' "$run/upstream.out")
    "$binary" -c "$run/config.yaml" -a 127.0.0.1:0 2> "$run/gateway.log" &
    pids="$pids $!"
    wait_for "$run/gateway.log" 'listening addr='
    GATEWAY_URL=http://$(sed -n 's/.*listening addr=\([^ ]*\).*/\1/p' "$run/gateway.log" | head -n 1)
    export UPSTREAM_URL GATEWAY_URL
}
