#!/usr/bin/env python3
"""Meets every failure and every kind of answer with the official SDKs, and checks what they make of it.

    run.py [--write] [--only SDK] [BROWNOUT]

Each failure of `brownout catalog` is played to the SDKs of its provider, on each route and, where it
is one of a stream, in a stream. What they raise is compared with `expected.py`, which says it by the
SDKs' sources; what differs is a failure of this program. What was seen is `docs/sdks.md`: with
`--write` it is written, without, it has to be what was seen.
"""

import argparse
import concurrent.futures
import difflib
import importlib.metadata
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field

import expected
from driver import TOOL_NAME

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PAGE = ROOT / "docs" / "sdks.md"
OLDER = ROOT / ".venv" / "older"
NODE_MODULES = ROOT / "tests" / "node_modules"


@dataclass
class Sdk:
    """One SDK in one language, with the providers that it is meant for and the routes it calls."""

    name: str
    language: str
    program: str
    expect: object
    routes: dict
    # The packages that hold it, the newest first; of Node, by the names in package.json.
    packages: list = field(default_factory=list)
    # How it calls the end of an answer.
    finish: object = str

    @property
    def title(self):
        return f"`{self.name}` ({self.language})"


OPENAI_ROUTES = ["chat", "responses", "completions", "embeddings", "models"]
OPENAI_PROVIDERS = {
    "openai": OPENAI_ROUTES,
    "azure": ["chat", "responses", "completions", "embeddings"],
    "openrouter": ["chat", "models"],
}
ANTHROPIC_PROVIDERS = {"anthropic": ["messages", "count-tokens", "models"]}
SDKS = [
    Sdk("openai", "Python", "drive_openai.py", expected.openai_python, OPENAI_PROVIDERS),
    Sdk("openai", "Node", "drive_openai.mjs", expected.openai_node, OPENAI_PROVIDERS, [["openai"], ["openai-6"]]),
    Sdk(
        "ai",
        "Node",
        "drive_ai.mjs",
        expected.ai,
        {"openai": ["chat", "responses", "completions", "embeddings"]},
        [["ai", "@ai-sdk/openai"], ["ai-6", "@ai-sdk/openai-3"]],
        finish=expected.ai_finish,
    ),
    Sdk("async-openai", "Rust", "async-openai/Cargo.toml", expected.async_openai, {"openai": OPENAI_ROUTES}),
    Sdk("anthropic", "Python", "drive_anthropic.py", expected.anthropic_python, ANTHROPIC_PROVIDERS),
    Sdk(
        "@anthropic-ai/sdk",
        "Node",
        "drive_anthropic.mjs",
        expected.anthropic_node,
        ANTHROPIC_PROVIDERS,
        [["@anthropic-ai/sdk"]],
    ),
    Sdk(
        "google-genai",
        "Python",
        "drive_google_genai.py",
        expected.google_genai,
        {"gemini": ["generate", "count-tokens", "embed", "models"]},
    ),
    Sdk("boto3", "Python", "drive_bedrock.py", expected.bedrock, {"bedrock": ["converse", "count-tokens"]}),
    Sdk("cohere", "Python", "drive_cohere.py", expected.cohere, {"cohere": ["chat", "embed"]}),
    Sdk(
        "mistralai",
        "Python",
        "drive_mistralai.py",
        expected.mistralai,
        {"mistral": ["chat", "embeddings", "models"]},
    ),
    Sdk(
        "ollama",
        "Python",
        "drive_ollama.py",
        expected.ollama,
        {"ollama": ["chat", "generate", "embed", "models"]},
    ),
]

# The routes that answer piece by piece.
STREAMING = {"chat", "responses", "completions", "messages", "generate", "converse"}


def identity(entry):
    """A failure's name in the header that selects it."""
    return "/".join(entry[key] for key in ("provider", "place", "fault", "case"))


def runs(sdk):
    """The versions of an SDK that are installed, each with its command and its environment."""
    if sdk.language == "Python":
        yield importlib.metadata.version(sdk.name), [sys.executable, sdk.program], {}
        for folder in sorted(OLDER.glob(f"{sdk.name}==*"), key=newest_first):
            yield folder.name.split("==")[1], [sys.executable, sdk.program], {"PYTHONPATH": str(folder)}
        return
    if sdk.language == "Rust":
        manifest = HERE / sdk.program
        target = ROOT / "target" / "sdks"
        subprocess.run(
            ["cargo", "build", "--quiet", "--locked", "--manifest-path", manifest, "--target-dir", target], check=True
        )
        lock = tomllib.loads(manifest.with_name("Cargo.lock").read_text())
        version = next(package["version"] for package in lock["package"] if package["name"] == sdk.name)
        yield version, [str(target / "debug" / f"drive-{sdk.name}")], {}
        return
    for packages in sdk.packages:
        manifests = [json.loads((NODE_MODULES / name / "package.json").read_text()) for name in packages]
        version = " with ".join(
            [manifests[0]["version"]] + [f"{one['name']} {one['version']}" for one in manifests[1:]]
        )
        environment = dict(zip(["SDK", "PROVIDER"], packages))
        yield version, ["node", sdk.program], environment


def newest_first(folder):
    """Sorts versions."""
    return [-int(part) for part in folder.name.split("==")[1].split(".")]


def failures(sdk, entries):
    """What an SDK has to meet: each failure on each route."""
    for entry in entries:
        in_stream = entry["place"] == "stream"
        for route in entry["routes"]:
            called = route.split(".")[1]
            if called not in sdk.routes.get(entry["provider"], []) or (in_stream and called not in STREAMING):
                continue
            yield {"id": identity(entry), "provider": entry["provider"], "route": route, "stream": in_stream}


def scenario(entries):
    """A scenario that plays whatever case the header names."""
    faults = {}
    for entry in entries:
        fault = {entry["fault"]: {"case": entry["case"]}}
        if entry["place"] == "stream":
            fault = {"stream-error": {"error": entry["fault"], "case": entry["case"], "after": 2}}
        faults[identity(entry)] = (entry["provider"], fault)
    # The provider is enough: where several routes share a name, each plays its own.
    rules = [
        {"when": {"provider": provider, "header": {"x-brownout-case": case}}, "fault": fault}
        for case, (provider, fault) in faults.items()
    ]
    # Ollama cannot be told to call a tool: its model decides.
    script = [{"answer": {"call": TOOL_NAME}}]
    rules.append({"when": {"header": {"x-brownout-case": "a tool call"}}, "script": script, "then": "repeat-last"})
    # JSON is YAML.
    return json.dumps({"brownout": 1, "name": "whatever the header names", "rules": rules}, indent=1)


def environment(extra):
    """This program's environment without what would lead an SDK elsewhere."""
    wrong = re.compile(r"(_API_KEY|_BASE_URL|_PROXY|_HOST|_TOKEN)\Z|\A(AWS|OPENAI|AZURE|ANTHROPIC|GOOGLE)_", re.I)
    kept = {name: value for name, value in os.environ.items() if not wrong.search(name)}
    return {**kept, "NO_PROXY": "127.0.0.1", "AWS_EC2_METADATA_DISABLED": "true", **extra}


def play(sdk, version, command, extra, base, entries):
    """Runs one driver; what it told, line by line."""
    served = {entry["provider"] for entry in entries}
    task = {
        "base": base,
        "failures": list(failures(sdk, entries)),
        "successes": [provider for provider in sdk.routes if provider in served],
    }
    ran = subprocess.run(
        command,
        cwd=HERE,
        input=json.dumps(task),
        env=environment(extra),
        capture_output=True,
        text=True,
        timeout=600,
    )
    told = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    if ran.returncode != 0:
        last = ran.stderr.strip().splitlines()[-12:]
        told.append({"broken": "\n      ".join([f"{sdk.program} ended with {ran.returncode}", *last])})
    asked = len(task["failures"])
    seen = sum("id" in one for one in told)
    if seen != asked:
        told.append({"broken": f"{asked} failures were to be met, and {seen} were"})
    if asked == 0:
        told.append({"broken": f"nothing is known of {' and '.join(sdk.routes)}"})
    return told


def wrong(sdk, version, told, by_id):
    """What an SDK did other than it should, in words."""
    sent = expected.Sent(by_id[told["id"], told["route"]])
    if sent.is_error:
        want = {"official": True} | sdk.expect(sent, told["id"].split("/")[0], version)
    else:
        want = {"raised": None, "finish": sdk.finish(sent.finish)}
    mistakes = []
    for key, value in want.items():
        seen = told.get(key)
        if key == "request_id":
            if value is not None and bool(seen) != value:
                mistakes.append(f"request id {seen!r}, and one is {'sent' if value else 'not sent'}")
        elif key == "finish":
            if str(seen).lower() != str(value).lower():
                mistakes.append(f"finish {seen!r} instead of {value!r}")
        elif key == "message":
            # The SDK has no words for it.
            continue
        elif (None if seen is None else str(seen)) != (None if value is None else str(value)):
            mistakes.append(f"{key} {seen!r} instead of {value!r}")
    if want.get("raised") and sent.message and "message" not in want:
        words = sent.message.split()
        said = str(told.get("message", ""))
        # Numbers and names differ from request to request; most words do not.
        if sum(word in said for word in words) < 0.6 * len(words):
            mistakes.append(f"message {said[:100]!r} instead of {sent.message[:100]!r}")
    return mistakes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the page instead of checking it")
    parser.add_argument("--only", metavar="SDK", help="drive only this SDK, and leave the page alone")
    parser.add_argument("--show", action="store_true", help="print everything that was seen")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("brownout", nargs="?", default=target / "debug" / "brownout")
    asked = parser.parse_args()
    listed = subprocess.run([asked.brownout, "catalog", "--format", "json"], capture_output=True, check=True)
    entries = json.loads(listed.stdout)["entries"]
    entries = sorted(entries, key=lambda entry: entry["place"])
    by_id = {(identity(entry), route): entry for entry in entries for route in entry["routes"]}
    sdks = [sdk for sdk in SDKS if asked.only in (None, sdk.name)]
    # Before the server begins: some have to be built.
    installed = [(sdk, *run) for sdk in sdks for run in runs(sdk)]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "whatever-the-header-names.yaml"
        path.write_text(scenario(entries))
        server = subprocess.Popen(
            [asked.brownout, "serve", "--port", "0", path], stdout=subprocess.PIPE, text=True
        )
        try:
            base = next(
                found.group() for line in server.stdout if (found := re.search(r"http://[\d.]+:\d+", line))
            )
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                plays = [
                    (sdk, version, pool.submit(play, sdk, version, command, extra, base, entries))
                    for sdk, version, command, extra in installed
                ]
                seen = [(sdk, version, future.result()) for sdk, version, future in plays]
        finally:
            server.terminate()
            server.wait()
    mistakes = []
    for sdk, version, all_told in seen:
        for told in all_told:
            who = f"{sdk.name} {version} ({sdk.language})"
            if asked.show:
                print(who, json.dumps(told))
            if "broken" in told:
                mistakes.append(f"{who}: {told['broken']}")
            elif "failed" in told:
                mistakes.append(f"{who}: {told['provider']}, {told['success']}: {told['failed']}")
            elif "id" in told:
                what = wrong(sdk, version, told, by_id)
                if what:
                    mistakes.append(f"{who}: {told['id']} on {told['route']}: {'; '.join(what)}")
    for mistake in mistakes:
        print(f"error: {mistake}", file=sys.stderr)
    met = sum("id" in told for _, _, all_told in seen for told in all_told)
    made = sum("parsed" in told and "success" in told for _, _, all_told in seen for told in all_told)
    print(f"{met} failures met, {made} answers parsed, {len(mistakes)} wrong")
    if asked.only:
        return 1 if mistakes else 0
    from page import render

    page = render(sdks, seen)
    if asked.write:
        PAGE.write_text(page)
    elif not PAGE.exists() or PAGE.read_text() != page:
        old = PAGE.read_text().splitlines() if PAGE.exists() else []
        name = PAGE.relative_to(ROOT)
        for line in difflib.unified_diff(old, page.splitlines(), f"{name}, as it stands", "what was seen", lineterm=""):
            print(line)
        print(f"error: {name} is not what was seen; write it with tests/sdks/run.py --write", file=sys.stderr)
        return 1
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
