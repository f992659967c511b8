"""LangChain through the gateway: ChatOpenAI (both its protocols) and ChatAnthropic, streamed and not."""
import functools
import os
import time

import anthropic
import openai
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

import play
from play import GATEWAY, KEY, Stage

@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return "sunny in " + city


class Place(BaseModel):
    """A place."""

    city: str
    nonce: str


def chat(family, **more):
    return ChatOpenAI(base_url=GATEWAY + "/v1", api_key=KEY, model="any-" + family, stream_usage=True, **more)


def responses(family, **more):
    return ChatOpenAI(base_url=GATEWAY + "/v1", api_key=KEY, model="any-" + family, use_responses_api=True, **more)


def messages(family, **more):
    return ChatAnthropic(base_url=GATEWAY, api_key=KEY, model_name="any-" + family, max_tokens=2000, **more)


def whole(stream):
    """The chunks of a stream, added up as LangChain does it."""
    total = None
    for chunk in stream:
        total = chunk if total is None else total + chunk
    return total


def counted(message):
    usage = message.usage_metadata
    found = (usage["input_tokens"], usage["output_tokens"], usage["input_token_details"]["cache_read"])
    assert found == (1200, 40, 1000), usage


def text(make, family):
    for ask in ("invoke", "stream"):
        stage = Stage("hello")
        said = [SystemMessage("Be brief."), HumanMessage(stage.prompt)]
        model = make(family)
        answer = model.invoke(said) if ask == "invoke" else whole(model.stream(said))
        assert answer.text == stage.final, answer
        counted(answer)
        stage.check_record(["reply"])


def steps(make, family):
    for scenario in ("weather", "thinking"):
        for ask in ("invoke", "stream"):
            stage = Stage(scenario)
            model = make(family).bind_tools([get_weather])
            said = [HumanMessage(stage.prompt)]
            answer = model.invoke(said) if ask == "invoke" else whole(model.stream(said))
            assert [(call["name"], call["args"]["city"]) for call in answer.tool_calls] == [("get_weather", "Paris"), ("get_weather", "K\u00f6ln")], answer
            said.append(answer)
            said += [ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls]
            last = model.invoke(said) if ask == "invoke" else whole(model.stream(said))
            assert last.text == stage.final and not last.tool_calls, last
            record = stage.check_record(["reply", "reply"])
            kinds = [turn[0] for turn in record[1]["turns"] if turn[0] != "proof"]
            assert kinds == ["user", "assistant", "call", "call", "result", "result"], kinds


def structured(make, family):
    for way in ("json_schema", "function_calling"):
        stage = Stage("object")
        model = make(family).with_structured_output(Place, method=way)
        if family == "deepseek" and way == "json_schema" and make is not messages:
            # It has no schemas, and the client insists on a promise: said before anything is sent. One of Messages cannot.
            try:
                raise AssertionError(model.invoke(stage.prompt))
            except (openai.BadRequestError, anthropic.BadRequestError) as error:
                assert "promises no schema" in str(error), error
            continue
        found = model.invoke(stage.prompt)
        assert found == Place(city="Paris", nonce=stage.nonce), (way, found)
        stage.check_record(["reply"])


def errors(make, family):
    stage = Stage("refused")
    for ask in ("invoke", "stream"):
        try:
            model = make(family, max_retries=0)
            model.invoke(stage.prompt) if ask == "invoke" else whole(model.stream(stage.prompt))
        except (openai.BadRequestError, anthropic.BadRequestError) as error:
            assert "the scripted refusal of " + stage.nonce in str(error), error
        else:
            raise AssertionError("no error")
    stage = Stage("limited")
    start = time.monotonic()
    assert make(family, max_retries=2).bind_tools([get_weather.model_copy(update={"name": "write_file"})]).invoke(stage.prompt).tool_calls
    assert time.monotonic() - start > 0.95, "retry-after did not arrive"
    stage.check_record([429, "reply"])


def broken(make, family):
    """However the upstream breaks off, the text so far is no answer."""
    stage = Stage("broken")
    for way in ("with the connection", "politely"):
        try:
            answer = whole(make(family, max_retries=0).stream(stage.prompt))
        except Exception as error:  # each provider has its own, and transports theirs
            assert not isinstance(error, (TypeError, KeyError, AttributeError)), error
            continue
        raise AssertionError("%s: taken for an answer: %r" % (way, answer))
    stage.check_record(["cut", "cut politely"])


MODELS = {chat: ("messages", "responses"), responses: ("chat", "messages", "deepseek"), messages: ("chat", "responses", "deepseek")}
scenarios = [("%s on %s %s" % (make.__name__, family, case.__name__), functools.partial(case, make, family))
             for make, families in MODELS.items() for family in families for case in (text, steps, structured, errors, broken)]
os.environ["LANGSMITH_TRACING"] = "false"
play.main("langchain", scenarios)
