"""What the WebUI's "Connect a client" says to paste works as it stands, on upstreams of another protocol; only the question is
replaced by one that the scripted upstream understands."""
import functools
import json
import os
import subprocess

import play
from play import GATEWAY, KEY, Stage

HERE = os.path.dirname(os.path.abspath(__file__))
CONNECT = os.path.join(HERE, "../../static/connect.js")
NODE = os.path.join(HERE, "../../target/clients/node")
# The clients by the names that the page gives them.
NAMES = {"curl": "curl", "OpenAI Python": "openai_python", "OpenAI Node": "openai_node", "Anthropic Python": "anthropic_python",
         "Claude Code": "claude_code", "Codex CLI": "codex", "Vercel AI SDK": "vercel", "opencode": "opencode"}
QUIET = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "IS_SANDBOX": "1",
         "OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1"}


def told(model):
    """{client: (text, command that follows)} as the page shows it."""
    command = ["node", os.path.join(HERE, "pasted.mjs"), CONNECT, GATEWAY + "/", model, KEY]
    shown = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {NAMES[name]: (text, after) for name, text, after in shown}


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def pasted(client, family):
    agent = client in ("claude_code", "codex", "opencode")
    stage = Stage("write" if agent else "hello")
    text, after = told("any-" + family)[client]
    assert agent or "Say hello" in text, text
    text = text.replace("Say hello", stage.prompt)
    scratch = os.path.join(stage.folder, "pasted")
    if client == "curl":
        command = ["sh", put(scratch + ".sh", text.replace("curl ", "curl -sS --fail-with-body ", 1))]
    elif client in ("openai_python", "anthropic_python"):
        command = ["python3", put(scratch + ".py", text)]
    elif client in ("openai_node", "vercel"):
        # A module finds its packages beside itself.
        command = ["node", put(os.path.join(NODE, "pasted-%s.mjs" % stage.nonce), text)]
    elif client == "claude_code":
        ask = "claude -p --dangerously-skip-permissions '%s'" % stage.prompt
        assert text.endswith("\nclaude"), text
        command = ["sh", put(scratch + ".sh", text.removesuffix("claude") + ask)]
    elif client == "codex":
        put(os.path.join(stage.home, ".codex/config.toml"), text + "\n[features]\nplugins = false\napps = false\n")
        ask = " exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox '%s'" % stage.prompt
        command = ["sh", put(scratch + ".sh", after + ask)]
    else:
        put(os.path.join(stage.folder, "opencode.json"), text)
        command = ["opencode", "run", stage.prompt]
    try:
        done = stage.run(command, **QUIET)
    finally:
        if client in ("openai_node", "vercel"):
            os.remove(command[1])
    assert done.returncode == 0 and stage.final.split()[-2] in done.stdout, (done.returncode, done.stdout[-800:], done.stderr[-800:])
    if agent:
        stage.check_written()
    stage.check_record()


WHERE = {"curl": ("messages", "responses"), "openai_python": ("messages", "responses"), "openai_node": ("chat", "messages"),
         "anthropic_python": ("chat", "responses"), "claude_code": ("chat", "responses"), "codex": ("chat", "messages"),
         "vercel": ("chat", "messages"), "opencode": ("messages", "responses", "chat")}
clients = set(told("any-chat"))
assert clients == set(WHERE), clients ^ set(WHERE)
play.main("pasted", [("%s on %s" % (client, family), functools.partial(pasted, client, family))
                     for client, families in WHERE.items() for family in families])
