#!/bin/sh
# The WebUI in Debian's Chromium, through Playwright; pinned, kept in target/browser. Uses the Python and the SDKs of
# tests/sdk/run.sh for the lines that the page offers to paste. Arguments, words of test names, go to accounts.py and webui.py.
set -eu
cd "$(dirname "$0")/../.."
room=$(pwd)/target/browser
sdk=$(pwd)/target/sdk/venv/bin
playwright="playwright==1.65.2"
axe="axe-core@4.14.1"
acorn="acorn@8.19.0"

[ -x "$sdk/python" ] || sh tests/sdk/run.sh
PATH=$sdk:$PATH
mkdir -p "$room"
if [ "$(cat "$room/pins" 2>/dev/null)" != "$playwright $axe $acorn" ]; then
    python3 -m venv --clear "$room/venv"
    "$room/venv/bin/pip" install --quiet --disable-pip-version-check "$playwright"
    (cd "$room" && rm -rf node_modules && echo '{"private": true}' > package.json &&
        npm install --silent --no-audit --no-fund --ignore-scripts "$axe" "$acorn")
    echo "$playwright $axe $acorn" > "$room/pins"
fi
[ -x "${BINARY:-target/debug/llm-wrapper}" ] || cargo build --quiet
cargo build --quiet --example fake-cliproxyapi
"$room/venv/bin/python" tests/browser/accounts.py "$@"
exec "$room/venv/bin/python" tests/browser/webui.py "$@"
