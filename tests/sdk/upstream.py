#!/usr/bin/env python3
"""A scripted upstream for the SDK tests: all three protocols, streamed and not. The model's name says what happens.

upstream.py CONFIG   listens on a free port, writes a gateway configuration for it to CONFIG, prints "ready" and serves.
Aliases are FAMILY-SCENARIO: family native speaks all three protocols, chat, responses and messages only their own.
Scenario random tells the answer of the seed that the request names, see answers.py. Standard library only.
"""
import json
import os
import re
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import answers
import scripted

CLIENT_KEY = "sk-sdk-client-key-0123456789"
UPSTREAM_KEY = "sk-sdk-upstream-key-0123456789"
PIECES = ["Hello", ", w\u00f6rld", " \U0001f642", " done"]
TEXT = "".join(PIECES)
ARGUMENTS = ['{"city"', ':"Par', 'is"}']
SCENARIOS = ["hello", "tool", "e400", "e401", "e404", "e429", "e500", "cut", "random"]
FAMILIES = {
    "native": (True, True, True),
    "chat": (True, False, False),
    "responses": (False, True, False),
    "messages": (False, False, True),
}
ERRORS = {
    "e400": (400, "invalid_request_error", "the temperature is too high"),
    "e401": (401, "authentication_error", "the upstream does not know this key"),
    "e404": (404, "not_found_error", "no such model here"),
    "e429": (429, "rate_limit_error", "slow down"),
    "e500": (500, "api_error", "the upstream broke"),
}


def config(port):
    lines = ["client_api_keys: [%s]" % CLIENT_KEY, "upstreams:"]
    for family, (chat, responses, messages) in FAMILIES.items():
        lines += [
            "  - name: up-%s" % family,
            "    base_url: http://127.0.0.1:%d" % port,
            "    auth: {type: api_key, key: %s}" % UPSTREAM_KEY,
            "    support_chat_completions: %s" % str(chat).lower(),
            "    support_responses: %s" % str(responses).lower(),
            "    support_anthropic_messages: %s" % str(messages).lower(),
        ]
    lines.append("aliases:")
    for family in FAMILIES:
        for scenario in SCENARIOS:
            lines.append(
                "  - {alias: %s-%s, target_model: %s, upstream: up-%s}" % (family, scenario, scenario, family)
            )
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------------------ Chat Completions
def chat(tool, usage):
    base = {"id": "chatcmpl-1", "created": 1790000000, "model": "scripted"}
    if tool:
        call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "".join(ARGUMENTS)}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    else:
        message = {"role": "assistant", "content": TEXT}
    finish = "tool_calls" if tool else "stop"
    counts = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    whole = dict(base, object="chat.completion", usage=counts,
                 choices=[{"index": 0, "message": message, "finish_reason": finish}])

    def chunk(delta, reason=None, **more):
        choices = [{"index": 0, "delta": delta, "finish_reason": reason}] if delta is not None else []
        return None, dict(base, object="chat.completion.chunk", choices=choices, **more)

    events = [chunk({"role": "assistant", "content": None if tool else ""})]
    if tool:
        head = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": ""}}
        events.append(chunk({"tool_calls": [head]}))
        events += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]}) for part in ARGUMENTS]
    else:
        events += [chunk({"content": piece}) for piece in PIECES]
    events.append(chunk({}, finish))
    if usage:
        events.append(chunk(None, usage=counts))
    events.append((None, "[DONE]"))
    return whole, events


# ------------------------------------------------------------------------------------------------ Responses
def responses(tool):
    counts = {"input_tokens": 11, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 7,
              "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 18}

    def response(status, output, usage=None):
        return {"id": "resp_1", "object": "response", "created_at": 1790000000, "status": status, "model": "scripted",
                "output": output, "usage": usage, "error": None, "incomplete_details": None, "instructions": None,
                "metadata": {}, "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [],
                "top_p": 1.0}

    if tool:
        item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get_weather",
                "arguments": "".join(ARGUMENTS), "status": "completed"}
        begun = dict(item, arguments="", status="in_progress")
    else:
        part = {"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
        begun = dict(item, status="in_progress", content=[])
    whole = response("completed", [item], counts)
    events = [("response.created", {"response": response("in_progress", [])}),
              ("response.in_progress", {"response": response("in_progress", [])}),
              ("response.output_item.added", {"output_index": 0, "item": begun})]
    if tool:
        where = {"item_id": "fc_1", "output_index": 0}
        events += [("response.function_call_arguments.delta", dict(where, delta=part)) for part in ARGUMENTS]
        events.append(("response.function_call_arguments.done",
                       dict(where, arguments="".join(ARGUMENTS), name="get_weather")))
    else:
        where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        events.append(("response.content_part.added", dict(where, part=dict(part, text=""))))
        events += [("response.output_text.delta", dict(where, delta=piece, logprobs=[])) for piece in PIECES]
        events.append(("response.output_text.done", dict(where, text=TEXT, logprobs=[])))
        events.append(("response.content_part.done", dict(where, part=part)))
    events.append(("response.output_item.done", {"output_index": 0, "item": item}))
    events.append(("response.completed", {"response": whole}))
    numbered = [(name, dict(data, type=name, sequence_number=n)) for n, (name, data) in enumerate(events)]
    return whole, numbered


# ------------------------------------------------------------------------------------------------ Messages
def messages(tool):
    if tool:
        block = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}
        begun = dict(block, input={})
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in ARGUMENTS]
    else:
        block = {"type": "text", "text": TEXT}
        begun = dict(block, text="")
        deltas = [{"type": "text_delta", "text": piece} for piece in PIECES]
    reason = "tool_use" if tool else "end_turn"
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": [block],
             "stop_reason": reason, "stop_sequence": None, "usage": {"input_tokens": 11, "output_tokens": 7}}
    start = dict(whole, content=[], stop_reason=None, usage={"input_tokens": 11, "output_tokens": 1})
    events = [("message_start", {"message": start}),
              ("content_block_start", {"index": 0, "content_block": begun}),
              ("ping", {})]
    events += [("content_block_delta", {"index": 0, "delta": delta}) for delta in deltas]
    events += [("content_block_stop", {"index": 0}),
               ("message_delta", {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": 7}}),
               ("message_stop", {})]
    return whole, [(name, dict(data, type=name)) for name, data in events]


class Handler(scripted.Answers):
    refused = set()  # what was answered 429 once
    lock = threading.Lock()

    def answer(self, status, body, **fields):
        super().answer(status, body, x_request_id="req_upstream", **fields)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.split("?")[0]
        scenario = body["model"]
        if scenario not in SCENARIOS:
            return self.answer(404, {"error": {"message": "the upstream was asked for %r" % scenario, "type": "x"}})
        keys = {self.headers.get("authorization"), self.headers.get("x-api-key")}
        if not keys & {"Bearer " + UPSTREAM_KEY, UPSTREAM_KEY}:
            return self.answer(401, {"error": {"message": "the gateway sent no key", "type": "x"}})
        if scenario in ERRORS:
            with self.lock:
                again = (path, scenario) in self.refused
                self.refused ^= {(path, scenario)}
            if scenario != "e429" or not again:
                return self.error(path, scenario)
        tool = scenario == "tool"
        if scenario == "random":
            seed = int(re.search(r"seed (\d+)", json.dumps(body)).group(1))
            whole, events = answers.told(path, seed)
            return self.stream(events, True, 0, bool(seed % 2)) if body.get("stream") else self.answer(200, whole)
        if path == "/v1/chat/completions":
            whole, events = chat(tool, (body.get("stream_options") or {}).get("include_usage"))
        elif path == "/v1/responses":
            whole, events = responses(tool)
        elif path == "/v1/messages":
            whole, events = messages(tool)
        else:
            return self.answer(404, {"error": {"message": "no such path", "type": "x"}})
        if not body.get("stream"):
            return self.answer(200, whole)
        self.stream(events[: len(events) // 2] if scenario == "cut" else events, scenario != "cut", 0.002)

    def error(self, path, scenario):
        status, kind, message = ERRORS[scenario]
        error = {"type": kind, "message": message}
        fields = {"Retry_After": "1"} if status == 429 else {}
        if path == "/v1/messages":
            return self.answer(status, {"type": "error", "error": error}, **fields)
        self.answer(status, {"error": dict(error, param=None, code=None)}, **fields)


if __name__ == "__main__":
    scripted.serve(Handler, config)
