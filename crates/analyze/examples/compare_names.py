#!/usr/bin/env python3
"""Compares the names that heaptide finds in an object with those of `addr2line -fiC` (binutils).

    cargo build --release -p heaptide-analyze --example name_places
    python3 crates/analyze/examples/compare_names.py target/release/examples/name_places OBJECT [COUNT]

Takes COUNT (4000) addresses of the object's executable sections by chance, always the same ones. Prints how many chains
of functions, files and lines are the same and the first that are not. Demanglers differ in blanks and in how they write
some types, so functions are compared without blanks, arguments and template arguments.
"""
import random
import re
import subprocess
import sys


def run(*command, input=None):
    return subprocess.run(command, input=input, capture_output=True, text=True, errors="replace", check=True).stdout


def sections(path):
    """Address, offset, size of what is executable."""
    for line in run("readelf", "-SW", path).splitlines():
        fields = re.match(r"\s*\[ *\d+\] (\S+)\s+PROGBITS\s+(\w+) (\w+) (\w+) \w+\s+(\w*)", line)
        if fields and "X" in fields[5]:
            yield tuple(int(field, 16) for field in fields.group(2, 3, 4))


def bare(name):
    name = re.sub(r" \[clone .*|\.(cold|part|isra|constprop|lto_priv|llvm)\b.*|::h[0-9a-f]{16}$", "", name)
    name = name.replace("operator()", "operatorCALL").replace("(anonymous namespace)", "ANONYMOUS")
    while True:
        less = re.sub(r"\([^()]*\)|<[^<>]*>|\{[^{}]*\}", "", name)
        if less == name:
            break
        name = less
    name = re.sub(r"^.* (?=\S+$)", "", re.sub(r"\b(const|&&?)$", "", name.strip()).strip())
    return name.replace(" ", "").split("@")[0]


def place(text):
    file, _, line = text.rpartition(":")
    line = line.split()[0]
    return file.rsplit("/", 1)[-1], int(line) if line.isdigit() else 0


def main():
    tool, path = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 4000
    build_id = re.search(r"Build ID: (\w+)", run("readelf", "-nW", path))
    dice, found = random.Random(1), list(sections(path))
    places = []
    for _ in range(count):
        address, offset, size = dice.choices(found, [size for _, _, size in found])[0]
        at = dice.randrange(size)
        places.append((address + at, offset + at))
    offsets = "".join(f"{offset:x}\n" for _, offset in places)
    ours = run(tool, path, *([build_id[1]] if build_id else []), input=offsets).splitlines()
    theirs = run("addr2line", "-afiCe", path, input="".join(f"{address:#x}\n" for address, _ in places))
    theirs = [chunk.splitlines()[1:] for chunk in re.split(r"^(?=0x)", theirs, flags=re.M)[1:]]
    same_names = same_places = nameless = shown = 0
    for (address, _), mine, other in zip(places, ours, theirs):
        # Where a function begins is no name.
        calls = [call for call in mine.split("\t") if call and not call.startswith("func@0x")]
        mine = [call.rpartition("@")[::2] for call in calls]
        other = [(other[at], other[at + 1]) for at in range(0, len(other), 2)]
        names = [bare(name) for name, _ in mine], [bare(name) for name, _ in other if name != "??"]
        lines = [place(text) for _, text in mine], [place(text) for name, text in other if name != "??"]
        same_names += names[0] == names[1]
        lines = [[("", 0) if file in ("??", "") or not line else (file, line) for file, line in side] for side in lines]
        same_places += names[0] == names[1] and lines[0] == lines[1]
        nameless += not names[0]
        if (names[0] != names[1] or lines[0] != lines[1]) and shown < 12:
            shown += 1
            print(f"{address:#x}\n  heaptide  {mine}\n  addr2line {other}")
    print(f"{count} places: names alike {same_names}, files and lines too {same_places}, without name {nameless}")


if __name__ == "__main__":
    main()
