"""Drives boto3's bedrock-runtime: against Bedrock."""

import boto3
import botocore.config
import botocore.exceptions
from driver import CASE_HEADER, QUESTION, TOOL_ABOUT, TOOL_NAME, TOOL_SCHEMA, Weather
from driver import arguments, drive, weather, whole

MODEL = "anthropic.claude-3-5-sonnet-20240620-v1:0"
MESSAGES = [{"role": "user", "content": [{"text": QUESTION}]}]
ASK = {"modelId": MODEL, "messages": MESSAGES}
TOOL = {"toolSpec": {"name": TOOL_NAME, "description": TOOL_ABOUT, "inputSchema": {"json": TOOL_SCHEMA}}}
ASK_TOOL = {**ASK, "toolConfig": {"tools": [TOOL], "toolChoice": {"any": {}}}}
SESSION = boto3.Session(
    aws_access_key_id="AKIABROWNOUTEXAMPLE1",
    aws_secret_access_key="brownout-example-secret",
    region_name="us-east-1",
)


class ConverseResponse(dict):
    """What boto3 makes of an answer: a dictionary by its service model."""


class ConverseStreamResponse(dict):
    """The same of a stream."""


class CountTokensResponse(dict):
    """The same of a count."""


def client(base, case=None):
    """A client that does not retry."""
    config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=30)
    api = SESSION.client("bedrock-runtime", endpoint_url=base, config=config)
    if case:
        # After signing, as a proxy between the two would.
        def name_case(request, **_):
            request.headers[CASE_HEADER] = case

        api.meta.events.register("before-send", name_case)
    return api


def call(base, failure):
    """One call of the route that a failure is to be met on."""
    api = client(base, failure["id"])
    match failure["route"].split(".")[1]:
        case "converse" if failure["stream"]:
            finish = None
            for event in api.converse_stream(**ASK)["stream"]:
                finish = event.get("messageStop", {}).get("stopReason", finish)
            return ConverseStreamResponse(), finish
        case "converse":
            made = api.converse(**ASK)
            return ConverseResponse(), made["stopReason"]
        case "count-tokens":
            api.count_tokens(modelId=MODEL, input={"converse": {"messages": MESSAGES}})
            return CountTokensResponse(), None


def describe(raised):
    """What the SDK says of a failure."""
    response = getattr(raised, "response", {})
    seen = response.get("ResponseMetadata", {})
    return {
        "status": seen.get("HTTPStatusCode"),
        "code": response.get("Error", {}).get("Code"),
        "request_id": seen.get("RequestId"),
        "official": isinstance(raised, botocore.exceptions.ClientError),
    }


def text_of(message):
    """The text of a message."""
    return "".join(block.get("text", "") for block in message["content"])


def converse(base):
    made = client(base).converse(**ASK)
    whole(text_of(made["output"]["message"]))
    assert made["stopReason"] == "end_turn" and made["usage"]["outputTokens"] > 0
    assert made["metrics"]["latencyMs"] >= 0
    return ConverseResponse()


def converse_stream(base):
    events = list(client(base).converse_stream(**ASK)["stream"])
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    whole("".join(delta["text"] for delta in deltas))
    assert events[0]["messageStart"]["role"] == "assistant"
    assert events[-2]["messageStop"]["stopReason"] == "end_turn"
    assert events[-1]["metadata"]["usage"]["outputTokens"] > 0
    return ConverseStreamResponse()


def tools(base):
    made = client(base).converse(**ASK_TOOL)
    block = next(block for block in made["output"]["message"]["content"] if "toolUse" in block)
    assert block["toolUse"]["name"] == TOOL_NAME and made["stopReason"] == "tool_use"
    arguments(block["toolUse"]["input"])
    return ConverseResponse()


def tools_stream(base):
    name, text = None, ""
    for event in client(base).converse_stream(**ASK_TOOL)["stream"]:
        if "contentBlockStart" in event:
            name = event["contentBlockStart"]["start"]["toolUse"]["name"]
        if "contentBlockDelta" in event:
            text += event["contentBlockDelta"]["delta"].get("toolUse", {}).get("input", "")
    assert name == TOOL_NAME
    arguments(text)
    return ConverseStreamResponse()


def structured(base):
    # Converse has no response format; a tool that must be called stands for it.
    ask = {**ASK, "toolConfig": {"tools": [TOOL], "toolChoice": {"tool": {"name": TOOL_NAME}}}}
    made = client(base).converse(**ask)
    block = next(block for block in made["output"]["message"]["content"] if "toolUse" in block)
    weather(Weather.model_validate(block["toolUse"]["input"]))
    return ConverseResponse()


def count_tokens(base):
    made = client(base).count_tokens(modelId=MODEL, input={"converse": {"messages": MESSAGES}})
    assert made["inputTokens"] > 0
    return CountTokensResponse()


SUCCESSES = {
    "converse": converse,
    "converse, streamed": converse_stream,
    "converse with a tool": tools,
    "converse with a tool, streamed": tools_stream,
    "converse, structured by a tool": structured,
    "token count": count_tokens,
}

if __name__ == "__main__":
    drive(call, {"bedrock": SUCCESSES}, describe)
