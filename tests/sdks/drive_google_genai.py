"""Drives google-genai: against Gemini."""

from driver import CASE_HEADER, QUESTION, TOOL_ABOUT, TOOL_NAME, TOOL_SCHEMA, Weather
from driver import arguments, drive, weather, whole
from google import genai
from google.genai import errors, types

MODEL = "gemini-2.5-flash"
EMBEDDING_MODEL = "gemini-embedding-001"
TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name=TOOL_NAME, description=TOOL_ABOUT, parameters_json_schema=TOOL_SCHEMA)
    ]
)
MUST_CALL = types.GenerateContentConfig(
    tools=[TOOL],
    tool_config=types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode="ANY")),
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)


# A client that is let go closes its connections, even while one of its parts is in use.
KEPT = []


def client(base, case=None):
    """A client; it does not retry unless asked to."""
    headers = {CASE_HEADER: case} if case else {}
    options = types.HttpOptions(base_url=base, headers=headers, timeout=30_000)
    KEPT.append(genai.Client(api_key="brownout-example-key", http_options=options))
    return KEPT[-1]


def end(made):
    """How an answer ended."""
    feedback = made.prompt_feedback
    if feedback and feedback.block_reason:
        return feedback.block_reason.name
    reason = made.candidates and made.candidates[0].finish_reason
    return reason.name if reason else None


def call(base, failure):
    """One call of the route that a failure is to be met on."""
    api = client(base, failure["id"])
    match failure["route"].split(".")[1]:
        case "generate" if failure["stream"]:
            finish = None
            for made in api.models.generate_content_stream(model=MODEL, contents=QUESTION):
                finish = end(made) or finish
            return made, finish
        case "generate":
            made = api.models.generate_content(model=MODEL, contents=QUESTION)
            return made, end(made)
        case "count-tokens":
            return api.models.count_tokens(model=MODEL, contents=QUESTION), None
        case "embed":
            return api.models.embed_content(model=EMBEDDING_MODEL, contents=QUESTION), None
        case "models":
            return list(api.models.list())[0], None


def describe(raised):
    """What the SDK says of a failure."""
    return {
        "status": getattr(raised, "code", None),
        "code": getattr(raised, "status", None),
        "message": getattr(raised, "message", None) or str(raised),
        "official": isinstance(raised, errors.APIError),
    }


def generate(base):
    made = client(base).models.generate_content(model=MODEL, contents=QUESTION)
    whole(made.text)
    assert end(made) == "STOP" and made.usage_metadata.candidates_token_count > 0
    return made


def generate_stream(base):
    parts = []
    for made in client(base).models.generate_content_stream(model=MODEL, contents=QUESTION):
        parts.append(made.text or "")
    whole("".join(parts))
    assert end(made) == "STOP" and made.usage_metadata.candidates_token_count > 0
    return made


def tools(base):
    made = client(base).models.generate_content(model=MODEL, contents=QUESTION, config=MUST_CALL)
    function_call = made.function_calls[0]
    assert function_call.name == TOOL_NAME
    arguments(function_call.args)
    return made


def tools_stream(base):
    calls = []
    for made in client(base).models.generate_content_stream(
        model=MODEL, contents=QUESTION, config=MUST_CALL
    ):
        calls += made.function_calls or []
    assert calls[0].name == TOOL_NAME
    arguments(calls[0].args)
    return made


def structured(base):
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Weather)
    made = client(base).models.generate_content(model=MODEL, contents=QUESTION, config=config)
    weather(made.parsed)
    return made


def candidates(base):
    config = types.GenerateContentConfig(candidate_count=2)
    made = client(base).models.generate_content(model=MODEL, contents=QUESTION, config=config)
    assert len(made.candidates) == 2
    for candidate in made.candidates:
        whole(candidate.content.parts[0].text)
    return made


def count_tokens(base):
    made = client(base).models.count_tokens(model=MODEL, contents=QUESTION)
    assert made.total_tokens > 0
    return made


def embed(base):
    made = client(base).models.embed_content(model=EMBEDDING_MODEL, contents=[QUESTION, "Another."])
    assert len(made.embeddings) == 2 and len(made.embeddings[0].values) == 3072
    return made


def models(base):
    return list(client(base).models.list())[0]


SUCCESSES = {
    "content": generate,
    "content, streamed": generate_stream,
    "content with a tool": tools,
    "content with a tool, streamed": tools_stream,
    "content, structured": structured,
    "content, two candidates": candidates,
    "token count": count_tokens,
    "embeddings": embed,
    "models": models,
}

if __name__ == "__main__":
    drive(call, {"gemini": SUCCESSES}, describe)
