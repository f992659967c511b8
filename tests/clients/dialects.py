"""The three protocols as a scripted upstream needs them: a request is read and checked as a strict vendor would, a reply is
written whole or as a stream. Standard library only.

`Talk.problems` lists what a vendor would answer with a 400, or worse, accept and misunderstand.
"""
import json
import re

NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
ID = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
PATHS = {"/v1/chat/completions": "chat", "/v1/responses": "responses", "/v1/messages": "messages"}

# What the vendors document; anything else is a leak of another protocol.
KEYS = {
    "chat": "model messages tools tool_choice parallel_tool_calls stream stream_options max_tokens max_completion_tokens "
            "temperature top_p stop response_format reasoning_effort user seed metadata store service_tier verbosity "
            "prompt_cache_key safety_identifier thinking",
    "responses": "model input instructions tools tool_choice parallel_tool_calls stream stream_options max_output_tokens "
                 "temperature top_p text reasoning include store metadata service_tier prompt_cache_key safety_identifier "
                 "user truncation",
    "messages": "model messages system tools tool_choice stream max_tokens temperature top_p top_k stop_sequences thinking "
                "output_config metadata service_tier cache_control context_management",
}


class Talk:
    """What was said so far. Turns are ("user", text), ("assistant", text), ("call", id, name, arguments),
    ("result", id, text) and ("proof", text)."""

    def __init__(self, protocol, body):
        self.protocol, self.system, self.tools, self.turns, self.problems = protocol, [], {}, [], []
        form = body.get("response_format") or (body.get("text") or {}).get("format") or (body.get("output_config") or {}).get("format")
        self.schema = (form.get("json_schema") or form).get("schema") if form else None
        unknown = sorted(set(body) - set(KEYS[protocol].split()))
        self.check(not unknown, "unknown fields %s" % unknown)
        {"chat": self.chat, "responses": self.responses, "messages": self.messages}[protocol](body)
        words = "Answer only with JSON matching this schema: "
        told = [text for text in self.system if words in text]
        if form and form.get("type") == "json_object" and told:
            self.schema = json.loads(told[-1].split(words, 1)[1])
        calls = [turn[1] for turn in self.turns if turn[0] == "call"]
        results = [turn[1] for turn in self.turns if turn[0] == "result"]
        self.check(len(set(calls)) == len(calls), "a call id twice: %s" % calls)
        self.check(sorted(calls) == sorted(results), "calls %s, results %s" % (calls, results))
        for call in calls:
            self.check(ID.match(call), "call id %r" % call)

    def check(self, fine, problem):
        if not fine:
            self.problems.append("%s: %s" % (self.protocol, problem))

    def all_text(self):
        said = [turn[1] for turn in self.turns if turn[0] in ("user", "assistant")]
        return "\n".join(self.system + said)

    def of(self, kind):
        return [turn for turn in self.turns if turn[0] == kind]

    def since_user(self):
        """The turns after the last thing the user said. In Chat a picture that a tool returned is the user's, behind the results."""
        at = max([n for n, turn in enumerate(self.turns) if turn[0] == "user" and "[image_url]" not in turn[1]], default=-1)
        return self.turns[at + 1:]

    def tool(self, name, schema):
        self.check(NAME.match(name or ""), "tool name %r" % name)
        self.check(name not in self.tools, "tool %r twice" % name)
        self.check(isinstance(schema, dict) and schema.get("type") == "object", "schema of %r: %r" % (name, schema))
        self.tools[name] = schema

    def call(self, call_id, name, arguments):
        self.check(NAME.match(name or ""), "called name %r" % name)
        # A compacting client may leave the tools out, but a call of a tool that is not offered is a wrong rename.
        self.check(not self.tools or name in self.tools, "%r was called and is not offered" % name)
        self.turns.append(("call", call_id, name, arguments))

    # -------------------------------------------------------------------------------------------- Chat Completions
    def chat(self, body):
        for tool in body.get("tools", []):
            self.check(tool.get("type") == "function", "tool type %r" % tool.get("type"))
            self.tool(tool["function"].get("name"), tool["function"].get("parameters"))
        self.check(body.get("tools") != [], "an empty tools array")
        choice = body.get("tool_choice")
        self.check(choice is None or self.tools, "tool_choice without tools")
        due, begun = [], False
        for message in body["messages"]:
            role, content = message.get("role"), message.get("content")
            if role == "tool":
                self.check(message.get("tool_call_id") in due, "result for %r, due %s" % (message.get("tool_call_id"), due))
                due = [one for one in due if one != message.get("tool_call_id")]
                self.turns.append(("result", message.get("tool_call_id"), self.chat_text(content, ("text",))))
                continue
            self.check(not due, "%s while results %s are due" % (role, due))
            if role in ("system", "developer"):
                # Qwen's template refuses a late one; DeepSeek takes it.
                self.check(not begun or body["model"].startswith("deepseek"), "a late %s message" % role)
                self.system.append(self.chat_text(content, ("text",)))
                continue
            begun = True
            if role == "user":
                self.turns.append(("user", self.chat_text(content, ("text", "image_url", "file"))))
            elif role == "assistant":
                if message.get("reasoning_content"):
                    self.turns.append(("proof", message["reasoning_content"]))
                if content:
                    self.turns.append(("assistant", self.chat_text(content, ("text", "refusal"))))
                self.check(content or message.get("tool_calls"), "an empty assistant message")
                for call in message.get("tool_calls", []):
                    self.check(call.get("type") == "function", "call type %r" % call.get("type"))
                    self.call(call.get("id"), call["function"].get("name"), arguments_of(self, call["function"]["arguments"]))
                    due.append(call.get("id"))
            else:
                self.check(False, "role %r" % role)

    def chat_text(self, content, kinds):
        if isinstance(content, str):
            return content
        self.check(isinstance(content, list) and content, "content %r" % (content,))
        for part in content or []:
            self.check(part.get("type") in kinds, "part %r" % part.get("type"))
        return "\n".join(part.get("text", "[%s]" % part.get("type")) for part in content or [])

    # -------------------------------------------------------------------------------------------- Responses
    def responses(self, body):
        for tool in body.get("tools", []):
            self.check(tool.get("type") == "function", "tool type %r" % tool.get("type"))
            self.tool(tool.get("name"), tool.get("parameters"))
            self.check("strict" not in tool or isinstance(tool["strict"], bool), "strict %r" % tool.get("strict"))
        self.check(body.get("tools") != [], "an empty tools array")
        if body.get("instructions"):
            self.system.append(body["instructions"])
        items = body["input"]
        if isinstance(items, str):
            items = [{"type": "message", "role": "user", "content": items}]
        for at, item in enumerate(items):
            kind = item.get("type", "message")
            if kind == "message":
                role = item.get("role")
                answer = role == "assistant"
                text = self.responses_text(item["content"], ("output_text", "refusal") if answer else ("input_text", "input_image", "input_file"))
                if role in ("system", "developer"):
                    self.system.append(text)
                else:
                    self.check(role in ("user", "assistant"), "role %r" % role)
                    self.turns.append((role, text))
            elif kind == "function_call":
                self.check(isinstance(item["arguments"], str), "arguments %r" % item["arguments"])
                self.call(item.get("call_id"), item.get("name"), arguments_of(self, item["arguments"]))
            elif kind == "function_call_output":
                known = [turn[1] for turn in self.of("call")]
                self.check(item.get("call_id") in known, "result for %r before its call" % item.get("call_id"))
                self.turns.append(("result", item.get("call_id"), self.responses_text(item["output"], ("input_text", "input_image", "input_file"))))
            elif kind == "reasoning":
                self.check(isinstance(item.get("summary"), list), "a reasoning item without summary")
                follows = items[at + 1].get("type", "message") if at + 1 < len(items) else None
                self.check(follows in ("message", "function_call", "reasoning"), "a reasoning item followed by %r" % follows)
                self.turns.append(("proof", item.get("encrypted_content")))
            else:
                self.check(False, "item %r" % kind)

    def responses_text(self, content, kinds):
        if isinstance(content, str):
            return content
        self.check(isinstance(content, list) and content, "content %r" % (content,))
        for part in content or []:
            self.check(part.get("type") in kinds, "part %r" % part.get("type"))
        return "\n".join(part.get("text", "[%s]" % part.get("type")) for part in content or [])

    # -------------------------------------------------------------------------------------------- Messages
    def messages(self, body):
        self.check(isinstance(body.get("max_tokens"), int) and body["max_tokens"] > 0, "max_tokens %r" % body.get("max_tokens"))
        for tool in body.get("tools", []):
            self.check(tool.get("type", "custom") == "custom", "tool type %r" % tool.get("type"))
            self.tool(tool.get("name"), tool.get("input_schema"))
        system = body.get("system", [])
        for block in [{"type": "text", "text": system}] if isinstance(system, str) else system:
            self.check(block.get("type") == "text" and block.get("text"), "system block %r" % block)
            self.system.append(block.get("text", ""))
        thinking = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
        if thinking and body["thinking"]["type"] == "enabled":
            self.check(body["max_tokens"] > body["thinking"]["budget_tokens"] >= 1024, "budget %r" % body["thinking"])
        self.check(not (thinking and "temperature" in body), "thinking with a temperature")
        due, role = [], None
        for at, message in enumerate(body["messages"]):
            self.check(message.get("role") in ("user", "assistant"), "role %r" % message.get("role"))
            self.check(at > 0 or message.get("role") == "user", "the first message is not the user's")
            role = message.get("role")
            blocks = message["content"]
            if isinstance(blocks, str):
                blocks = [{"type": "text", "text": blocks}]
            self.check(blocks, "an empty message")
            answered = [block.get("tool_use_id") for block in blocks if block.get("type") == "tool_result"]
            self.check(not due or sorted(due) == sorted(answered), "results %s are due, %s came" % (due, answered))
            due, late = [], False
            for block in blocks:
                kind = block.get("type")
                if kind == "text":
                    self.check(block["text"].strip(), "an empty text block")
                    self.turns.append((role, block["text"]))
                    late = True
                elif kind == "tool_use":
                    self.check(role == "assistant" and isinstance(block["input"], dict), "tool_use %r" % block)
                    self.call(block.get("id"), block.get("name"), block["input"])
                    due.append(block.get("id"))
                elif kind == "tool_result":
                    self.check(role == "user" and not late, "a tool_result after text")
                    content = block.get("content", "")
                    text = content if isinstance(content, str) else "\n".join(part.get("text", "[image]") for part in content)
                    self.turns.append(("result", block.get("tool_use_id"), text))
                elif kind in ("image", "document"):
                    self.turns.append((role, "[%s]" % kind))
                elif kind in ("thinking", "redacted_thinking"):
                    self.check(role == "assistant", "the user's thinking")
                    self.turns.append(("proof", block.get("signature") or block.get("data")))
                else:
                    self.check(False, "block %r" % kind)
        self.check(not due, "results %s never came" % due)


def arguments_of(talk, text):
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    talk.check(isinstance(value, dict), "arguments %r" % text)
    return value


# ------------------------------------------------------------------------------------------------ replies
class Reply:
    """Parts are ("reason", text, proof), ("text", text) and ("call", id, name, arguments as a dict). `full`: the output limit
    ended it."""

    def __init__(self, *parts, usage=(1200, 40), cached=1000, full=False):
        self.parts, self.usage, self.cached, self.full = parts, usage, cached, full

    def calls(self):
        return [part for part in self.parts if part[0] == "call"]


def pieces(text):
    """A text in pieces of at most 7 characters: words and tokens end anywhere."""
    return [text[at:at + 7] for at in range(0, len(text), 7)] or [""]


def write(protocol, reply, stream):
    return {"chat": write_chat, "responses": write_responses, "messages": write_messages}[protocol](reply, stream)


def write_chat(reply, stream):
    base = {"id": "chatcmpl-1", "created": 1790000000, "model": "scripted"}
    prompt, completion = reply.usage
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
             "prompt_tokens_details": {"cached_tokens": min(reply.cached, prompt)}}
    finish = "length" if reply.full else "tool_calls" if reply.calls() else "stop"
    if not stream:
        message = {"role": "assistant", "content": "".join(part[1] for part in reply.parts if part[0] == "text") or None}
        thought = "".join(part[1] for part in reply.parts if part[0] == "reason")
        if thought:
            message["reasoning_content"] = thought
        if reply.calls():
            message["tool_calls"] = [{"id": one[1], "type": "function", "function": {"name": one[2], "arguments": json.dumps(one[3])}} for one in reply.calls()]
        return dict(base, object="chat.completion", usage=usage, choices=[{"index": 0, "message": message, "finish_reason": finish}])

    def chunk(delta, reason=None):
        return None, dict(base, object="chat.completion.chunk", choices=[{"index": 0, "delta": delta, "finish_reason": reason}])

    events = [chunk({"role": "assistant", "content": ""})]
    index = 0
    for part in reply.parts:
        if part[0] == "reason":
            events += [chunk({"reasoning_content": piece}) for piece in pieces(part[1])]
        elif part[0] == "text":
            events += [chunk({"content": piece}) for piece in pieces(part[1])]
        else:
            head = {"index": index, "id": part[1], "type": "function", "function": {"name": part[2], "arguments": ""}}
            events.append(chunk({"tool_calls": [head]}))
            events += [chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}) for piece in pieces(json.dumps(part[3]))]
            index += 1
    events.append(chunk({}, finish))
    events.append((None, dict(base, object="chat.completion.chunk", choices=[], usage=usage)))
    events.append((None, "[DONE]"))
    return events


def write_responses(reply, stream):
    prompt, completion = reply.usage
    usage = {"input_tokens": prompt, "input_tokens_details": {"cached_tokens": min(reply.cached, prompt)},
             "output_tokens": completion, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": prompt + completion}

    def response(status, output, counts=None):
        return {"id": "resp_1", "object": "response", "created_at": 1790000000, "status": status, "model": "scripted",
                "output": output, "usage": counts, "error": None, "incomplete_details": None, "instructions": None,
                "metadata": {}, "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0}

    output, events = [], [("response.created", {"response": response("in_progress", [])}),
                          ("response.in_progress", {"response": response("in_progress", [])})]
    for index, part in enumerate(reply.parts):
        at = {"output_index": index}
        if part[0] == "reason":
            item = {"type": "reasoning", "id": "rs_%d" % index, "summary": [{"type": "summary_text", "text": part[1]}], "encrypted_content": part[2]}
            where = dict(at, item_id=item["id"], summary_index=0)
            events.append(("response.output_item.added", dict(at, item=dict(item, summary=[], encrypted_content=""))))
            events.append(("response.reasoning_summary_part.added", dict(where, part={"type": "summary_text", "text": ""})))
            events += [("response.reasoning_summary_text.delta", dict(where, delta=piece)) for piece in pieces(part[1])]
            events.append(("response.reasoning_summary_text.done", dict(where, text=part[1])))
            events.append(("response.reasoning_summary_part.done", dict(where, part=item["summary"][0])))
        elif part[0] == "text":
            content = {"type": "output_text", "text": part[1], "annotations": [], "logprobs": []}
            item = {"type": "message", "id": "msg_%d" % index, "role": "assistant", "status": "completed", "content": [content]}
            where = dict(at, item_id=item["id"], content_index=0)
            events.append(("response.output_item.added", dict(at, item=dict(item, status="in_progress", content=[]))))
            events.append(("response.content_part.added", dict(where, part=dict(content, text=""))))
            events += [("response.output_text.delta", dict(where, delta=piece, logprobs=[])) for piece in pieces(part[1])]
            events.append(("response.output_text.done", dict(where, text=part[1], logprobs=[])))
            events.append(("response.content_part.done", dict(where, part=content)))
        else:
            arguments = json.dumps(part[3])
            item = {"type": "function_call", "id": "fc_%d" % index, "call_id": part[1], "name": part[2], "arguments": arguments, "status": "completed"}
            where = dict(at, item_id=item["id"])
            events.append(("response.output_item.added", dict(at, item=dict(item, arguments="", status="in_progress"))))
            events += [("response.function_call_arguments.delta", dict(where, delta=piece)) for piece in pieces(arguments)]
            events.append(("response.function_call_arguments.done", dict(where, arguments=arguments)))
        events.append(("response.output_item.done", dict(at, item=item)))
        output.append(item)
    status = "incomplete" if reply.full else "completed"
    whole = response(status, output, usage)
    if reply.full:
        whole["incomplete_details"] = {"reason": "max_output_tokens"}
    if not stream:
        return whole
    events.append(("response." + status, {"response": whole}))
    return [(name, dict(data, type=name, sequence_number=number)) for number, (name, data) in enumerate(events)]


def write_messages(reply, stream):
    prompt, completion = reply.usage
    cached = min(reply.cached, prompt)
    usage = {"input_tokens": prompt - cached, "cache_creation_input_tokens": 0, "cache_read_input_tokens": cached, "output_tokens": completion}
    reason = "max_tokens" if reply.full else "tool_use" if reply.calls() else "end_turn"
    blocks, events = [], []
    for index, part in enumerate(reply.parts):
        if part[0] == "reason":
            block, begun = {"type": "thinking", "thinking": part[1], "signature": part[2]}, {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(part[1])]
            deltas.append({"type": "signature_delta", "signature": part[2]})
        elif part[0] == "text":
            block, begun = {"type": "text", "text": part[1]}, {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(part[1])]
        else:
            block = {"type": "tool_use", "id": part[1], "name": part[2], "input": part[3]}
            begun = dict(block, input={})
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(json.dumps(part[3]))]
        blocks.append(block)
        events.append(("content_block_start", {"index": index, "content_block": begun}))
        events += [("content_block_delta", {"index": index, "delta": delta}) for delta in deltas]
        events.append(("content_block_stop", {"index": index}))
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": blocks,
             "stop_reason": reason, "stop_sequence": None, "usage": usage}
    if not stream:
        return whole
    start = dict(whole, content=[], stop_reason=None, usage=dict(usage, output_tokens=1))
    events = [("message_start", {"message": start}), ("ping", {})] + events
    events.append(("message_delta", {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": completion}}))
    events.append(("message_stop", {}))
    return [(name, dict(data, type=name)) for name, data in events]


def error(protocol, kind, code, message):
    if protocol == "messages":
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_upstream"}
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def failure(protocol, message):
    """The event that says, inside a stream, that it failed."""
    if protocol == "chat":
        return None, error(protocol, "server_error", "server_error", message)
    if protocol == "messages":
        return "error", error(protocol, "overloaded_error", None, message)
    failed = {"id": "resp_1", "object": "response", "status": "failed", "output": [], "usage": None,
              "error": {"code": "server_error", "message": message}}
    return "response.failed", {"type": "response.failed", "sequence_number": 999, "response": failed}
