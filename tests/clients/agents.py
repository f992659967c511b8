"""Agent loops on the official SDKs for Python, as people write them: ask, run the tools, ask again, until there is no call.
The OpenAI SDK (Chat Completions and Responses) on the other protocols' upstreams, the Anthropic SDK on Chat and Responses."""
import functools
import json
import os
import time

import anthropic
import httpx
import openai

import play
from play import GATEWAY, KEY, Stage

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}, "text": {"type": "string"}},
          "required": ["path", "text"], "additionalProperties": False}
PROOF = "cHJvb2Ygb2YgdGhlIHZlbmRvcg" * 4 + "+/=="
TURNS = 6  # more is a loop that does not end
# What the SDKs raise when an answer breaks off; httpx's own when the connection breaks inside a stream.
BROKEN = (openai.APIError, anthropic.APIError, httpx.TransportError, RuntimeError)


def run_tool(name, arguments):
    assert name == "write_file", name
    with open(arguments["path"], "w", encoding="utf-8") as file:
        file.write(arguments["text"])
    return "written"


def repeat(ask):
    """A broken stream is asked again, as agents do: twice at most."""
    for last in (False, False, True):
        try:
            return ask()
        except BROKEN:
            if last:
                raise


# ------------------------------------------------------------------------------------------------ the loops
def chat_loop(stage, family, stream):
    client = openai.OpenAI(base_url=GATEWAY + "/v1", api_key=KEY, max_retries=2)
    tools = [{"type": "function", "function": {"name": "write_file", "description": "Writes a file.", "parameters": SCHEMA, "strict": True}}]
    messages = [{"role": "system", "content": "You write files."}, {"role": "user", "content": stage.prompt}]
    ask = functools.partial(client.chat.completions.create, model="any-" + family, messages=messages, tools=tools)

    def streamed():
        with client.chat.completions.stream(model="any-" + family, messages=messages, tools=tools) as events:
            for _ in events:
                pass
            answer = events.get_final_completion()
        # The SDK takes an end without a finish for a whole answer: the gateway must have broken it off.
        assert answer.choices[0].finish_reason, "an answer without an end"
        return answer

    for _ in range(TURNS):
        answer = repeat(streamed if stream else ask)
        message = answer.choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        if not message.tool_calls:
            assert answer.choices[0].finish_reason == "stop", answer
            return message.content
        assert answer.choices[0].finish_reason == "tool_calls", answer
        for call in message.tool_calls:
            result = run_tool(call.function.name, json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    raise AssertionError("no end after %d turns" % TURNS)


def responses_loop(stage, family, stream, chained=False):
    """`chained`: only what is new is sent, with previous_response_id."""
    client = openai.OpenAI(base_url=GATEWAY + "/v1", api_key=KEY, max_retries=2)
    tools = [{"type": "function", "name": "write_file", "description": "Writes a file.", "parameters": SCHEMA, "strict": True}]
    history = [{"role": "user", "content": stage.prompt}]
    previous = None

    def ask():
        more = {"previous_response_id": previous} if previous else {}
        if not chained:
            more = {"store": False, "include": ["reasoning.encrypted_content"]}
        question = dict(model="any-" + family, instructions="You write files.", input=history, tools=tools, **more)
        if not stream:
            return client.responses.create(**question)
        with client.responses.stream(**question) as events:
            for _ in events:
                pass
            return events.get_final_response()

    for _ in range(TURNS):
        answer = repeat(ask)
        assert answer.status == "completed", answer
        if chained:
            history, previous = [], answer.id
        else:
            history += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"} if item.type == "function_call" else None) for item in answer.output]
            for item in history:
                for part in item.get("content") or [] if isinstance(item.get("content"), list) else []:
                    part.pop("parsed", None)
        calls = [item for item in answer.output if item.type == "function_call"]
        if not calls:
            return answer.output_text
        for call in calls:
            result = run_tool(call.name, json.loads(call.arguments))
            history.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
    raise AssertionError("no end after %d turns" % TURNS)


def messages_loop(stage, family, stream):
    client = anthropic.Anthropic(base_url=GATEWAY, api_key=KEY, max_retries=2)
    tools = [{"name": "write_file", "description": "Writes a file.", "input_schema": SCHEMA}]
    messages = [{"role": "user", "content": stage.prompt}]
    question = dict(model="any-" + family, max_tokens=2000, system="You write files.", messages=messages, tools=tools)

    def ask():
        if not stream:
            return client.messages.create(**question)
        with client.messages.stream(**question) as events:
            for _ in events:
                pass
            answer = events.get_final_message()
        # The SDK returns what it has when a stream ends early: the gateway must have said an error.
        assert answer.stop_reason, "an answer without an end"
        return answer

    for _ in range(TURNS):
        answer = repeat(ask)
        messages.append({"role": "assistant", "content": answer.content})
        calls = [block for block in answer.content if block.type == "tool_use"]
        if not calls:
            assert answer.stop_reason == "end_turn", answer
            return "".join(block.text for block in answer.content if block.type == "text")
        assert answer.stop_reason == "tool_use", answer
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": run_tool(call.name, call.input)} for call in calls]
        messages.append({"role": "user", "content": results})
    raise AssertionError("no end after %d turns" % TURNS)


LOOPS = {
    "chat": (chat_loop, ("messages", "responses")),
    "responses": (responses_loop, ("chat", "messages", "deepseek")),
    "chained": (functools.partial(responses_loop, chained=True), ("chat", "messages")),
    "anthropic": (messages_loop, ("chat", "responses", "deepseek")),
}
# What the upstream does, in order.
STEPS = {
    "write": ["reply", "reply"],
    "parallel": ["reply", "reply"],
    "cut": ["cut", "cut politely", "reply", "reply"],
    "cutlate": ["reply", "cut", "cut politely", "reply"],
    "limited": [429, "reply", "reply"],
    "busy": ["busy", "reply", "reply"],
    "reason": ["reply", "reply"],
    "failed": ["failed", "reply", "reply"],
}


def loops(loop, family, stream, step):
    stage = Stage(step)
    start = time.monotonic()
    text = LOOPS[loop][0](stage, family, stream)
    assert stage.final in text, text
    stage.check_written()
    steps = [(529 if family == "messages" else 503) if step == "busy" else step for step in STEPS[step]]
    record = stage.check_record(steps)
    if step == "limited":
        assert time.monotonic() - start > 0.95, "retry-after did not arrive"
    if step == "parallel":
        assert stage.file("-b") == "also by " + stage.nonce
    # The bytes of the vendor come home where the client's form has room for them.
    if step == "reason" and family in ("responses", "messages"):
        proofs = [turn[1] for turn in record[1]["turns"] if turn[0] == "proof"]
        assert proofs == [PROOF], proofs


def errors(loop, family):
    """The upstream's words arrive in the client's exception."""
    stage = Stage("refused")
    try:
        LOOPS[loop][0](stage, family, True)
    except (openai.BadRequestError, anthropic.BadRequestError) as error:
        assert "the scripted refusal of " + stage.nonce in error.message, error.message
        kind = error.body["error"]["type"] if loop == "anthropic" else error.type
        assert kind == "invalid_request_error", error.body
        return
    raise AssertionError("no error")


def full(loop, family, stream):
    """An answer that the output limit ended says so. The loops assert a finished one, so it must fail them."""
    stage = Stage("full")
    try:
        text = LOOPS[loop][0](stage, family, stream)
    except AssertionError as error:
        assert "as far as it g" in str(error) and any(word in str(error) for word in ("\'length\'", "max_tokens", "max_output_tokens")), error
    except openai.LengthFinishReasonError:
        pass
    except RuntimeError as error:  # the accumulator of Responses wants response.completed
        assert "response.completed" in str(error), error
    else:
        raise AssertionError("taken for whole: %r" % text)


scenarios = []
for loop, (_, families) in LOOPS.items():
    for family in families:
        scenarios.append(("%s on %s refused" % (loop, family), functools.partial(errors, loop, family)))
        for stream in (True, False):
            name = "%s on %s full%s" % (loop, family, " streamed" if stream else "")
            scenarios.append((name, functools.partial(full, loop, family, stream)))
            for step in STEPS:
                name = "%s on %s %s%s" % (loop, family, step, " streamed" if stream else "")
                scenarios.append((name, functools.partial(loops, loop, family, stream, step)))

play.main("agents", scenarios, jobs=4)
