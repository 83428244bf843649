"""Drives ollama: against Ollama."""

import ollama
from driver import CASE_HEADER, QUESTION, TOOL_ABOUT, TOOL_NAME, TOOL_SCHEMA, Weather
from driver import arguments, drive, weather, whole

MODEL = "llama3.2"
EMBEDDING_MODEL = "nomic-embed-text"
ASK = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}]}
TOOL = {
    "type": "function",
    "function": {
        "name": TOOL_NAME,
        "description": TOOL_ABOUT,
        "parameters": {key: TOOL_SCHEMA[key] for key in ("type", "properties", "required")},
    },
}


def client(base, case=None):
    """A client; it never retries."""
    return ollama.Client(f"{base}/ollama", headers={CASE_HEADER: case} if case else {}, timeout=30)


def call(base, failure):
    """One call of the route that a failure is to be met on."""
    api, stream = client(base, failure["id"]), failure["stream"]
    match failure["route"].split(".")[1]:
        case "chat":
            made = api.chat(**ASK, stream=stream)
        case "generate":
            made = api.generate(model=MODEL, prompt=QUESTION, stream=stream)
        case "embed":
            return api.embed(model=EMBEDDING_MODEL, input=QUESTION), None
        case "models":
            return api.list(), None
    made = list(made)[-1] if stream else made
    return made, made.done_reason


def describe(raised):
    """What the SDK says of a failure."""
    return {
        "status": getattr(raised, "status_code", None),
        "message": getattr(raised, "error", str(raised)),
        "official": isinstance(raised, ollama.ResponseError),
    }


def chat(base):
    made = client(base).chat(**ASK)
    whole(made.message.content)
    assert made.done_reason == "stop" and made.eval_count > 0
    return made


def chat_stream(base):
    parts = list(client(base).chat(**ASK, stream=True))
    whole("".join(part.message.content for part in parts))
    assert parts[-1].done and parts[-1].eval_count > 0
    return parts[-1]


def tools(base):
    # Ollama cannot be told to call a tool, so the server is.
    made = client(base, "a tool call").chat(**ASK, tools=[TOOL])
    tool_call = made.message.tool_calls[0]
    assert tool_call.function.name == TOOL_NAME
    arguments(tool_call.function.arguments)
    return made


def tools_stream(base):
    parts = list(client(base, "a tool call").chat(**ASK, tools=[TOOL], stream=True))
    calls = [tool_call for part in parts for tool_call in part.message.tool_calls or []]
    assert calls[0].function.name == TOOL_NAME and parts[-1].done
    arguments(calls[0].function.arguments)
    return parts[-1]


def structured(base):
    made = client(base).chat(**ASK, format=Weather.model_json_schema())
    weather(Weather.model_validate_json(made.message.content))
    return made


def generate(base):
    made = client(base).generate(model=MODEL, prompt=QUESTION)
    whole(made.response)
    return made


def generate_stream(base):
    parts = list(client(base).generate(model=MODEL, prompt=QUESTION, stream=True))
    whole("".join(part.response for part in parts))
    return parts[-1]


def embed(base):
    made = client(base).embed(model=EMBEDDING_MODEL, input=[QUESTION, "Another."])
    assert len(made.embeddings) == 2
    return made


def models(base):
    made = client(base).list()
    assert len(made.models) > 0
    return made


SUCCESSES = {
    "chat": chat,
    "chat, streamed": chat_stream,
    "chat with a tool": tools,
    "chat with a tool, streamed": tools_stream,
    "chat, structured": structured,
    "generate": generate,
    "generate, streamed": generate_stream,
    "embeddings": embed,
    "models": models,
}

if __name__ == "__main__":
    drive(call, {"ollama": SUCCESSES}, describe)
