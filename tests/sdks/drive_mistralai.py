"""Drives mistralai: against Mistral."""

import json

from driver import CASE_HEADER, QUESTION, TOOL_ABOUT, TOOL_NAME, TOOL_SCHEMA, Weather
from driver import arguments, drive, unit, weather, whole
from mistralai.client import Mistral, errors

MODEL = "mistral-small-latest"
EMBEDDING_MODEL = "mistral-embed"
ASK = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}]}
TOOL = {
    "type": "function",
    "function": {"name": TOOL_NAME, "description": TOOL_ABOUT, "parameters": TOOL_SCHEMA},
}
ASK_TOOL = {**ASK, "tools": [TOOL], "tool_choice": "any"}


def client(base):
    """A client; it does not retry unless asked to."""
    return Mistral(api_key="brownout-example-key", server_url=f"{base}/mistral", timeout_ms=30_000)


def call(base, failure):
    """One call of the route that a failure is to be met on."""
    api, headers = client(base), {CASE_HEADER: failure["id"]}
    match failure["route"].split(".")[1]:
        case "chat" if failure["stream"]:
            finish = None
            with api.chat.stream(**ASK, http_headers=headers) as stream:
                for event in stream:
                    finish = event.data.choices[0].finish_reason or finish
            return event, finish
        case "chat":
            made = api.chat.complete(**ASK, http_headers=headers)
            return made, made.choices[0].finish_reason
        case "embeddings":
            return api.embeddings.create(model=EMBEDDING_MODEL, inputs=[QUESTION], http_headers=headers), None
        case "models":
            return api.models.list(http_headers=headers), None


def describe(raised):
    """What the SDK says of a failure; the provider's words it keeps as a text."""
    headers = getattr(raised, "headers", {})
    try:
        body = json.loads(getattr(raised, "body", ""))
    except ValueError:
        body = {}
    return {
        "status": getattr(raised, "status_code", None),
        "code": body.get("code"),
        "type": body.get("type"),
        "request_id": headers.get("mistral-correlation-id") or headers.get("x-kong-request-id"),
        "official": isinstance(raised, errors.MistralError),
    }


def chat(base):
    made = client(base).chat.complete(**ASK)
    whole(made.choices[0].message.content)
    assert made.choices[0].finish_reason == "stop" and made.usage.completion_tokens > 0
    return made


def chat_stream(base):
    with client(base).chat.stream(**ASK) as stream:
        events = list(stream)
    whole("".join(event.data.choices[0].delta.content or "" for event in events))
    assert events[-1].data.choices[0].finish_reason == "stop"
    assert events[-1].data.usage.completion_tokens > 0
    return events[-1].data


def tools(base):
    made = client(base).chat.complete(**ASK_TOOL)
    tool_call = made.choices[0].message.tool_calls[0]
    assert tool_call.function.name == TOOL_NAME and made.choices[0].finish_reason == "tool_calls"
    arguments(tool_call.function.arguments)
    return made


def tools_stream(base):
    with client(base).chat.stream(**ASK_TOOL) as stream:
        events = list(stream)
    calls = [one for event in events for one in event.data.choices[0].delta.tool_calls or []]
    assert calls[0].function.name == TOOL_NAME
    arguments(calls[0].function.arguments)
    return events[-1].data


def structured(base):
    made = client(base).chat.parse(response_format=Weather, **ASK)
    weather(made.choices[0].message.parsed)
    return made


def choices(base):
    made = client(base).chat.complete(**ASK, n=2)
    assert [choice.index for choice in made.choices] == [0, 1]
    for choice in made.choices:
        whole(choice.message.content)
    return made


def embeddings(base):
    made = client(base).embeddings.create(model=EMBEDDING_MODEL, inputs=[QUESTION, "Another."])
    assert len(made.data) == 2 and len(made.data[0].embedding) == 1024
    unit(made.data[0].embedding)
    return made


def models(base):
    made = client(base).models.list()
    assert len(made.data) > 0
    return made


SUCCESSES = {
    "chat": chat,
    "chat, streamed": chat_stream,
    "chat with a tool": tools,
    "chat with a tool, streamed": tools_stream,
    "chat, structured": structured,
    "chat, n = 2": choices,
    "embeddings": embeddings,
    "models": models,
}

if __name__ == "__main__":
    drive(call, {"mistral": SUCCESSES}, describe)
