"""The official OpenAI SDK for Python through the gateway: Chat Completions and Responses, errors, models."""
import json
import os
import time

import openai
from openai import OpenAI

ANSWERS = json.load(open(os.environ["ANSWERS"], encoding="utf-8"))
URL, KEY, FAMILIES = os.environ["GATEWAY_URL"], os.environ["CLIENT_KEY"], os.environ["FAMILIES"].split()
TEXT = "Hello, w\u00f6rld \U0001f642 done"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
              "additionalProperties": False}
checks = 0


def check(what, condition):
    global checks
    checks += 1
    if not condition:
        raise SystemExit("openai.py: %s" % (what,))


def raises(kind, call):
    try:
        call()
    except kind as error:
        check("", True)
        return error
    raise SystemExit("openai.py: no %s" % kind.__name__)


client = OpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0)
patient = client.with_options(max_retries=2)
user = [{"role": "user", "content": "hi"}]


def complete(model, **more):
    return client.chat.completions.create(model=model, messages=user, **more)


def respond(model, **more):
    return client.responses.create(model=model, input="hi", **more)




def heard_chat(completion):
    """What a client of Chat Completions heard, as answers.py says it."""
    choice = completion.choices[0]
    calls = [{"id": call.id, "name": call.function.name, "arguments": json.loads(call.function.arguments)}
             for call in choice.message.tool_calls or []]
    usage, details = completion.usage, completion.usage.prompt_tokens_details
    # Texts of two messages have an empty line between them here.
    return {"thought": getattr(choice.message, "reasoning_content", None) or "", "text": choice.message.content or "", "calls": calls,
            "cut": choice.finish_reason == "length",
            "usage": [usage.prompt_tokens, details.cached_tokens if details else 0, usage.completion_tokens]}


def heard_responses(response):
    """The same of a client of Responses."""
    calls = [{"id": item.call_id, "name": item.name, "arguments": json.loads(item.arguments)}
             for item in response.output if item.type == "function_call"]
    thought = "".join(part.text for item in response.output if item.type == "reasoning" for part in item.summary)
    usage = response.usage
    return {"thought": thought, "text": response.output_text, "calls": calls, "cut": response.status == "incomplete",
            "usage": [usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens]}


def last_completion(model, seed):
    """What the SDK's own accumulator makes of a stream."""
    options = {"include_usage": True}
    with client.chat.completions.stream(model=model, messages=about(seed), tools=RANDOM_CHAT_TOOLS, stream_options=options) as stream:
        for _ in stream:
            pass
        # The SDK refuses to hand out an answer that was cut at the limit as a final one.
        return stream.current_completion_snapshot


def last_response(model, seed):
    text, arguments, thought = {}, {}, {}
    with client.responses.stream(model=model, input=about(seed), tools=RANDOM_TOOLS) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                text[event.output_index] = text.get(event.output_index, "") + event.delta
            elif event.type == "response.function_call_arguments.delta":
                arguments[event.item_id] = arguments.get(event.item_id, "") + event.delta
            elif event.type == "response.reasoning_summary_text.delta":
                thought[event.item_id] = thought.get(event.item_id, "") + event.delta
        last = event.response
    # The pieces are the whole.
    check((model, seed, text), "".join(text.values()) == last.output_text)
    for item in last.output:
        if item.type == "function_call":
            check((model, seed, item), arguments.get(item.id, "") == item.arguments)
        if item.type == "reasoning":
            check((model, seed, item), thought.get(item.id, "") == "".join(part.text for part in item.summary))
    return last


def about(seed):
    return [{"role": "user", "content": "seed %d" % seed}]


RANDOM_TOOLS = [{"type": "function", "name": name, "parameters": {"type": "object"}, "strict": False} for name in ("read", "write")]
RANDOM_CHAT_TOOLS = [{"type": "function", "function": {"name": tool["name"], "parameters": tool["parameters"]}} for tool in RANDOM_TOOLS]


def same(heard, answer, family):
    """Whether it is what was said. A Chat client hears two messages with an empty line between them."""
    joined = dict(answer, text=answer["text"].replace("\n", ""))
    return dict(heard, text=heard["text"].replace("\n", "")) == joined


for family in FAMILIES:
    model = family + "-random"
    for seed, answer in enumerate(ANSWERS):
        heard = heard_chat(last_completion(model, seed))
        check((model, seed, "chat stream", heard, answer), same(heard, answer, family))
        heard = heard_responses(last_response(model, seed))
        check((model, seed, "responses stream", heard, answer), same(heard, answer, family))
        if seed % 5 == 0:
            heard = heard_chat(client.chat.completions.create(model=model, messages=about(seed), tools=RANDOM_CHAT_TOOLS))
            check((model, seed, "chat", heard, answer), same(heard, answer, family))
            heard = heard_responses(client.responses.create(model=model, input=about(seed), tools=RANDOM_TOOLS))
            check((model, seed, "responses", heard, answer), same(heard, answer, family))

for family in FAMILIES:
    name = lambda scenario: "%s-%s" % (family, scenario)

    # Chat Completions
    answer = complete(name("hello"))
    check((family, answer), answer.choices[0].message.content == TEXT)
    check((family, answer), answer.choices[0].finish_reason == "stop")
    check((family, answer.usage), (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (11, 7, 18))
    chunks = list(complete(name("hello"), stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    check((family, text), text == TEXT)
    check((family, chunks[-1]), chunks[-1].usage and chunks[-1].usage.total_tokens == 18)
    check((family, chunks), [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"])
    plain = list(complete(name("hello"), stream=True))
    check((family, plain), not any(c.usage for c in plain))
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]
    answer = complete(name("tool"), tools=tools)
    call = answer.choices[0].message.tool_calls[0]
    check((family, call), call.function.name == "get_weather" and json.loads(call.function.arguments) == {"city": "Paris"})
    check((family, answer), answer.choices[0].finish_reason == "tool_calls")
    arguments, names = "", []
    for chunk in complete(name("tool"), tools=tools, stream=True):
        for part in (chunk.choices and chunk.choices[0].delta.tool_calls) or []:
            arguments += part.function.arguments or ""
            names += [part.function.name] if part.function.name else []
    check((family, names, arguments), names == ["get_weather"] and json.loads(arguments) == {"city": "Paris"})
    again = user + [answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    answer = client.chat.completions.create(model=name("hello"), messages=again, tools=tools)
    check((family, answer), answer.choices[0].message.content == TEXT)
    raises((openai.APIError, Exception), lambda: list(complete(name("cut"), stream=True)))

    # Responses
    answer = respond(name("hello"))
    check((family, answer), answer.output_text == TEXT and answer.status == "completed")
    check((family, answer.usage), (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (11, 7, 18))
    events = list(respond(name("hello"), stream=True))
    check((family, events), "".join(e.delta for e in events if e.type == "response.output_text.delta") == TEXT)
    check((family, events), events[0].type == "response.created" and events[-1].type == "response.completed")
    check((family, events), [e.sequence_number for e in events] == list(range(len(events))))
    with client.responses.stream(model=name("hello"), input="hi") as stream:
        stream.until_done()
        check((family, "stream"), stream.get_final_response().output_text == TEXT)
    tools = [{"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": True}]
    calls = [item for item in respond(name("tool"), tools=tools).output if item.type == "function_call"]
    check((family, calls), len(calls) == 1 and calls[0].name == "get_weather" and json.loads(calls[0].arguments) == {"city": "Paris"})
    last = list(respond(name("tool"), tools=tools, stream=True))[-1].response
    calls = [item for item in last.output if item.type == "function_call"]
    check((family, calls), len(calls) == 1 and json.loads(calls[0].arguments) == {"city": "Paris"})
    follow = [{"role": "user", "content": "hi"}, *last.output,
              {"type": "function_call_output", "call_id": calls[0].call_id, "output": "sunny"}]
    answer = client.responses.create(model=name("hello"), input=follow, tools=tools)
    check((family, answer), answer.output_text == TEXT)

    # Errors, in both shapes of call
    for ask in (complete, respond):
        error = raises(openai.BadRequestError, lambda: ask(name("e400")))
        check((family, error), "the temperature is too high" in error.message)
        check((family, error), error.type == "invalid_request_error")
        raises(openai.AuthenticationError, lambda: ask(name("e401")))
        raises(openai.NotFoundError, lambda: ask(name("e404")))
        error = raises(openai.InternalServerError, lambda: ask(name("e500")))
        check((family, error), error.status_code == 500 and "the upstream broke" in error.message)
        raises(openai.BadRequestError, lambda: ask(name("e400"), stream=True))
    start = time.monotonic()
    answer = patient.chat.completions.create(model=name("e429"), messages=user)
    check((family, "retry"), answer.choices[0].message.content == TEXT and time.monotonic() - start > 0.95)
    start = time.monotonic()
    answer = patient.responses.create(model=name("e429"), input="hi")
    check((family, "retry"), answer.output_text == TEXT and time.monotonic() - start > 0.95)

# The gateway's own errors and its models
error = raises(openai.NotFoundError, lambda: complete("native-hallo"))
check(error.message, error.code == "model_not_found" and "native-hello" in error.message)
wrong = OpenAI(base_url=URL + "/v1", api_key="sk-wrong", max_retries=0)
error = raises(openai.AuthenticationError, lambda: wrong.chat.completions.create(model="native-hello", messages=user))
check(error, error.code == "invalid_api_key" and error.request_id)
ids = [model.id for model in client.models.list()]
check(ids, "native-hello" in ids and "messages-tool" in ids)
check("retrieve", client.models.retrieve("native-hello").id == "native-hello")
print("openai %s (python): %d checks" % (openai.__version__, checks))
