"""One scenario after another: runs a client in a folder of its own and looks at what came of it. Used by cli.py and agents.py.

A scenario is a function that returns nothing and raises AssertionError; its line is printed, and at the end the number failed.
"""
import concurrent.futures
import json
import os
import subprocess
import time
import traceback
import urllib.request
import uuid

GATEWAY, UPSTREAM, KEY = os.environ["GATEWAY_URL"], os.environ["UPSTREAM_URL"], os.environ["CLIENT_KEY"]
ROOM = os.environ["RUN_DIR"]
SECONDS = 60  # a scenario's limit: each takes two or three


class Stage:
    """A run: a folder, a nonce, and afterwards what the upstream saw."""

    def __init__(self, scenario):
        self.nonce = uuid.uuid4().hex[:8]
        self.folder = os.path.join(ROOM, self.nonce, "work")
        self.home = os.path.join(ROOM, self.nonce, "home")
        os.makedirs(self.folder)
        os.makedirs(self.home)
        self.prompt = "Write the file with your tools. RUN=%s.%s DIR=%s" % (scenario, self.nonce, self.folder)
        self.final = "All is done. FINAL-%s \u2713" % self.nonce

    def run(self, command, **environment):
        """The finished process; its output is text. Its home is empty, nothing of the caller's environment reaches it."""
        plain = {"HOME": self.home, "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "NO_COLOR": "1", "TERM": "dumb",
                 "GIT_CEILING_DIRECTORIES": ROOM}
        return subprocess.run(command, cwd=self.folder, env={**plain, **environment}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=SECONDS)

    def record(self):
        with urllib.request.urlopen("%s/record/%s" % (UPSTREAM, self.nonce)) as answer:
            return json.load(answer)

    def file(self, suffix=""):
        with open(os.path.join(self.folder, self.nonce + suffix + ".txt"), encoding="utf-8") as file:
            return file.read().strip()

    def leave_picture(self, data):
        with open(os.path.join(self.folder, self.nonce + ".png"), "wb") as file:
            file.write(data)

    def check_written(self):
        assert self.file() == "written by " + self.nonce, self.file()

    def check_record(self, answers=None, protocol=None):
        """No request had a problem; `answers` is what the upstream did, in order."""
        record = self.record()
        if os.environ.get("KEEP"):
            with open(os.path.join(self.home, "record.json"), "w", encoding="utf-8") as file:
                json.dump(record, file)
        problems = [problem for kept in record for problem in kept["problems"]]
        assert not problems, problems
        if answers is not None:
            assert [kept["answer"] for kept in record] == answers, [kept["answer"] for kept in record]
        if protocol is not None:
            assert {kept["protocol"] for kept in record} == {protocol}
        return record


def check_prefix(record, tools=True):
    """Each request begins with the one before it, byte for byte: a provider's cache of the conversation stays good."""
    def conversation(kept):
        body = bare(kept["body"])
        return [json.dumps(item, ensure_ascii=False) for item in body.get("messages") or body["input"]], body.get("tools"), body.get("system")

    for before, after in zip(record, record[1:]):
        (old, *old_rest), (new, *new_rest) = conversation(before), conversation(after)
        for was, now in zip(old, new):
            assert was == now, "the conversation was rewritten:\n%s\n%s" % (was[-900:], now[-900:])
        assert len(new) >= len(old), "the conversation was cut"
        assert not tools or new_rest == old_rest, "tools or system text were rewritten"


def bare(value):
    """Without the marks of the cache, which wander."""
    if isinstance(value, dict):
        return {key: bare(inner) for key, inner in value.items() if key != "cache_control"}
    return [bare(inner) for inner in value] if isinstance(value, list) else value


def main(title, scenarios, jobs=2):
    """Runs them, `jobs` at a time; prints a line each; exits with 1 if any failed."""
    wanted = os.environ.get("ONLY", "")
    scenarios = [(name, call) for name, call in scenarios if wanted in name]

    def one(pair):
        name, call = pair
        start, failure = time.monotonic(), None
        try:
            call()
        except subprocess.TimeoutExpired as late:
            failure = "took more than %d s: %s %s" % (SECONDS, (late.stdout or b"")[-600:], (late.stderr or b"")[-600:])
        except Exception as error:  # every failure is a line, the other scenarios go on
            where = traceback.extract_tb(error.__traceback__)[-1]
            failure = "%s:%s %s: %s" % (os.path.basename(where.filename), where.lineno, type(error).__name__, str(error)[:3000])
        print("%-4s %5.1f s  %s: %s%s" % ("FAIL" if failure else "ok", time.monotonic() - start, title, name,
                                          "\n     " + failure if failure else ""), flush=True)
        return failure

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        failed = [failure for failure in pool.map(one, scenarios) if failure]
    if failed or not scenarios:
        raise SystemExit("%s: %d of %d failed" % (title, len(failed), len(scenarios)))
