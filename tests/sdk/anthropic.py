"""The official Anthropic SDK for Python through the gateway: Messages, errors, models."""
import json
import os
import time

import anthropic
from anthropic import Anthropic

ANSWERS = json.load(open(os.environ["ANSWERS"], encoding="utf-8"))
URL, KEY, FAMILIES = os.environ["GATEWAY_URL"], os.environ["CLIENT_KEY"], os.environ["FAMILIES"].split()
TEXT = "Hello, w\u00f6rld \U0001f642 done"
TOOLS = [{"name": "get_weather", "description": "the weather",
          "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]
checks = 0


def check(what, condition):
    global checks
    checks += 1
    if not condition:
        raise SystemExit("anthropic.py: %s" % (what,))


def raises(kind, call):
    try:
        call()
    except kind as error:
        check("", True)
        return error
    raise SystemExit("anthropic.py: no %s" % kind.__name__)


client = Anthropic(base_url=URL, api_key=KEY, max_retries=0)
patient = client.with_options(max_retries=2)
user = [{"role": "user", "content": "hi"}]


def create(model, **more):
    return client.messages.create(model=model, max_tokens=100, messages=more.pop("messages", user), **more)



RANDOM_TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ("read", "write")]


def heard(message):
    """What a client heard, as answers.py says it."""
    usage = message.usage
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return {"thought": "".join(block.thinking for block in message.content if block.type == "thinking"),
            "text": "".join(block.text for block in message.content if block.type == "text"),
            "calls": [{"id": block.id, "name": block.name, "arguments": block.input} for block in message.content if block.type == "tool_use"],
            "cut": message.stop_reason == "max_tokens",
            "usage": [usage.input_tokens + cached + written, cached, usage.output_tokens]}


for family in FAMILIES:
    model = family + "-random"
    for seed, answer in enumerate(ANSWERS):
        about = [{"role": "user", "content": "seed %d" % seed}]
        with client.messages.stream(model=model, max_tokens=100, messages=about, tools=RANDOM_TOOLS) as stream:
            final = heard(stream.get_final_message())
        check((model, seed, "stream", final, answer), final == answer)
        if seed % 5 == 0:
            final = heard(create(model, messages=about, tools=RANDOM_TOOLS))
            check((model, seed, final, answer), final == answer)

for family in FAMILIES:
    name = lambda scenario: "%s-%s" % (family, scenario)
    answer = create(name("hello"), system="be brief")
    check((family, answer), answer.content[0].text == TEXT and answer.stop_reason == "end_turn")
    check((family, answer.usage), (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 7))
    with client.messages.stream(model=name("hello"), max_tokens=100, messages=user) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    check((family, text), text == TEXT and final.content[0].text == TEXT)
    check((family, final), final.stop_reason == "end_turn" and final.usage.output_tokens == 7)
    types = [event.type for event in create(name("hello"), stream=True)]
    check((family, types), types[0] == "message_start" and types[-2:] == ["message_delta", "message_stop"])
    answer = create(name("tool"), tools=TOOLS)
    block = answer.content[0]
    check((family, block), block.type == "tool_use" and block.name == "get_weather" and block.input == {"city": "Paris"})
    check((family, answer), answer.stop_reason == "tool_use")
    with client.messages.stream(model=name("tool"), max_tokens=100, messages=user, tools=TOOLS) as stream:
        final = stream.get_final_message()
    check((family, final), final.content[0].input == {"city": "Paris"} and final.stop_reason == "tool_use")
    result = {"type": "tool_result", "tool_use_id": block.id, "content": "sunny"}
    again = user + [{"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    check(family, create(name("hello"), messages=again, tools=TOOLS).content[0].text == TEXT)
    raises((anthropic.APIError, Exception), lambda: list(create(name("cut"), stream=True)))

    error = raises(anthropic.BadRequestError, lambda: create(name("e400")))
    check((family, error), "the temperature is too high" in error.message)
    check((family, error.body), error.body["type"] == "error" and error.body["error"]["type"] == "invalid_request_error")
    raises(anthropic.BadRequestError, lambda: create(name("e400"), stream=True))
    raises(anthropic.AuthenticationError, lambda: create(name("e401")))
    raises(anthropic.NotFoundError, lambda: create(name("e404")))
    error = raises(anthropic.InternalServerError, lambda: create(name("e500")))
    check((family, error), error.status_code == 500 and "the upstream broke" in error.message)
    start = time.monotonic()
    answer = patient.messages.create(model=name("e429"), max_tokens=100, messages=user)
    check((family, "retry"), answer.content[0].text == TEXT and time.monotonic() - start > 0.95)

error = raises(anthropic.NotFoundError, lambda: create("native-hallo"))
check(error.body, error.body["error"]["type"] == "not_found_error" and "native-hello" in error.message)
wrong = Anthropic(base_url=URL, api_key="sk-wrong", max_retries=0)
error = raises(anthropic.AuthenticationError, lambda: wrong.messages.create(model="native-hello", max_tokens=1, messages=user))
check(error.body, error.body["error"]["type"] == "authentication_error" and error.request_id)
bearer = Anthropic(base_url=URL, auth_token=KEY, api_key=None, max_retries=0)
check("bearer", bearer.messages.create(model="native-hello", max_tokens=9, messages=user).content[0].text == TEXT)
ids = [model.id for model in client.models.list(limit=5)]
check(ids, "native-hello" in ids and "messages-tool" in ids)
check("retrieve", client.models.retrieve("native-hello").id == "native-hello")
print("anthropic %s (python): %d checks" % (anthropic.__version__, checks))
