#!/usr/bin/env python3
"""Checks the documents: links lead somewhere, shell commands exist, the format is as described.

    python3 docs/check.py HEAPTIDE      the binary whose commands and captures they are about

Standard library only. Prints each finding and exits with 1 if there are any.
"""
import functools
import json
import os
import re
import subprocess
import sys
import tempfile

import read_capture

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
findings = []


def find(document, what):
    findings.append(f"{os.path.relpath(document, ROOT)}: {what}")


def documents():
    yield os.path.join(ROOT, "README.md")
    for directory, _, names in os.walk(os.path.join(ROOT, "docs")):
        yield from (os.path.join(directory, name) for name in sorted(names) if name.endswith(".md"))


def check_links(document, text):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in link and not os.path.exists(os.path.join(os.path.dirname(document), link)):
            find(document, f"link to {link}, which is not there")


def check_paths(document, text):
    """What stands in backticks and begins with a directory of the tree is a path."""
    for path in re.findall(r"`((?:crates|shim|tests|fixtures|bench|docs|examples|\.ci)/[^`\s]*)`", text):
        if not os.path.exists(os.path.join(ROOT, path)):
            find(document, f"`{path}` is not there")


@functools.lru_cache(maxsize=None)
def help_of(heaptide, subcommand):
    result = subprocess.run([heaptide, subcommand, "--help"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return result.stdout if result.returncode == 0 else None


def check_commands(document, text, heaptide):
    """In blocks marked `sh`: scripts are there; subcommands and options of heaptide are in its help."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.S):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.split(" #")[0]
            for script in re.findall(r"(?:^|\s)(?:sh|python3) ((?:examples|tests|bench|docs)/\S+)", line):
                if not os.path.exists(os.path.join(ROOT, script)):
                    find(document, f"`{line.strip()}`: no {script}")
            for command in re.findall(r"(?:^|\s)heaptide ([a-z]+)([^|;&]*)", line):
                check_command(document, heaptide, *command)


def check_command(document, heaptide, subcommand, rest):
    if subcommand == "help":
        return
    text = help_of(heaptide, subcommand)
    if text is None:
        return find(document, f"`heaptide {subcommand}`: no such command")
    # What follows ` -- ` is another program's.
    for option in re.findall(r"(?:^|\s)(--?[a-z][a-z-]*)", rest.split(" -- ")[0]):
        if not re.search(rf"(?:^|[\s\[]){re.escape(option)}(?![a-z-])", text):
            find(document, f"`heaptide {subcommand}`: no option {option}")


def records_by_heaptide(heaptide, capture):
    lines = subprocess.run([heaptide, "parse", "--json", capture], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           text=True).stdout.splitlines()
    return list(map(json.loads, lines))


def records_by_document(capture):
    records = []
    with open(capture, "rb") as file:
        read_capture.read_capture(file.read(), records.append)
    return records


def check_capture(document, heaptide, capture):
    ours, theirs = records_by_document(capture), records_by_heaptide(heaptide, capture)
    for number, (one, other) in enumerate(zip(ours, theirs)):
        if one != other:
            return find(document, f"record {number} of {capture}: {one} by the document, {other} by heaptide")
    if len(ours) != len(theirs) or not ours:
        find(document, f"{capture}: {len(ours)} records by the document, {len(theirs)} by heaptide")


def check_format(heaptide):
    document = os.path.join(ROOT, "docs", "capture-format.md")
    with open(document) as file:
        example = bytes.fromhex(re.search(r"```hex\n(.*?)```", file.read(), re.S)[1])
    with tempfile.TemporaryDirectory() as directory:
        capture = os.path.join(directory, "example.bin")
        with open(capture, "wb") as file:
            file.write(example)
        check_capture(document, heaptide, capture)
        program = "import threading\nt = threading.Thread(target=lambda: [bytes(700) for i in range(99)])\nt.start(); t.join()"
        for options in ([], ["--python-allocators"], ["--aggregate"]):
            capture = os.path.join(directory, "run.bin")
            subprocess.run([heaptide, "run", "-q", "-f", *options, "-o", capture, "--", sys.executable, "-c", program],
                           check=True)
            check_capture(document, heaptide, capture)
        subprocess.run([heaptide, "run", "-q", "-f", "-o", capture, "--", "/bin/sh", "-c", ":"], check=True)
        subprocess.run([heaptide, "symbolize", capture], check=True, stderr=subprocess.DEVNULL)
        check_capture(document, heaptide, capture)


def main():
    heaptide = os.path.abspath(sys.argv[1])
    for document in documents():
        with open(document) as file:
            text = file.read()
        check_links(document, text)
        check_paths(document, text)
        check_commands(document, text, heaptide)
    check_format(heaptide)
    print("\n".join(findings) or "the documents are as they say")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
