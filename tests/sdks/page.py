"""Writes `docs/sdks.md`: a plain function from what was seen to text."""

import inspect
from collections import defaultdict

INTRO = """# What the official SDKs make of it

Every failure of `brownout catalog`, met by the official SDKs of its provider on every route that has it, and every kind of answer.
What is in these tables was seen: `tests/sdks/run.py --write` runs the SDKs, unchanged and without retries, against `brownout serve`, and writes this page; `tests/run` runs them again and fails where the page, or the class that the SDK's own source promises for the failure, is another.

- **raised** is the class that a program would have to catch. Where there is none, the SDK raises nothing, and what it says instead stands there.
- **code** and **type** are what the SDK reads out of the provider's words, and **id** whether it found a request id.
- A failure without a route is the same on all routes that the SDK calls.
- Where versions differ, each has its own value; the newest stands first.
"""

PROVIDERS = {
    "openai": "OpenAI",
    "azure": "Azure OpenAI",
    "openrouter": "OpenRouter",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
    "bedrock": "Bedrock",
    "cohere": "Cohere",
    "mistral": "Mistral",
    "ollama": "Ollama",
}


def render(sdks, seen):
    """The page."""
    by_sdk = defaultdict(list)
    for sdk, version, all_told in seen:
        by_sdk[id(sdk)].append((version, all_told))
    parts = [INTRO, overview(sdks, by_sdk)]
    for sdk in sdks:
        plays = by_sdk[id(sdk)]
        parts.append(f"## {sdk.title}\n")
        parts.append(f"Versions {listed(version for version, _ in plays)}. What it has to raise is held to {source(sdk)}\n")
        for provider in sdk.routes:
            heading = PROVIDERS[provider]
            if rows := failure_rows(plays, provider):
                parts.append(f"### {heading}: failures\n")
                parts.append(table(["failure", "route", "status", "raised", "code", "type", "id"], rows))
            if rows := success_rows(plays, provider):
                parts.append(f"### {heading}: answers\n")
                parts.append(table(["call", "parsed as"], rows))
    return "\n".join(parts).rstrip("\n") + "\n"


def overview(sdks, by_sdk):
    """A line for each SDK."""
    rows = []
    for sdk in sdks:
        plays = by_sdk[id(sdk)]
        ids = {told["id"] for _, all_told in plays for told in all_told if "id" in told}
        calls = {
            (told["provider"], told["success"]) for _, all_told in plays for told in all_told if "success" in told
        }
        versions = listed(version for version, _ in plays)
        providers = listed(PROVIDERS[provider] for provider in sdk.routes)
        rows.append([sdk.title, versions, providers, str(len(ids)), str(len(calls))])
    return table(["SDK", "versions", "providers", "failures", "kinds of answers"], rows)


def failure_rows(plays, provider):
    """A row for each failure, or several where routes differ."""
    # What was seen, by failure, route and version.
    cells = defaultdict(lambda: defaultdict(dict))
    for version, all_told in plays:
        for told in all_told:
            if told.get("id", "").split("/")[0] == provider:
                cells[told["id"]][told["route"].split(".")[1]][version] = outcome(told)
    rows = []
    for name, routes in cells.items():
        _, place, fault, case = name.split("/")
        failure = f"`{fault}: {case}`"
        if place == "stream":
            failure += ", in a stream"
        same = defaultdict(list)
        for route, versions in routes.items():
            merged = tuple(merge({version: seen[column] for version, seen in versions.items()}) for column in range(5))
            same[merged].append(route)
        for merged, alike in same.items():
            status, raised, code, kind, identity = merged
            route = "" if len(same) == 1 else ", ".join(alike)
            rows.append([failure, route, status, raised, code, kind, identity])
    return rows


def outcome(told):
    """What one SDK made of one failure, by column."""
    if "raised" not in told:
        return "", f"nothing: `{told['parsed']}`, {told.get('finish') or 'no finish'}", "", "", ""
    status = told.get("status")
    return (
        "" if status is None else str(status),
        f"`{told['raised']}`",
        quoted(told.get("code")),
        quoted(told.get("type")),
        "yes" if told.get("request_id") else "",
    )


def success_rows(plays, provider):
    """A row for each kind of answer."""
    cells = defaultdict(dict)
    for version, all_told in plays:
        for told in all_told:
            if "success" in told and told["provider"] == provider:
                cells[told["success"]][version] = quoted(told.get("parsed")) or "**not parsed**"
    return [[name, merge(versions)] for name, versions in cells.items()]


def source(sdk):
    """Where it is known from what the SDK should do, and what is peculiar to it."""
    return " ".join(inspect.getdoc(sdk.expect).split())


def merge(by_version):
    """One value if all versions agree, otherwise each with its versions."""
    by_value = defaultdict(list)
    for version, value in by_version.items():
        by_value[value].append(version.split(" ")[0])
    if len(by_value) == 1:
        return next(iter(by_value))
    return "; ".join(f"{value or 'none'} ({', '.join(versions)})" for value, versions in by_value.items())


def quoted(value):
    """A value as code; nothing for nothing."""
    return "" if value is None else f"`{value}`"


def listed(words):
    """Words with commas between them."""
    return ", ".join(words)


def table(head, rows):
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in lines)
