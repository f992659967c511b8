"""What the browser tests stand on: a scripted upstream, a gateway process, and Debian's Chromium. Standard library and Playwright."""
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.append(os.path.join(ROOT, "tests", "sdk"))
import upstream as scripted  # noqa: E402  the bodies of all three protocols, as the SDK tests use them

ADMIN_KEY = "admin-key-of-the-browser-tests"
UPSTREAM_KEY = "sk-upstream-0123456789-wxyz"
HOSTILE = [
    "<script>window.hacked=1</script>",
    "\"><img src=x onerror=window.hacked=1>",
    "it's `quoted` \"twice\" & <b>bold</b> {n} a|b",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 rtl",
    "long-" + "x" * 290 + "-tail",
    "javascript:window.hacked=1",
    "emoji \U0001f642 \u4e2d\u6587 ${1+1}",
]
FEW = ["glm-4.6", "Qwen/Qwen3.5-122B-A10B-GPTQ-Int4", "deepseek-v3.2"]
FAMILIES = ["Qwen3.5", "Llama-4", "Mistral-Small", "DeepSeek-V3", "GLM-4.6", "Gemma-3", "Phi-5", "Command-R"]
MANY = ["%s/%s-%dB-Instruct-%03d" % (["Qwen", "meta", "mistral", "vendor"][n % 4], FAMILIES[n % 8], 3 + n % 70, n) for n in range(200)]
# Folder of the base URL → models, protocols.
SERVERS = {
    "few": (FEW, {"chat/completions"}),
    "many": (MANY, {"chat/completions", "responses", "messages"}),
    "all": (["all-one", "all-two"], {"chat/completions", "responses", "messages"}),
    "anthropic": (["claude-test"], {"messages"}),
    "hostile": (HOSTILE, {"chat/completions"}),
    "bare": ([], {"chat/completions"}),
}


class Upstream(BaseHTTPRequestHandler):
    """Model names say what happens: `slow` streams for seconds, `fails` is refused; a body with tools gets a call first."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    seen = []

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        data = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        folder, path = self.place()
        if folder == "broken":
            return self.answer(500, {"error": {"message": "the disk of this server is full"}})
        if folder == "keyed" and UPSTREAM_KEY not in (self.headers.get("authorization") or ""):
            return self.answer(401, {"error": {"message": "this server asks for a key"}})
        if folder not in SERVERS and folder != "keyed" or path != "models":
            return self.answer(404, {"error": {"message": "no such path"}})
        models = SERVERS.get(folder, (FEW,))[0]
        self.answer(200, {"object": "list", "data": [{"id": id, "object": "model", "max_model_len": 32768} for id in models]})

    def place(self):
        folder, _, path = self.path.split("?")[0].lstrip("/").partition("/v1/")
        return folder, path

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw or b"{}")
        folder, path = self.place()
        if path not in SERVERS.get(folder, (None, {"chat/completions"}))[1]:
            return self.answer(404, {"error": {"message": "no such path"}})
        if not body.get("model"):
            return self.answer(400, {"error": {"message": "field required: model", "type": "invalid_request_error"}})
        self.seen.append((folder, path, body))
        if body["model"] == "fails":
            return self.answer(400, {"error": {"message": "the model <b>fails</b> was asked for", "type": "invalid_request_error"}})
        text = json.dumps(body)
        tool = bool(body.get("tools")) and not re.search(r'"role": "tool"|"tool_result"|"function_call_output"', text)
        if path == "chat/completions":
            whole, events = scripted.chat(tool, True)
        else:
            whole, events = getattr(scripted, path)(tool)
        if not body.get("stream"):
            return self.answer(200, whole)
        pause = 0.25 if body["model"] == "slow" else 0.002
        if pause > 0.1:
            middle = events[2:-3]
            events = events[:2] + middle * 8 + events[-3:]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for name, data in events:
                data = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
                self.wfile.write((("event: %s\n" % name if name else "") + "data: %s\n\n" % data).encode())
                self.wfile.flush()
                time.sleep(pause)
        except OSError:
            pass  # the client left


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass


def start_upstream():
    server = Server(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return "http://127.0.0.1:%d" % server.server_address[1]


def entry(name, base, folder, **more):
    chat, responses, messages = (path in SERVERS.get(folder, (None, {"chat/completions"}))[1] for path in ("chat/completions", "responses", "messages"))
    return {"name": name, "base_url": "%s/%s" % (base, folder), "auth": {"type": "api_key", "key": UPSTREAM_KEY}, "enabled": True,
            "support_chat_completions": chat, "support_responses": responses, "support_anthropic_messages": messages, **more}


def alias(name, target, upstream, **more):
    return {"alias": name, "target_model": target, "upstream": upstream, **more}


class Gateway:
    """One gateway process with a configuration of its own. It can be stopped and started again on the same port."""

    def __init__(self, config=None, flags=()):
        self.room = tempfile.mkdtemp(prefix="llm-wrapper-browser-")
        self.path = os.path.join(self.room, "config.yaml")
        self.flags = list(flags)
        self.port = 0
        self.process = None
        self.write({"upstreams": [], **(config or {})})
        self.start()

    def write(self, config):
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(config, file)  # JSON is YAML
        os.replace(self.path + ".new", self.path)

    def read(self):
        answer = self.ask("/api/config")
        return json.loads(answer)

    def start(self):
        # Appended to: the gateway shares the place in the file that is read from here. Begun anew: a restart says it again.
        log = open(os.path.join(self.room, "log"), "a+", encoding="utf-8")
        log.truncate(0)
        binary = os.environ.get("BINARY") or os.path.join(ROOT, "target", "debug", "llm-wrapper")
        env = dict(os.environ, ADMIN_KEY=ADMIN_KEY, DATA_DIR=os.path.join(self.room, "data"), NO_PROXY="*")
        self.process = subprocess.Popen([binary, "-c", self.path, "-a", "127.0.0.1:%d" % self.port] + self.flags, stderr=log, stdout=log, env=env)
        deadline = time.time() + 10
        while True:
            log.seek(0)
            found = re.search(r"listening addr=\S*:(\d+)", log.read())
            if found:
                break
            if self.process.poll() is not None or time.time() > deadline:
                log.seek(0)
                raise RuntimeError("the gateway did not start: " + log.read())
            time.sleep(0.02)
        self.port = int(found[1])
        self.url = "http://127.0.0.1:%d/" % self.port

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, path, body=None, **headers):
        headers = {"authorization": "Bearer " + ADMIN_KEY, "content-type": "application/json", **headers}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url.rstrip("/") + path, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()


# Chromium as Debian packs it; quiet, and without calls of its own.
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]


def launch(playwright):
    return playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


def crowd(base):
    """A configuration with everything: 200 models, 100 aliases, hostile and long names, parameters, keys."""
    upstreams = [entry("qwen-test", base, "few"), entry("everything", base, "many", kind="vllm"), entry("anthropic", base, "anthropic"),
                 entry("hostile \"quotes\" <b>&", base, "hostile"), entry("broken", base, "broken"), entry("off", base, "all", enabled=False),
                 entry("n" * 300, base, "bare"), {"name": "claude", "base_url": "https://api.anthropic.com", "auth": {"type": "anthropic_oauth"}, "enabled": True,
                  "support_chat_completions": True, "support_responses": True, "support_anthropic_messages": True}]
    aliases = [alias("qwen", FEW[1], "qwen-test", param_overrides=[{"key": "temperature", "value": 0.7, "mode": "default"}, {"key": "extra_body", "value": {"top_k": 20}, "mode": "override"}]),
               alias("glm-4.6", "glm-4.6", "qwen-test", source="auto", max_model_len=32768), alias("deepseek-v3.2", "other", "everything", strict=True),
               alias("claude", "claude-test", "anthropic"), alias("parked", "all-one", "off"), alias("fails", "fails", "qwen-test"), alias("slow", "slow", "qwen-test")]
    aliases += [alias(name, name, upstreams[3]["name"], source="auto") for name in HOSTILE[:5]]
    aliases += [alias(name, name, "everything", source="auto") for name in MANY[: 100 - len(aliases)]]
    return {"upstreams": upstreams, "aliases": aliases}
