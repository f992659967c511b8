#!/usr/bin/env python3
"""A scripted upstream for whole agents: it reads the conversation and plays the model, so that retries, steps and compaction
work by themselves. Every request is checked (dialects.py) and kept.

upstream.py CONFIG   listens on a free port, writes a gateway configuration for it to CONFIG, prints "ready URL" and serves.
A prompt says RUN=SCENARIO.NONCE DIR=path; the tools that are offered say which client plays. GET /record/NONCE tells what came.
"""
import json
import os
import re
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import dialects
import scripted
from dialects import Reply

CLIENT_KEY = "sk-clients-client-key-0123456789"
UPSTREAM_KEY = "sk-clients-upstream-key-0123456789"
# Codex changes its tools with the model's name: the longest prefix that it knows counts.
PREFIXES = ["", "gpt-5.5-", "gpt-6.1-sol-"]
# alias end: upstream protocol, kind, target model
FAMILIES = {
    "chat": ("chat", "generic", "scripted-model"),
    "deepseek": ("chat", "deepseek", "deepseek-reasoner"),
    "responses": ("responses", "openai", "gpt-5.4"),
    "messages": ("messages", "anthropic", "claude-sonnet-4-6"),
}
THOUGHT = "The user wants files, so I write them."
PROOF = "cHJvb2Ygb2YgdGhlIHZlbmRvcg" * 4 + "+/=="
OVERFLOW = {
    "chat": (400, "invalid_request_error", "context_length_exceeded",
             "This model's maximum context length is 32768 tokens. However, your messages resulted in 40012 tokens."),
    "responses": (400, "invalid_request_error", "context_length_exceeded",
                  "Your input exceeds the context window of this model. Please adjust your input and try again."),
    "messages": (400, "invalid_request_error", None, "prompt is too long: 212012 tokens > 200000 maximum"),
}


def config(port):
    lines = ["client_api_keys: [%s]" % CLIENT_KEY, "upstreams:"]
    for family, (protocol, kind, _) in FAMILIES.items():
        lines += [
            "  - name: up-%s" % family,
            "    base_url: http://127.0.0.1:%d" % port,
            "    kind: %s" % kind,
            "    auth: {type: api_key, key: %s}" % UPSTREAM_KEY,
            "    support_chat_completions: %s" % str(protocol == "chat").lower(),
            "    support_responses: %s" % str(protocol == "responses").lower(),
            "    support_anthropic_messages: %s" % str(protocol == "messages").lower(),
        ]
    lines.append("aliases:")
    for family, (_, _, model) in FAMILIES.items():
        for prefix in PREFIXES:
            lines.append("  - {alias: %sany-%s, target_model: %s, upstream: up-%s}" % (prefix, family, model, family))
    return "\n".join(lines) + "\n"


class Fault(Exception):
    """Instead of a reply: an error of HTTP."""

    def __init__(self, status, kind, code, message, **fields):
        self.parts = status, kind, code, message, fields


class Cut(Exception):
    """A reply that ends in its middle: "cut" with the connection, "cut politely" in good order but without its last event,
    "failed" with an event that says so."""

    def __init__(self, reply, way):
        self.reply, self.way = reply, way


# ------------------------------------------------------------------------------------------------ the model's part
class Run:
    """What one run of a client has said so far, over all its requests."""

    def __init__(self):
        self.lock = threading.Lock()
        self.requests = []
        self.asked = 0  # requests that the script has answered


def put(talk, path, text, way=None):
    """(tool, arguments) that write the file, in the terms of the tools that the client offers."""
    shell = "printf %%s '%s' > %s" % (text, path)
    ways = {
        "Write": lambda: {"file_path": path, "content": text},
        "write": lambda: {"filePath": path, "content": text},
        "Bash": lambda: {"command": shell, "description": "Write the file"},
        "exec_command": lambda: {"cmd": shell},
        "apply_patch": lambda: {"input": "*** Begin Patch\n*** Add File: %s\n+%s\n*** End Patch\n" % (path, text)},
        # Codex's code mode: one free-form tool whose input is JavaScript.
        "exec": lambda: {"input": "const done = await tools.exec_command({cmd: %s});\ntext(done);\n" % json.dumps(shell)},
        "write_file": lambda: {"path": path, "text": text},
        "Read": lambda: {"file_path": path},
        "view_image": lambda: {"path": path},
    }
    for want in way or ways:
        for name in talk.tools:
            if name == want or re.fullmatch(r".*(__|\.|-)%s" % want, name):
                return name, ways[want]()
    raise Fault(400, "invalid_request_error", None, "no tool to write with among %s" % sorted(talk.tools))


def play(scenario, nonce, folder, talk, run, protocol):
    """The model: what it says next."""
    if not talk.tools and any("Generate a title" in turn[1] for turn in talk.of("user")):
        return Reply(("text", "A file"))  # opencode, beside its first turn
    asked = run.asked
    run.asked += 1
    if asked > 20:
        raise Fault(400, "invalid_request_error", None, "the script is over: this run asks for ever")
    final = Reply(("text", "All is done. FINAL-%s \u2713" % nonce))
    done = [turn[2] for turn in talk.since_user() if turn[0] == "result"]
    path = "%s/%s.txt" % (folder, nonce)
    calls = len(talk.of("call"))
    call = lambda number, name, arguments: ("call", "call_%s_%d" % (nonce, calls + number), name, arguments)
    one = lambda way=None: call(1, *put(talk, path, "written by %s" % nonce, way))

    if scenario == "busy" and asked == 0:
        status, kind = (529, "overloaded_error") if protocol == "messages" else (503, "server_error")
        raise Fault(status, kind, None, "the servers are overloaded, try again")
    if scenario == "limited" and asked == 0:
        raise Fault(429, "rate_limit_error", "rate_limit_exceeded", "slow down", Retry_After="1")
    if scenario == "hello":
        return final
    if scenario == "broken":
        raise Cut(final, "cut politely" if asked % 2 else "cut")
    if scenario == "object":
        value = {"city": "Paris", "nonce": nonce}
        if talk.schema:
            return Reply(("text", json.dumps(value)))
        # Some clients have a tool stand in for a schema.
        return Reply(call(1, next(iter(talk.tools)), value))
    if scenario in ("weather", "thinking"):
        thought = [("reason", THOUGHT, PROOF)] if scenario == "thinking" else []
        if done:
            assert all("sunny" in text for text in done), done
            return final
        asks = [call(1, "get_weather", {"city": "Paris"}), call(2, "get_weather", {"city": "K\u00f6ln"})]
        return Reply(*thought, ("text", "Let me look."), *asks)
    if scenario == "refused":
        raise Fault(400, "invalid_request_error", None, "the scripted refusal of %s" % nonce)
    if scenario == "overflow" and "SUMMARY-%s" % nonce not in talk.all_text():
        if is_summary(talk):
            return summary(nonce, folder)
        if done:
            status, kind, code, message = OVERFLOW[protocol]
            raise Fault(status, kind, code, message)
    if scenario == "compact":
        if "SUMMARY-%s" % nonce not in talk.all_text():
            # The client compacts before it sends the result of the call.
            return summary(nonce, folder) if is_summary(talk) else Reply(one(), usage=(190000, 50))
        path = "%s/%s-2.txt" % (folder, nonce)
        return final if done else Reply(call(2, *put(talk, path, "after the summary")))
    if scenario == "deferred":
        # A tool is looked for first; what was found is called.
        found = "CronList" if "ToolSearch" in talk.tools else "multi_agent_v1__close_agent"
        if not done:
            search = ("ToolSearch", {"query": "select:CronList"}) if "ToolSearch" in talk.tools else ("tool_search", {"query": "close agent"})
            return Reply(("text", "I will look for a tool."), call(1, *search))
        if len(done) == 1:
            if found not in talk.tools:
                raise Fault(400, "invalid_request_error", None, "%s is not offered: %s" % (found, sorted(talk.tools)))
            return Reply(call(1, found, {} if found == "CronList" else {"target": "nobody"}))
        return final
    if scenario == "cut" and asked in (0, 1):
        raise Cut(Reply(("text", "I will write it. "), one()), "cut politely" if asked else "cut")
    if scenario == "cutlate" and done and asked in (1, 2):
        raise Cut(final, "cut politely" if asked == 2 else "cut")
    if scenario == "failed" and asked == 0:
        raise Cut(Reply(("text", "I will write it. "), one()), "failed")
    if scenario == "full":
        return Reply(("text", "This is as far as it g"), full=True)
    if done:
        return final
    if scenario == "parallel":
        other = "%s/%s-b.txt" % (folder, nonce)
        return Reply(("text", "Both at once."), one(), call(2, *put(talk, other, "also by %s" % nonce)))
    if scenario == "reason":
        return Reply(("reason", THOUGHT, PROOF), ("text", "I will write it."), one())
    if scenario == "patch":
        return Reply(one(["apply_patch"]))
    if scenario == "picture":
        return Reply(("text", "I will look."), call(1, *put(talk, "%s/%s.png" % (folder, nonce), "", ["Read", "view_image"])))
    if scenario == "second":
        return Reply(("reason", THOUGHT, PROOF), call(1, *put(talk, "%s/%s-2.txt" % (folder, nonce), "the second file")))
    return Reply(("text", "I will write it."), one())


# How Codex, the gateway (where the upstream is to compact and cannot) and Claude Code ask for a summary.
ASKED = ("CONTEXT CHECKPOINT COMPACTION", "Summarize this conversation", "Respond with TEXT ONLY")


def is_summary(talk):
    return talk.turns[-1][0] == "user" and any(words in talk.turns[-1][1] for words in ASKED)


def summary(nonce, folder):
    # Claude Code wants the tags, the others take them.
    text = "<summary>SUMMARY-%s: the user asked RUN=again.%s DIR=%s and the first file is written.</summary>" % (nonce, nonce, folder)
    return Reply(("text", text), usage=(3000, 60))


# ------------------------------------------------------------------------------------------------ the server
class Handler(scripted.Answers):
    runs, lock = {}, threading.Lock()

    def do_GET(self):
        run = self.runs.get(self.path.rsplit("/", 1)[1])
        if self.path.startswith("/record/") and run:
            with run.lock:
                return self.answer(200, run.requests)
        self.answer(404, {"error": "nothing of %s" % self.path})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        protocol = dialects.PATHS.get(self.path.split("?")[0])
        if protocol is None:
            return self.answer(404, {"error": {"message": "no such path", "type": "not_found_error"}})
        fault = lambda status, kind, code, message, **fields: self.answer(
            status, dialects.error(protocol, kind, code, message), **fields)
        keys = {self.headers.get("authorization"), self.headers.get("x-api-key")}
        if not keys & {"Bearer " + UPSTREAM_KEY, UPSTREAM_KEY}:
            return fault(401, "authentication_error", None, "the gateway sent no key")
        talk = dialects.Talk(protocol, body)
        # The last thing that was asked counts; a summary repeats it.
        told = re.findall(r"RUN=(?!again)([a-z0-9]+)\.([a-z0-9]+) DIR=([^\s\"'`]+)", talk.all_text())
        again = re.findall(r"RUN=again\.([a-z0-9]+) DIR=([^\s\"'`<]+)", talk.all_text())
        if not told and not again:
            return fault(400, "invalid_request_error", None, "no RUN= in the conversation")
        nonce, folder = told[-1][1:] if told else again[-1]
        with self.lock:
            run = self.runs.setdefault(nonce, Run())
        with run.lock:
            if told:
                run.scenario = told[-1][0]
            kept = {"path": self.path, "protocol": protocol, "body": body, "problems": talk.problems, "answer": "reply",
                    "turns": talk.turns, "tools": sorted(talk.tools)}
            run.requests.append(kept)
            try:
                reply = play(run.scenario, nonce, folder, talk, run, protocol)
            except Fault as wrong:
                kept["answer"] = wrong.parts[0]
                status, kind, code, message, fields = wrong.parts
                return fault(status, kind, code, message, **fields)
            except Cut as cut:
                kept["answer"] = cut.way
                if not body.get("stream"):
                    self.close_connection = True
                    return None
                events = dialects.write(protocol, cut.reply, True)
                events = events[: len(events) - (4 if protocol != "responses" else 5)]
                if cut.way == "failed":
                    events.append(dialects.failure(protocol, "the scripted failure of %s" % nonce))
                return self.stream(events, cut.way != "cut")
        whole = dialects.write(protocol, reply, bool(body.get("stream")))
        return self.stream(whole, True) if body.get("stream") else self.answer(200, whole)


if __name__ == "__main__":
    scripted.serve(Handler, config)
