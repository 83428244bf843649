#!/usr/bin/env python3
"""Plants one defect after another and checks that the test that should notice does.

Each file of tests/defects lists defects: the package and the test (a part of its name), a file, a text
that occurs in it exactly once, and what to put in its place; `loom = true` if the test is one of the
model checker's, `binary` if it is enough to build one of the package's test binaries.  The sources are copied to a scratch folder, so
that nothing here can harm the checkout.

    tests/defects.py                    all
    tests/defects.py property_18 P7     those whose test or pitfall contains one of the words
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRATCH = ROOT / "target" / "defects"
# A defect may well make a test spin for ever; that, too, is noticing. A build may take its time.
SECONDS_MAX = 300


def defects():
    for path in sorted((ROOT / "tests" / "defects").glob("*.toml")):
        for entry in tomllib.loads(path.read_text())["defect"]:
            yield path.name, entry


def copy_sources(tree):
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    shutil.rmtree(tree, ignore_errors=True)
    for name in names.splitlines():
        source, copy = ROOT / name, tree / name
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            # With its time, so that the build of the last run is still good.
            shutil.copy2(source, copy)


def cargo(tree, entry, *arguments, seconds=None):
    command = ["cargo", "test", "--quiet", "--package", entry["package"]]
    if entry.get("loom"):
        command += ["--no-default-features", "--release", "--test", "loom"]
        build, flags = "build-loom", {"RUSTFLAGS": "--cfg loom"}
    else:
        binary = entry.get("binary")
        command += ["--all-features", *(["--test", binary] if binary else ["--lib", "--tests"])]
        build, flags = "build", {}
    command += ["--target-dir", str(SCRATCH / build), *arguments]
    return subprocess.run(
        command,
        cwd=tree,
        env=os.environ | flags,
        capture_output=True,
        text=True,
        timeout=seconds,
    )


def fails(tree, entry):
    """Whether the test fails as it is, and would notice anything."""
    return "FAILED" in cargo(tree, entry, entry["test"]).stdout


def verdict(tree, entry):
    """None if the defect is noticed, otherwise what is wrong."""
    path = tree / entry["file"]
    sound = path.read_text()
    if sound.count(entry["find"]) != 1:
        return f"`find` occurs {sound.count(entry['find'])} times in {entry['file']}, not once"
    path.write_text(sound.replace(entry["find"], entry["replace"]))
    try:
        built = cargo(tree, entry, "--no-run")
        if built.returncode != 0:
            return "does not compile:\n" + built.stderr
        run = cargo(tree, entry, entry["test"], seconds=SECONDS_MAX)
        # The model checker cannot unwind out of a deadlock, and aborts.
        if "FAILED" in run.stdout or "(signal: " in run.stderr:
            return None
        ran = re.search(r"^running [1-9]", run.stdout, re.MULTILINE)
        return "goes unnoticed" if ran else "no test has such a name"
    except subprocess.TimeoutExpired:
        return None
    finally:
        path.write_text(sound)


def main():
    wanted = sys.argv[1:]
    chosen = [
        (name, entry)
        for name, entry in defects()
        if not wanted or any(word in entry["test"] or word in name for word in wanted)
    ]
    if not chosen:
        sys.exit("error: no defect has such a name")
    tree = SCRATCH / "tree"
    copy_sources(tree)
    # All of them before the first defect, so that the sound sources are built once.
    failing = [fails(tree, entry) for _, entry in chosen]
    bad = 0
    for (name, entry), fails_anyway in zip(chosen, failing):
        wrong = "fails without it" if fails_anyway else verdict(tree, entry)
        bad += wrong is not None
        print(f"{'noticed ' if wrong is None else 'MISSED  '} {name}: {entry['test']}", flush=True)
        if wrong:
            print(wrong)
    print(f"{len(chosen) - bad} of {len(chosen)} defects noticed")
    sys.exit(1 if bad else 0)


main()
