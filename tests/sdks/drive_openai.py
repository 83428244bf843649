"""Drives openai: against OpenAI, Azure OpenAI and OpenRouter."""

import functools

import openai
from driver import CASE_HEADER, QUESTION, TOOL_ABOUT, TOOL_NAME, TOOL_SCHEMA, Weather
from driver import arguments, drive, unit, weather, whole

MESSAGES = [{"role": "user", "content": QUESTION}]
CHAT_TOOL = {
    "type": "function",
    "function": {"name": TOOL_NAME, "description": TOOL_ABOUT, "parameters": TOOL_SCHEMA, "strict": True},
}
TOOL = {
    "type": "function",
    "name": TOOL_NAME,
    "description": TOOL_ABOUT,
    "parameters": TOOL_SCHEMA,
    "strict": True,
}
MODELS = {
    "openai": {"generate": "gpt-4o-mini", "completions": "gpt-3.5-turbo-instruct"},
    "azure": {"generate": "gpt-4o-mini", "completions": "gpt-35-turbo-instruct"},
    "openrouter": {"generate": "openai/gpt-4o-mini"},
}
EMBEDDING_MODEL = "text-embedding-3-small"


# Where the providers themselves are laxer than the models of the SDK: what they were recorded to
# send does not validate, and the SDK takes it all the same.
LAX = {
    "responses": "a usage without `cache_write_tokens`, which the newest model has",
    "completions, streamed": "`finish_reason` is null until the end, and Azure's first `object` is empty",
    "embeddings, base64": "the SDK asks for base64, and decodes it after the model",
    ("azure", "chat, streamed"): "the `object` of the first event is empty",
    ("azure", "chat with a tool, streamed"): "the `object` of the first event is empty",
    ("openrouter", "models"): "a model has neither `object` nor `owned_by`",
}


@functools.cache
def client(base, provider, strict):
    """A client that does not retry and, if strict, takes nothing but what fits the SDK's models."""
    options = {
        "api_key": "sk-brownout-example-key",
        "max_retries": 0,
        "timeout": 30,
        "_strict_response_validation": strict,
    }
    if provider == "azure":
        return openai.AzureOpenAI(azure_endpoint=base, api_version="2025-04-01-preview", **options)
    path = {"openai": "/v1", "openrouter": "/openrouter/api/v1"}[provider]
    return openai.OpenAI(base_url=base + path, **options)


def end(made):
    """How an answer ended."""
    if choices := getattr(made, "choices", None):
        message = getattr(choices[0], "message", None)
        return "refusal" if message and message.refusal else choices[0].finish_reason
    parts = [part for item in made.output for part in getattr(item, "content", None) or []]
    return "refusal" if any(part.type == "refusal" for part in parts) else made.status


def read(stream):
    """The last event of a stream that matters, and how it ended."""
    last, finish = None, None
    for event in stream:
        last = event
        if choices := getattr(event, "choices", None):
            finish = choices[0].finish_reason or finish
        kind = getattr(event, "type", None)
        if kind == "error":
            return event, f"error event: {event.code}"
        if kind == "response.failed":
            return event, f"failed: {event.response.error.code}"
        if kind == "response.incomplete":
            return event, f"incomplete: {event.response.incomplete_details.reason}"
        if kind == "response.completed":
            finish = "completed"
    return last, finish


def call(base, failure):
    """One call of the route that a failure is to be met on."""
    provider, route = failure["provider"], failure["route"].split(".")[1]
    api = client(base, provider, False).with_options(default_headers={CASE_HEADER: failure["id"]})
    model = MODELS[provider].get(route, MODELS[provider]["generate"])
    match route:
        case "chat":
            made = api.chat.completions.create(model=model, messages=MESSAGES, stream=failure["stream"])
        case "responses":
            made = api.responses.create(model=model, input=QUESTION, stream=failure["stream"])
        case "completions":
            made = api.completions.create(model=model, prompt=QUESTION, stream=failure["stream"])
        case "embeddings":
            return api.embeddings.create(model=EMBEDDING_MODEL, input=QUESTION), None
        case "models" if provider == "openai" and "/not-found/" in failure["id"]:
            return api.models.retrieve(model), None
        case "models":
            return api.models.list(), None
    if failure["stream"]:
        return read(made)
    return made, end(made)


def describe(raised):
    """What the SDK says of a failure."""
    return {
        "status": getattr(raised, "status_code", None),
        "code": getattr(raised, "code", None),
        "type": getattr(raised, "type", None),
        "request_id": getattr(raised, "request_id", None),
        "official": isinstance(raised, openai.APIError),
    }


def successes(provider):
    """Every kind of call that the provider answers."""
    model = MODELS[provider]["generate"]

    lax = False

    def api(base):
        return client(base, provider, not lax)

    def chat(base):
        made = api(base).chat.completions.create(model=model, messages=MESSAGES)
        whole(made.choices[0].message.content)
        assert made.choices[0].finish_reason == "stop" and made.usage.completion_tokens > 0
        return made

    def chat_stream(base):
        parts, usage = [], None
        options = {"include_usage": True}
        for chunk in api(base).chat.completions.create(
            model=model, messages=MESSAGES, stream=True, stream_options=options
        ):
            parts += [choice.delta.content or "" for choice in chunk.choices]
            usage = chunk.usage or usage
        whole("".join(parts))
        assert usage.completion_tokens > 0
        return chunk

    def chat_tools(base):
        made = api(base).chat.completions.create(
            model=model, messages=MESSAGES, tools=[CHAT_TOOL], tool_choice="required"
        )
        tool_call = made.choices[0].message.tool_calls[0]
        assert tool_call.function.name == TOOL_NAME and made.choices[0].finish_reason == "tool_calls"
        arguments(tool_call.function.arguments)
        return made

    def chat_tools_stream(base):
        name, text = "", ""
        for chunk in api(base).chat.completions.create(
            model=model, messages=MESSAGES, tools=[CHAT_TOOL], tool_choice="required", stream=True
        ):
            for choice in chunk.choices:
                for part in choice.delta.tool_calls or []:
                    name += part.function.name or ""
                    text += part.function.arguments or ""
        assert name == TOOL_NAME, name
        arguments(text)
        return chunk

    def chat_structured(base):
        made = api(base).chat.completions.parse(model=model, messages=MESSAGES, response_format=Weather)
        weather(made.choices[0].message.parsed)
        return made

    def chat_choices(base):
        made = api(base).chat.completions.create(model=model, messages=MESSAGES, n=2)
        assert [choice.index for choice in made.choices] == [0, 1]
        for choice in made.choices:
            whole(choice.message.content)
        return made

    def responses(base):
        made = api(base).responses.create(model=model, input=QUESTION)
        whole(made.output_text)
        assert made.status == "completed" and made.usage.output_tokens > 0
        return made

    def responses_stream(base):
        parts = []
        for event in api(base).responses.create(model=model, input=QUESTION, stream=True):
            if event.type == "response.output_text.delta":
                parts.append(event.delta)
        whole("".join(parts))
        assert event.type == "response.completed", event.type
        whole(event.response.output_text)
        return event

    def responses_tools(base):
        made = api(base).responses.create(model=model, input=QUESTION, tools=[TOOL], tool_choice="required")
        item = next(item for item in made.output if item.type == "function_call")
        assert item.name == TOOL_NAME
        arguments(item.arguments)
        return made

    def responses_structured(base):
        made = api(base).responses.parse(model=model, input=QUESTION, text_format=Weather)
        weather(made.output_parsed)
        return made

    def completions(base):
        made = api(base).completions.create(
            model=MODELS[provider]["completions"], prompt=QUESTION, max_tokens=200
        )
        whole(made.choices[0].text.strip())
        return made

    def completions_stream(base):
        chunks = list(
            api(base).completions.create(
                model=MODELS[provider]["completions"], prompt=QUESTION, stream=True, max_tokens=200
            )
        )
        whole("".join(choice.text for chunk in chunks for choice in chunk.choices).strip())
        return chunks[-1]

    def embeddings(base):
        # The SDK asks for base64 by itself and decodes it.
        made = api(base).embeddings.create(model=EMBEDDING_MODEL, input=[QUESTION, "Another."])
        assert len(made.data) == 2 and len(made.data[0].embedding) == 1536
        unit(made.data[0].embedding)
        return made

    def embeddings_float(base):
        made = api(base).embeddings.create(
            model=EMBEDDING_MODEL, input=QUESTION, encoding_format="float", dimensions=256
        )
        assert len(made.data[0].embedding) == 256
        unit(made.data[0].embedding)
        return made

    def models(base):
        made = api(base).models.list()
        assert len(list(made)) > 0
        return made.data[0]

    table = {
        "chat": chat,
        "chat, streamed": chat_stream,
        "chat with a tool": chat_tools,
        "chat with a tool, streamed": chat_tools_stream,
        "chat, structured": chat_structured,
        "chat, n = 2": chat_choices,
        "responses": responses,
        "responses, streamed": responses_stream,
        "responses with a tool": responses_tools,
        "responses, structured": responses_structured,
        "completions": completions,
        "completions, streamed": completions_stream,
        "embeddings, base64": embeddings,
        "embeddings, float": embeddings_float,
        "models": models,
    }
    unknown = {
        "openai": [],
        "azure": ["models"],
        "openrouter": [name for name in table if not name.startswith(("chat", "models"))] + ["chat, n = 2"],
    }
    def as_strict_as_it_gets(name, succeed):
        def succeed_so(base):
            nonlocal lax
            lax = name in LAX or name.split(",")[0].split(" with")[0] in LAX or (provider, name) in LAX
            return succeed(base)

        return succeed_so

    return {
        name: as_strict_as_it_gets(name, succeed)
        for name, succeed in table.items()
        if name not in unknown[provider]
    }


if __name__ == "__main__":
    drive(call, {provider: successes(provider) for provider in MODELS}, describe)
