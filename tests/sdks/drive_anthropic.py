"""Drives anthropic: against Anthropic."""

import functools

import anthropic
from driver import CASE_HEADER, QUESTION, TOOL_ABOUT, TOOL_NAME, TOOL_SCHEMA, Weather
from driver import arguments, drive, weather, whole

MODEL = "claude-haiku-4-5"
MESSAGES = [{"role": "user", "content": QUESTION}]
TOOL = {"name": TOOL_NAME, "description": TOOL_ABOUT, "input_schema": TOOL_SCHEMA}
ASK = {"model": MODEL, "max_tokens": 500, "messages": MESSAGES}
ASK_TOOL = {**ASK, "tools": [TOOL], "tool_choice": {"type": "any"}}


@functools.cache
def client(base, strict=True):
    """A client that does not retry and, if strict, takes nothing but what fits the SDK's models."""
    return anthropic.Anthropic(
        base_url=base,
        api_key="sk-ant-brownout-example-key",
        max_retries=0,
        timeout=30,
        _strict_response_validation=strict,
    )


def call(base, failure):
    """One call of the route that a failure is to be met on."""
    api = client(base, strict=False).with_options(default_headers={CASE_HEADER: failure["id"]})
    match failure["route"].split(".")[1]:
        case "messages" if failure["stream"]:
            finish = None
            for event in api.messages.create(**ASK, stream=True):
                if event.type == "message_delta":
                    finish = event.delta.stop_reason
            return event, finish
        case "messages":
            made = api.messages.create(**ASK)
            return made, made.stop_reason
        case "count-tokens":
            return api.messages.count_tokens(model=MODEL, messages=MESSAGES), None
        case "models" if "/not-found/" in failure["id"]:
            return api.models.retrieve(MODEL), None
        case "models":
            return api.models.list(), None


def describe(raised):
    """What the SDK says of a failure."""
    body = getattr(raised, "body", None)
    error = body.get("error") if isinstance(body, dict) else None
    return {
        "status": getattr(raised, "status_code", None),
        "code": getattr(raised, "error_code", None),
        # Older versions have it in the body only.
        "type": getattr(raised, "type", error.get("type") if isinstance(error, dict) else None),
        "request_id": getattr(raised, "request_id", None),
        "official": isinstance(raised, anthropic.APIError),
    }


def message(base):
    made = client(base).messages.create(**ASK)
    whole(made.content[0].text)
    assert made.stop_reason == "end_turn" and made.usage.output_tokens > 0
    return made


def message_stream(base):
    parts = []
    for event in client(base).messages.create(**ASK, stream=True):
        if event.type == "content_block_delta":
            parts.append(event.delta.text)
    whole("".join(parts))
    assert event.type == "message_stop", event.type
    return event


def message_stream_helper(base):
    with client(base).messages.stream(**ASK) as stream:
        whole("".join(stream.text_stream))
        made = stream.get_final_message()
    whole(made.content[0].text)
    assert made.stop_reason == "end_turn" and made.usage.output_tokens > 0
    return made


def tools(base):
    made = client(base).messages.create(**ASK_TOOL)
    block = next(block for block in made.content if block.type == "tool_use")
    assert block.name == TOOL_NAME and made.stop_reason == "tool_use"
    arguments(block.input)
    return made


def tools_stream(base):
    with client(base).messages.stream(**ASK_TOOL) as stream:
        made = stream.get_final_message()
    block = next(block for block in made.content if block.type == "tool_use")
    assert block.name == TOOL_NAME and made.stop_reason == "tool_use"
    arguments(block.input)
    return made


def structured(base):
    made = client(base).messages.parse(**ASK, output_format=Weather)
    weather(made.parsed_output)
    return made


def count_tokens(base):
    made = client(base).messages.count_tokens(model=MODEL, messages=MESSAGES)
    assert made.input_tokens > 0
    return made


def models(base):
    made = client(base).models.list()
    assert len(list(made)) > 0
    return made.data[0]


def model(base):
    made = client(base).models.retrieve(MODEL)
    assert made.type == "model"
    return made


SUCCESSES = {
    "message": message,
    "message, streamed": message_stream,
    "message, streamed by the helper": message_stream_helper,
    "message with a tool": tools,
    "message with a tool, streamed": tools_stream,
    "message, structured": structured,
    "token count": count_tokens,
    "models": models,
    "one model": model,
}

if __name__ == "__main__":
    drive(call, {"anthropic": SUCCESSES}, describe)
