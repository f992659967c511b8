"""Claude Code, Codex CLI and opencode, headless, as their users run them: each scenario is a process in an empty home."""
import base64
import functools
import json
import os

import play
from play import GATEWAY, KEY, Stage, check_prefix

CLAUDE, CODEX = os.environ["CLAUDE"], os.environ["CODEX"]
PICTURE = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==")
scenarios = []


def scenario(*cases):
    """Adds the function once per case (a tuple of its arguments)."""
    def add(function):
        for case in cases:
            scenarios.append(("%s %s" % (function.__name__.replace("_", " "), " ".join(case)), functools.partial(function, *case)))
        return function
    return add


def check_picture(stage):
    """The picture arrived, behind its result or in it."""
    record = stage.check_record(["reply", "reply"])
    sent = json.dumps(record[1]["body"])
    assert sent.count("iVBORw0KGgo") == 1, sent[-1500:]
    kinds = [turn[0] for turn in record[1]["turns"]]
    assert kinds.count("result") == 1, kinds


# ------------------------------------------------------------------------------------------------ Claude Code
def claude(stage, family, *more, bearer=True, prompt=None):
    key = {"ANTHROPIC_AUTH_TOKEN" if bearer else "ANTHROPIC_API_KEY": KEY}
    model = "any-" + family
    done = stage.run(
        [CLAUDE, "-p", prompt or stage.prompt, "--model", model, "--dangerously-skip-permissions", "--output-format", "json", *more],
        ANTHROPIC_BASE_URL=GATEWAY, ANTHROPIC_SMALL_FAST_MODEL=model, CLAUDE_CONFIG_DIR=stage.home, IS_SANDBOX="1",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1", DISABLE_TELEMETRY="1", DISABLE_ERROR_REPORTING="1", DISABLE_AUTOUPDATER="1",
        **key)
    try:
        return done, json.loads(done.stdout.strip().split("\n")[-1])
    except ValueError:
        raise AssertionError("claude said %r %r" % (done.stdout[-800:], done.stderr[-800:])) from None


def claude_ends_well(stage, done, result):
    assert done.returncode == 0 and not result["is_error"], (done.returncode, result)
    assert stage.final in result["result"], result["result"]
    stage.check_written()


@scenario(("chat",), ("responses",), ("deepseek",))
def claude_code_writes_a_file(family):
    stage = Stage("write")
    done, result = claude(stage, family, bearer=family != "chat")
    claude_ends_well(stage, done, result)
    check_prefix(stage.check_record(["reply", "reply"]))
    assert result["usage"]["output_tokens"] == 80, result["usage"]
    assert result["usage"]["cache_read_input_tokens"] == 2000, result["usage"]


@scenario(("chat",), ("responses",))
def claude_code_calls_two_at_once(family):
    stage = Stage("parallel")
    claude_ends_well(stage, *claude(stage, family))
    assert stage.file("-b") == "also by " + stage.nonce
    record = stage.check_record(["reply", "reply"])
    assert [turn[0] for turn in record[1]["turns"] if turn[0] in ("call", "result")] == ["call", "call", "result", "result"]


@scenario(("chat",), ("responses",))
def claude_code_sees_a_picture(family):
    stage = Stage("picture")
    stage.leave_picture(PICTURE)
    done, result = claude(stage, family)
    assert stage.final in result["result"], result
    check_picture(stage)


@scenario(("chat",), ("responses",), ("deepseek",))
def claude_code_goes_on_with_a_session(family):
    stage = Stage("reason")
    claude_ends_well(stage, *claude(stage, family))
    again = stage.prompt.replace("RUN=reason", "RUN=second")
    claude_ends_well(stage, *claude(stage, family, "--continue", prompt=again))
    assert stage.file("-2") == "the second file"
    record = stage.check_record(["reply"] * 4)
    check_prefix(record)
    assert [turn[0] for turn in record[3]["turns"]].count("result") == 2


@scenario(("chat",), ("responses",))
def claude_code_finds_a_deferred_tool(family):
    stage = Stage("deferred")
    done, result = claude(stage, family)
    assert stage.final in result["result"], result
    check_prefix(stage.check_record(["reply"] * 3), tools=False)


@scenario(("deepseek",), ("responses",))
def claude_code_brings_the_reasoning_back(family):
    stage = Stage("reason")
    claude_ends_well(stage, *claude(stage, family))
    record = stage.check_record(["reply", "reply"])
    proofs = [turn[1] for turn in record[1]["turns"] if turn[0] == "proof"]
    assert proofs == [PROOFS[family]], proofs


@scenario(("chat",), ("responses",))
def claude_code_survives_cut_streams(family):
    stage = Stage("cut")
    claude_ends_well(stage, *claude(stage, family))
    stage.check_record()


@scenario(("chat",), ("responses",))
def claude_code_never_takes_a_cut_answer_for_a_whole_one(family):
    stage = Stage("cutlate")
    done, result = claude(stage, family)
    stage.check_written()
    if not result["is_error"]:
        assert stage.final in result["result"], result
    stage.check_record()


@scenario(("chat",), ("responses",))
def claude_code_obeys_retry_after(family):
    stage = Stage("limited")
    claude_ends_well(stage, *claude(stage, family))
    stage.check_record([429, "reply", "reply"])


@scenario(("chat",), ("responses",))
def claude_code_waits_for_an_overloaded_upstream(family):
    stage = Stage("busy")
    claude_ends_well(stage, *claude(stage, family))
    stage.check_record([503, "reply", "reply"])


@scenario(("chat",), ("responses",))
def claude_code_tells_what_the_upstream_refused(family):
    stage = Stage("refused")
    done, result = claude(stage, family)
    assert result["is_error"] and "the scripted refusal of " + stage.nonce in result["result"], result


@scenario(("chat",), ("responses",))
def claude_code_survives_a_failure_inside_a_stream(family):
    stage = Stage("failed")
    claude_ends_well(stage, *claude(stage, family))
    stage.check_record(["failed", "reply", "reply"])


@scenario(("chat",), ("responses",))
def claude_code_knows_that_the_output_limit_ended_an_answer(family):
    stage = Stage("full")
    done, result = claude(stage, family)
    # It asks for the rest, as often as it may, and then says so.
    assert len(stage.check_record()) > 1 and result["is_error"] and result["api_error"] == "max_output_tokens", result


@scenario(("chat",), ("responses",))
def claude_code_compacts_on_an_overflow(family):
    stage = Stage("overflow")
    done, result = claude(stage, family)
    claude_ends_well(stage, done, result)
    # Asked, refused, summarised, asked again, done.
    stage.check_record(["reply", 400, "reply", "reply", "reply"])


PROOFS = {"deepseek": "The user wants files, so I write them.", "responses": "cHJvb2Ygb2YgdGhlIHZlbmRvcg" * 4 + "+/==",
          "messages": "cHJvb2Ygb2YgdGhlIHZlbmRvcg" * 4 + "+/=="}


# ------------------------------------------------------------------------------------------------ Codex CLI
def codex(stage, model, *more, builtin=False, command=()):
    """With a provider of its own, or with the built-in one pointed at the gateway, which tries a WebSocket first."""
    if builtin:
        where = 'openai_base_url = "%s/v1"\n' % GATEWAY
    else:
        where = ('model_provider = "gateway"\n[model_providers.gateway]\nname = "gateway"\nbase_url = "%s/v1"\n'
                 'env_key = "GATEWAY_KEY"\nwire_api = "responses"\n' % GATEWAY)
    top = "".join("%s\n" % line for line in more)
    with open(os.path.join(stage.home, "config.toml"), "w", encoding="utf-8") as file:
        file.write(top + where + "[features]\nplugins = false\napps = false\n[analytics]\nenabled = false\n")
    return stage.run(
        [CODEX, "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json", "-m", model,
         *(command or [stage.prompt])],
        CODEX_HOME=stage.home, GATEWAY_KEY=KEY, CODEX_API_KEY=KEY)


def codex_ends_well(stage, done, written=True):
    assert done.returncode == 0, (done.returncode, done.stdout[-1500:], done.stderr[-800:])
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    texts = [event["item"]["text"] for event in said if event["type"] == "item.completed" and event["item"]["type"] == "agent_message"]
    assert texts and stage.final in texts[-1], (texts, done.stdout[-1500:])
    if written:
        stage.check_written()
    return said


NAMES = [(prefix + "any-" + family,) for prefix in ("", "gpt-5.5-", "gpt-6.1-sol-") for family in ("chat", "messages")]


@scenario(*NAMES)
def codex_runs_a_command(model):
    stage = Stage("write")
    said = codex_ends_well(stage, codex(stage, model))
    check_prefix(stage.check_record(["reply", "reply"]))
    usage = [event["usage"] for event in said if event["type"] == "turn.completed"][-1]
    assert usage["input_tokens"] == 2400 and usage["cached_input_tokens"] == 2000 and usage["output_tokens"] == 80, usage


@scenario(("gpt-5.5-any-chat",), ("gpt-5.5-any-messages",))
def codex_applies_a_patch(model):
    stage = Stage("patch")
    codex_ends_well(stage, codex(stage, model))
    stage.check_record(["reply", "reply"])


@scenario(("any-chat",), ("any-messages",), ("gpt-6.1-sol-any-chat",))
def codex_with_its_own_provider(model):
    stage = Stage("write")
    codex_ends_well(stage, codex(stage, model, builtin=True))
    stage.check_record(["reply", "reply"])


@scenario(("any-chat",), ("any-messages",))
def codex_calls_two_at_once(model):
    stage = Stage("parallel")
    codex_ends_well(stage, codex(stage, model))
    assert stage.file("-b") == "also by " + stage.nonce
    stage.check_record(["reply", "reply"])


@scenario(("any-chat",), ("any-messages",))
def codex_sees_a_picture(model):
    stage = Stage("picture")
    stage.leave_picture(PICTURE)
    codex_ends_well(stage, codex(stage, model), written=False)
    check_picture(stage)


@scenario(("any-chat",), ("any-messages",), ("gpt-5.5-any-deepseek",), ("gpt-6.1-sol-any-messages",))
def codex_goes_on_with_a_session(model):
    stage = Stage("reason")
    codex_ends_well(stage, codex(stage, model))
    again = stage.prompt.replace("RUN=reason", "RUN=second")
    codex_ends_well(stage, codex(stage, model, command=["resume", "--last", again]))
    assert stage.file("-2") == "the second file"
    record = stage.check_record(["reply"] * 4)
    check_prefix(record)
    assert [turn[0] for turn in record[3]["turns"]].count("result") == 2


@scenario(("gpt-5.5-any-chat",), ("gpt-5.5-any-messages",))
def codex_answers_in_a_schema(model):
    stage = Stage("object")
    path = os.path.join(stage.folder, "schema.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"type": "object", "properties": {"city": {"type": "string"}, "nonce": {"type": "string"}},
                   "required": ["city", "nonce"], "additionalProperties": False}, file)
    done = codex(stage, model, command=["--output-schema", path, stage.prompt])
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    texts = [event["item"]["text"] for event in said if event["type"] == "item.completed" and event["item"]["type"] == "agent_message"]
    assert texts and json.loads(texts[-1]) == {"city": "Paris", "nonce": stage.nonce}, (texts, done.stdout[-1500:])
    stage.check_record(["reply"])


@scenario(("gpt-5.5-any-chat",), ("gpt-5.5-any-messages",))
def codex_finds_a_deferred_tool(model):
    stage = Stage("deferred")
    codex_ends_well(stage, codex(stage, model), written=False)
    check_prefix(stage.check_record(["reply"] * 3), tools=False)


@scenario(("any-deepseek",), ("any-messages",))
def codex_brings_the_reasoning_back(model):
    stage = Stage("reason")
    codex_ends_well(stage, codex(stage, model))
    record = stage.check_record(["reply", "reply"])
    proofs = [turn[1] for turn in record[1]["turns"] if turn[0] == "proof"]
    assert proofs == [PROOFS[model.split("-")[-1]]], proofs


@scenario(("any-chat",), ("any-messages",))
def codex_repeats_cut_streams(model):
    stage = Stage("cut")
    codex_ends_well(stage, codex(stage, model))
    stage.check_record(["cut", "cut politely", "reply", "reply"])


@scenario(("any-chat",), ("any-messages",))
def codex_repeats_a_cut_answer(model):
    stage = Stage("cutlate")
    codex_ends_well(stage, codex(stage, model))
    stage.check_record(["reply", "cut", "cut politely", "reply"])


@scenario(("any-chat",), ("any-messages",))
def codex_obeys_retry_after(model):
    stage = Stage("limited")
    codex_ends_well(stage, codex(stage, model))
    stage.check_record([429, "reply", "reply"])


@scenario(("any-chat", "503"), ("any-messages", "529"))
def codex_waits_for_an_overloaded_upstream(model, status):
    stage = Stage("busy")
    codex_ends_well(stage, codex(stage, model))
    stage.check_record([int(status), "reply", "reply"])


@scenario(("any-chat",), ("any-messages",))
def codex_tells_what_the_upstream_refused(model):
    stage = Stage("refused")
    done = codex(stage, model)
    assert done.returncode != 0 and "the scripted refusal of " + stage.nonce in done.stdout, done.stdout[-1500:]


@scenario(("any-chat", ""), ("any-messages", ""), ("any-chat", "builtin"), ("any-messages", "builtin"))
def codex_compacts(model, provider):
    stage = Stage("compact")
    done = codex(stage, model, "model_context_window = 200000", "model_auto_compact_token_limit = 100000", builtin=bool(provider))
    codex_ends_well(stage, done)
    assert stage.file("-2") == "after the summary"
    stage.check_record(["reply"] * 4)


@scenario(("any-chat",), ("any-messages",))
def codex_survives_a_failure_inside_a_stream(model):
    stage = Stage("failed")
    codex_ends_well(stage, codex(stage, model))
    stage.check_record(["failed", "reply", "reply"])


@scenario(("any-chat",), ("any-messages",))
def codex_knows_that_the_output_limit_ended_an_answer(model):
    stage = Stage("full")
    done = codex(stage, model)
    assert done.returncode != 0 and "max_output_tokens" in done.stdout, done.stdout[-1500:]


# It does not compact on the error itself but by the usage it was told, see above.
@scenario(("any-chat",), ("any-messages",))
def codex_hears_of_an_overflow(model):
    stage = Stage("overflow")
    done = codex(stage, model)
    assert "context window" in done.stdout, done.stdout[-1500:]
    stage.check_record()


# ------------------------------------------------------------------------------------------------ opencode
PROVIDERS = {"chat": "@ai-sdk/openai-compatible", "responses": "@ai-sdk/openai", "messages": "@ai-sdk/anthropic"}


@scenario(("chat", "messages", "parallel"), ("chat", "responses", "cutlate"), ("responses", "messages", "reason"),
          ("responses", "chat", "cutlate"), ("messages", "responses", "cut"))
def opencode_speaking(protocol, family, step):
    stage = Stage(step)
    model = "any-" + family
    provider = {"npm": PROVIDERS[protocol], "name": "gateway", "options": {"baseURL": GATEWAY + "/v1", "apiKey": KEY},
                "models": {model: {"name": model, "tool_call": True, "reasoning": True}}}
    with open(os.path.join(stage.folder, "opencode.json"), "w", encoding="utf-8") as file:
        json.dump({"provider": {"gateway": provider}, "model": "gateway/" + model}, file)
    done = stage.run(["opencode", "run", stage.prompt], OPENCODE_DISABLE_AUTOUPDATE="1", OPENCODE_DISABLE_MODELS_FETCH="1",
                     OPENCODE_DISABLE_DEFAULT_PLUGINS="1")
    record = stage.check_record()
    if step.startswith("cut") and done.returncode != 0:
        # It repeats a broken stream in some of its providers, and tells of it in the others.
        assert "Error" in done.stderr and stage.final not in done.stdout, (done.stdout[-800:], done.stderr[-800:])
        return
    assert done.returncode == 0 and stage.final in done.stdout, (done.returncode, done.stdout[-800:], done.stderr[-800:])
    stage.check_written()
    if step == "parallel":
        assert stage.file("-b") == "also by " + stage.nonce
    if step == "reason":
        assert [turn[0] for turn in record[-1]["turns"]].count("result") == 1


play.main("cli", scenarios)
