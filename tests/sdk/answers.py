#!/usr/bin/env python3
"""Random answers from seeds, as an upstream of each protocol tells them, and what a client has to have heard in the end.

answers.py COUNT   prints what the first COUNT answers say, in JSON: the SDKs' accumulators must come to the same.
Standard library only.
"""
import json
import random
import sys

WORDS = ["plain ", "\u00e9\U0001f642", "line\n", '"quoted" ', "\\u00e9\\", "\u2028\t", "data: x\n", "</b> ", "\u65e5\u672c "]
ARGUMENTS = ["{}", '{"a":1e2}', '{"path":"x\\"\u00e9\U0001f642\\n","n":[{"a":"}"},null]}', '{"deep":{"er":{"est":["\\u0000"]}}}']


class Answer:
    """At most one thought, then texts and calls in any order, cut into pieces anywhere."""

    def __init__(self, seed):
        self.dice = dice = random.Random(seed)
        self.parts = []
        if dice.random() < 0.4:
            self.parts.append({"kind": "thought", "text": self.words(), "proof": "proof-%d" % seed})
        for number in range(dice.randrange(5)):
            if dice.random() < 0.5:
                self.parts.append({"kind": "text", "text": self.words()})
            else:
                self.parts.append({"kind": "call", "id": "call_%d_%d" % (seed, number), "name": dice.choice(["read", "write"]),
                                   "text": dice.choice(ARGUMENTS)})
        if not any(part["kind"] != "thought" for part in self.parts):
            self.parts.append({"kind": "text", "text": self.words()})
        self.cut = dice.random() < 0.2  # at the output limit
        self.cached = dice.randrange(50)
        self.input = self.cached + dice.randrange(1000)
        self.output = 20 + dice.randrange(1000)

    def words(self):
        return "".join(self.dice.choice(WORDS) for _ in range(1 + self.dice.randrange(6)))

    def pieces(self, text):
        """The text in pieces, none of them empty."""
        rest, pieces = text, []
        while rest:
            at = 1 + self.dice.randrange(9)
            pieces.append(rest[:at])
            rest = rest[at:]
        return pieces

    def of(self, kind):
        return [part for part in self.parts if part["kind"] == kind]

    def said(self):
        """What it says, in a form that each protocol can hold: Chat keeps no order between kinds."""
        return {
            "thought": "".join(part["text"] for part in self.of("thought")),
            "text": "".join(part["text"] for part in self.of("text")),
            "calls": [{"id": part["id"], "name": part["name"], "arguments": json.loads(part["text"])} for part in self.of("call")],
            "cut": self.cut,
            "usage": [self.input, self.cached, self.output],
        }

    # -------------------------------------------------------------------------------------------- Chat Completions
    def chat(self):
        base = {"id": "chatcmpl-1", "created": 1790000000, "model": "scripted"}
        calls = self.of("call")
        finish = "length" if self.cut else "tool_calls" if calls else "stop"
        usage = {"prompt_tokens": self.input, "completion_tokens": self.output, "total_tokens": self.input + self.output,
                 "prompt_tokens_details": {"cached_tokens": self.cached}}
        said = self.said()
        message = {"role": "assistant", "content": said["text"] or None}
        if said["thought"]:
            message["reasoning_content"] = said["thought"]
        told = [{"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["text"]}} for call in calls]
        if told:
            message["tool_calls"] = told
        whole = dict(base, object="chat.completion", usage=usage, choices=[{"index": 0, "message": message, "finish_reason": finish}])

        def chunk(delta, reason=None):
            return None, dict(base, object="chat.completion.chunk", choices=[{"index": 0, "delta": delta, "finish_reason": reason}])

        events = [chunk({"role": "assistant", "content": ""})]
        keys = {"thought": "reasoning_content", "text": "content"}
        fragments = []
        for part in self.parts:
            if part["kind"] != "call":
                events += [chunk({keys[part["kind"]]: piece}) for piece in self.pieces(part["text"])]
                continue
            index = calls.index(part)
            events.append(chunk({"tool_calls": [dict(told[index], index=index, function={"name": part["name"], "arguments": ""})]}))
            more = [chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}) for piece in self.pieces(part["text"])]
            if index + 1 < len(calls) and self.parts[self.parts.index(part) + 1]["kind"] == "call":
                fragments.append(more)  # told among the fragments of the next one
                continue
            events += self.shuffled(fragments + [more])
            fragments = []
        if self.dice.random() < 0.5 and len(events) > 1:  # the last delta and the reason in one
            events[-1][1]["choices"][0]["finish_reason"] = finish
        else:
            events.append(chunk({}, finish))
        events.append((None, dict(base, object="chat.completion.chunk", choices=[], usage=usage)))
        return whole, events + [(None, "[DONE]")]

    def shuffled(self, lists):
        """One list of several, each in its own order and begun in the order of the lists."""
        out, waiting, begun = [], [list(part) for part in lists if part], []
        while waiting or begun:
            if waiting and (not begun or self.dice.random() < 0.3):
                begun.append(waiting.pop(0))
                one = begun[-1]
            else:
                one = self.dice.choice(begun)
            out.append(one.pop(0))
            begun = [part for part in begun if part]
        return out

    # -------------------------------------------------------------------------------------------- Responses
    def responses(self):
        usage = {"input_tokens": self.input, "input_tokens_details": {"cached_tokens": self.cached}, "output_tokens": self.output,
                 "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": self.input + self.output}
        status = "incomplete" if self.cut else "completed"

        def response(status, output, usage=None):
            reason = {"reason": "max_output_tokens"} if status == "incomplete" else None
            return {"id": "resp_1", "object": "response", "created_at": 1790000000, "status": status, "model": "scripted",
                    "output": output, "usage": usage, "error": None, "incomplete_details": reason, "instructions": None,
                    "metadata": {}, "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0}

        output = []
        lanes = [[]]  # events of neighbouring calls come among each other
        for index, part in enumerate(self.parts):
            at, text = {"output_index": index}, part["text"]
            if part["kind"] == "call":
                item = {"type": "function_call", "id": "fc_%d" % index, "call_id": part["id"], "name": part["name"], "arguments": text,
                        "status": "completed"}
                begun = dict(item, arguments="", status="in_progress")
                where = dict(at, item_id=item["id"])
                inner = [("response.function_call_arguments.delta", dict(where, delta=piece)) for piece in self.pieces(text)]
                inner.append(("response.function_call_arguments.done", dict(where, arguments=text, name=part["name"])))
            elif part["kind"] == "text":
                told = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
                item = {"type": "message", "id": "msg_%d" % index, "role": "assistant", "status": "completed", "content": [told]}
                begun = dict(item, status="in_progress", content=[])
                where = dict(at, item_id=item["id"], content_index=0)
                inner = [("response.content_part.added", dict(where, part=dict(told, text="")))]
                inner += [("response.output_text.delta", dict(where, delta=piece, logprobs=[])) for piece in self.pieces(text)]
                inner.append(("response.output_text.done", dict(where, text=text, logprobs=[])))
                inner.append(("response.content_part.done", dict(where, part=told)))
            else:
                told = {"type": "summary_text", "text": text}
                item = {"type": "reasoning", "id": "rs_%d" % index, "summary": [told], "encrypted_content": part["proof"]}
                begun = dict(item, summary=[])
                where = dict(at, item_id=item["id"], summary_index=0)
                inner = [("response.reasoning_summary_part.added", dict(where, part=dict(told, text="")))]
                inner += [("response.reasoning_summary_text.delta", dict(where, delta=piece)) for piece in self.pieces(text)]
                inner.append(("response.reasoning_summary_text.done", dict(where, text=text)))
                inner.append(("response.reasoning_summary_part.done", dict(where, part=told)))
            output.append(item)
            events = [("response.output_item.added", dict(at, item=begun)), *inner, ("response.output_item.done", dict(at, item=item))]
            parallel = part["kind"] == "call" and index > 0 and self.parts[index - 1]["kind"] == "call"
            lanes = lanes[:-1] + [lanes[-1] + [events]] if parallel else lanes + [[events]]
        whole = response(status, output, usage)
        events = [(name, {"response": response("in_progress", [])}) for name in ("response.created", "response.in_progress")]
        for lane in lanes:
            events += self.shuffled(lane)
        events.append(("response." + status, {"response": whole}))
        return whole, [(name, dict(data, type=name, sequence_number=n)) for n, (name, data) in enumerate(events)]

    # -------------------------------------------------------------------------------------------- Messages
    def messages(self):
        content = []
        for part in self.parts:
            if part["kind"] == "call":
                content.append({"type": "tool_use", "id": part["id"], "name": part["name"], "input": json.loads(part["text"])})
            elif part["kind"] == "text":
                content.append({"type": "text", "text": part["text"]})
            else:
                content.append({"type": "thinking", "thinking": part["text"], "signature": part["proof"]})
        reason = "max_tokens" if self.cut else "tool_use" if self.of("call") else "end_turn"
        counts = {"input_tokens": self.input - self.cached, "cache_read_input_tokens": self.cached, "cache_creation_input_tokens": 0}
        whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": content, "stop_reason": reason,
                 "stop_sequence": None, "usage": dict(counts, output_tokens=self.output)}
        events = [("message_start", {"message": dict(whole, content=[], stop_reason=None, usage=dict(counts, output_tokens=1))})]
        empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}
        keys = {"text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking"), "tool_use": ("input_json_delta", "partial_json")}
        for index, (part, block) in enumerate(zip(self.parts, content)):
            kind, key = keys[block["type"]]
            deltas = [{"type": kind, key: piece} for piece in self.pieces(part["text"])]
            if block["type"] == "thinking":
                deltas.append({"type": "signature_delta", "signature": part["proof"]})
            events.append(("content_block_start", {"index": index, "content_block": {**block, **empty[block["type"]]}}))
            if self.dice.random() < 0.2:
                events.append(("ping", {}))
            events += [("content_block_delta", {"index": index, "delta": delta}) for delta in deltas]
            events.append(("content_block_stop", {"index": index}))
        events.append(("message_delta", {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": self.output}}))
        events.append(("message_stop", {}))
        return whole, [(name, dict(data, type=name)) for name, data in events]


def told(path, seed):
    """The whole answer and its events, for that endpoint."""
    answer = Answer(seed)
    return {"/v1/chat/completions": answer.chat, "/v1/responses": answer.responses, "/v1/messages": answer.messages}[path]()


if __name__ == "__main__":
    json.dump([Answer(seed).said() for seed in range(int(sys.argv[1]))], sys.stdout)
