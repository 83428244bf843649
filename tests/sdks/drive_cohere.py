"""Drives cohere: against Cohere."""

import cohere
from cohere.core.api_error import ApiError
from driver import CASE_HEADER, QUESTION, TOOL_ABOUT, TOOL_NAME, TOOL_SCHEMA, Weather
from driver import arguments, drive, weather, whole

MODEL = "command-a-03-2025"
EMBEDDING_MODEL = "embed-v4.0"
ASK = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}]}
TOOL = {
    "type": "function",
    "function": {"name": TOOL_NAME, "description": TOOL_ABOUT, "parameters": TOOL_SCHEMA},
}
ASK_TOOL = {**ASK, "tools": [TOOL], "tool_choice": "REQUIRED"}


def client(base):
    """A client that does not retry."""
    return cohere.ClientV2(
        "brownout-example-key",
        base_url=f"{base}/cohere",
        timeout=30,
        max_retries=0,
        log_warning_experimental_features=False,
    )


def call(base, failure):
    """One call of the route that a failure is to be met on."""
    api = client(base)
    options = {"additional_headers": {CASE_HEADER: failure["id"]}, "max_retries": 0}
    match failure["route"].split(".")[1]:
        case "chat" if failure["stream"]:
            finish = None
            for event in api.chat_stream(**ASK, request_options=options):
                if event.type == "message-end":
                    finish = event.delta.finish_reason
            return event, finish
        case "chat":
            made = api.chat(**ASK, request_options=options)
            return made, made.finish_reason
        case "embed":
            made = api.embed(
                model=EMBEDDING_MODEL,
                input_type="search_query",
                embedding_types=["float"],
                texts=[QUESTION],
                request_options=options,
            )
            return made, None


def describe(raised):
    """What the SDK says of a failure."""
    body = getattr(raised, "body", None)
    headers = getattr(raised, "headers", None) or {}
    words = body if isinstance(body, dict) else {}
    return {
        "status": getattr(raised, "status_code", None),
        "code": words.get("error_type"),
        "request_id": headers.get("x-debug-trace-id"),
        "message": words.get("message") or str(body),
        "official": isinstance(raised, ApiError),
    }


def checked(made):
    """The answer, after the SDK's own model has validated it: the SDK itself only fills it in."""
    type(made).model_validate(made.model_dump())
    return made


def chat(base):
    made = checked(client(base).chat(**ASK))
    whole(made.message.content[0].text)
    assert made.finish_reason == "COMPLETE" and made.usage.tokens.output_tokens > 0
    return made


def chat_stream(base):
    parts = []
    for event in client(base).chat_stream(**ASK):
        checked(event)
        if event.type == "content-delta":
            parts.append(event.delta.message.content.text)
    whole("".join(parts))
    assert event.type == "message-end" and event.delta.finish_reason == "COMPLETE"
    assert event.delta.usage.tokens.output_tokens > 0
    return event


def tools(base):
    made = checked(client(base).chat(**ASK_TOOL))
    tool_call = made.message.tool_calls[0]
    assert tool_call.function.name == TOOL_NAME and made.finish_reason == "TOOL_CALL"
    arguments(tool_call.function.arguments)
    return made


def tools_stream(base):
    name, text = "", ""
    for event in client(base).chat_stream(**ASK_TOOL):
        checked(event)
        if event.type == "tool-call-start":
            name = event.delta.message.tool_calls.function.name
            text += event.delta.message.tool_calls.function.arguments or ""
        if event.type == "tool-call-delta":
            text += event.delta.message.tool_calls.function.arguments
    assert name == TOOL_NAME and event.delta.finish_reason == "TOOL_CALL"
    arguments(text)
    return event


def structured(base):
    wanted = {"type": "json_object", "schema": TOOL_SCHEMA}
    made = checked(client(base).chat(**ASK, response_format=wanted))
    weather(Weather.model_validate_json(made.message.content[0].text))
    return made


def embed(base):
    made = checked(
        client(base).embed(
            model=EMBEDDING_MODEL,
            input_type="search_query",
            embedding_types=["float"],
            texts=[QUESTION, "Another."],
        )
    )
    assert len(made.embeddings.float_) == 2 and len(made.embeddings.float_[0]) == 1536
    return made


SUCCESSES = {
    "chat": chat,
    "chat, streamed": chat_stream,
    "chat with a tool": tools,
    "chat with a tool, streamed": tools_stream,
    "chat, structured": structured,
    "embeddings": embed,
}

if __name__ == "__main__":
    drive(call, {"cohere": SUCCESSES}, describe)
