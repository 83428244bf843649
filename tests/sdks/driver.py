"""What the Python drivers have in common: read a task, make its calls, print one JSON line for each.

A task is `{"base": url, "failures": [...], "successes": [provider, ...]}`. A failure names its
provider, the route to call, whether to stream, and the case that the server is to play. What was
raised, or parsed, is told as it was seen; `run.py` judges it.
"""

import json
import re
import sys
import warnings

import pydantic

QUESTION = "Why is the sky blue?"

# The server plays the case that this header names.
CASE_HEADER = "x-brownout-case"

TOOL_NAME = "look_up_weather"
TOOL_ABOUT = "Tells the weather of a city."
TOOL_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}

# The first and the last word of every answer; both end with the name of the attempt.
MARKS = re.compile(r"\AAx([A-Za-z]+)\b.*\bZx\1\Z", re.DOTALL)


class Weather(pydantic.BaseModel):
    """What a structured answer is parsed into."""

    city: str
    days: int


def whole(text):
    """Fails unless the whole text of an answer arrived."""
    assert isinstance(text, str) and MARKS.match(text), f"the text is not whole: {text!r}"


def arguments(text_or_value):
    """Fails unless the arguments of a tool call keep to its schema."""
    value = json.loads(text_or_value) if isinstance(text_or_value, str) else text_or_value
    assert isinstance(value["city"], str) and isinstance(value["days"], int), value


def weather(value):
    """Fails unless a structured answer was parsed into the type that was asked for."""
    assert isinstance(value, Weather), repr(value)


def unit(vector):
    """Fails unless an embedding is a list of numbers as long as one."""
    assert 0.99 < sum(number * number for number in vector) < 1.01, vector[:4]


def public_name(kind):
    """A class's name without its package."""
    return kind.__name__


def drive(call, successes, describe):
    """Does the task on standard input.

    `call(base, failure)` makes the call of a failure and returns what it parsed and how that
    ended; `successes[provider]` is a table of calls, each returning what it parsed; `describe`
    tells status, code and request id of an exception, and the package that it should be from.
    """
    task = json.load(sys.stdin)
    for failure in task["failures"]:
        told = {"id": failure["id"], "route": failure["route"], "stream": failure["stream"]}
        try:
            parsed, finish = call(task["base"], failure)
            told |= {"parsed": public_name(type(parsed)), "finish": finish}
        except Exception as raised:
            told |= {"raised": public_name(type(raised)), **describe(raised)}
            told.setdefault("message", str(raised))
        say(told)
    for provider in task["successes"]:
        for name, succeed in successes[provider].items():
            told = {"success": name, "provider": provider}
            try:
                # What a model does not expect, it warns of.
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    told["parsed"] = public_name(type(succeed(task["base"])))
            except Exception as raised:
                why = raised.__cause__ or raised
                told["failed"] = f"{type(raised).__name__}: {why}"
            say(told)


def say(told):
    """Prints one line."""
    print(json.dumps(told, default=str), flush=True)
