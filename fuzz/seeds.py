"""Seeds for the fuzz targets, from the captures in fixtures/: python3 seeds.py, in this directory.

`capture` and `reader` get them as they are, `blocks` their blocks unpacked: kind, length of the content (three bytes),
content; `events` the content of those with events and keyframes. `objects` gets programs of fixtures/, compiled. `words`,
`replay` and `names` get what is written down here.
"""

import pathlib
import subprocess

HEADER, HEAD = 16, 16
MOST_BYTES = 32768  # Larger ones are slow, and hostile/ is opened by tests/bad_input.rs anyway.


def unpacked(packed: bytes) -> bytes:
    """The content of an lz4 block, see https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md."""
    out, at = bytearray(), 0

    def length(nibble: int) -> int:
        nonlocal at
        total, more = nibble, nibble == 15
        while more:
            total, more = total + packed[at], packed[at] == 255
            at += 1
        return total

    while at < len(packed):
        token = packed[at]
        at += 1
        literals = length(token >> 4)
        out += packed[at : at + literals]
        at += literals
        if at >= len(packed):
            break
        distance = int.from_bytes(packed[at : at + 2], "little")
        at += 2
        for _ in range(length(token & 15) + 4):
            out.append(out[-distance])
    return bytes(out)


def blocks(capture: bytes) -> bytes:
    """The whole blocks of a capture, as the target `blocks` takes them."""
    out, at = bytearray(), HEADER
    while at + HEAD <= len(capture):
        kind, codec = capture[at], capture[at + 1]
        stored = int.from_bytes(capture[at + 4 : at + 8], "little")
        content = capture[at + HEAD : at + HEAD + stored]
        if kind not in range(1, 9) or len(content) < stored:
            break
        content = unpacked(content) if codec else content
        out += bytes([kind]) + len(content).to_bytes(3, "little") + content
        at += HEAD + stored
    return bytes(out)


# By hand, for what a short recording has not: three blocks (5, 6 and 7 bytes) of which the first is freed, a keyframe
# of the other two, then an allocation, a realloc of slot 1, slot 2 shrunk, a release of nothing, the first allocation
# again, the end of the image.
KEYFRAME = [
    (1, "00 00 00 00 00 00 00"),
    (2, "01 01 70  00  00  01 02 01  01 00 00  01 07 00 00 00 00 00 00  01 00 01  00"),
    (3, "05 04 03 03 01 01  01 02 02 02 00  00 01 01 01  05 06 07  02 00 00  00  00"),
    (4, "00 03 02  01 00 06 01  01 00 07 01"),
    (3, "07 06 03 02 02 02  01 02 02 02 02 03 01  00 01 03 04 05 10  08 09 01  02 00  02 02  00 00"),
]


def record(kind: int, sub: int, low: int) -> int:
    """Word 0 of a record, as crates/format/src/wire.rs has it."""
    return kind << 61 | sub << 56 | low


def part(kind: int, content: bytes, last: bool = True) -> list[int]:
    """A part of a blob: 0 code, 1 image, 2 module, 3 name of a thread."""
    words = [content[at : at + 8].ljust(8, b"\0") for at in range(0, len(content), 8)]
    return [record(0, 2, last << 48 | kind << 40 | len(content)), *(int.from_bytes(word, "little") for word in words)]


def number(value: int, length: int = 4) -> bytes:
    return value.to_bytes(length, "little")


CODE = number(7) + number(0x30B, 2) + bytes([1, 1]) + number(4) + number(4) + number(3) + b"load" + b"a.py" + b"\xf2\x03\x01"
MODULE = number(0x400000, 8) + number(0x500000, 8) + number(0, 8) + b"/lib/libx.so"
BLOCK = 0x7F0000001000

# What a ring may hold: pieces of a head (session/nonsense.rs says what its bits are) and words.
WORDS = {
    # Announced: a block, its release, a size of its own word, a block released twice, one that was never there.
    "blocks": [
        (32, [record(1, 0, BLOCK), 100, record(3, 0, BLOCK), record(1, 1, BLOCK), 0xFFFFFFFF, 1 << 40]),
        (0, [record(3, 0, BLOCK), record(3, 0, BLOCK), record(3, 0, BLOCK + 64)]),
    ],
    # Two rings of one image in the order of their stamps, the other way round.
    "stamps": [
        (32, [record(2, 0, BLOCK), 100, 20, record(4, 0, BLOCK + 64), 40]),
        (17, [record(2, 0, BLOCK + 64), 200, 10, record(4, 0, BLOCK), 30]),
    ],
    "reallocations": [
        (32, [record(1, 0, BLOCK), 100, record(5, 0, BLOCK), record(6, 0, BLOCK + 64), 200]),
        (0, [record(5, 0, BLOCK + 64), record(6, 2, 0), 0, record(5, 0, BLOCK + 64), record(6, 0, 0), 0]),
    ],
    "mappings": [
        (32, [record(1, 9, BLOCK), 0x10000, record(7, 0, BLOCK + 0x4000), 0x4000, record(5, 2, BLOCK), 0x4000]),
        (0, [record(6, 8, BLOCK + 0x100000), 0x8000, record(7, 0, 0), 1 << 47]),
    ],
    # A code, an object, a name; nodes of both kinds and a pair; blocks on them.
    "stacks": [
        (32, part(0, CODE) + part(2, MODULE) + part(3, b"worker") + [record(0, 0, 0), 1]),
        (0, [record(0, 0, 1), 1 << 62 | 2, record(0, 1, 0x400123), 0, record(0, 1, 0x400456), 1 << 63 | 3]),
        (0, [record(0, 4, 4), 2, record(1, 0, BLOCK), 5 << 32 | 100, record(0, 3, 0), 0]),
    ],
    "parts": [(32, part(2, MODULE[:16], last=False) + part(2, MODULE[16:]) + part(0, b"", last=False))],
    "moved": [(32, [record(1, 0, BLOCK), 100]), (64, [200_000, record(3, 0, BLOCK)]), (64, [2**64 - 5])],
    "claims": [(32, [record(1, 0, BLOCK), 100]), (16 | 4 | 32, [record(1, 0, BLOCK), 50]), (16, [record(3, 0, BLOCK)])],
}

# Of fixtures/hostile/hostile_names.txt, with Python's escapes.
TEXTS = pathlib.Path(__file__).parent.parent / "fixtures" / "hostile" / "hostile_names.txt"
NAMES = [eval(f'"{line}"') for line in TEXTS.read_text(encoding="utf-8").splitlines()]


def folder(target: str) -> pathlib.Path:
    """Where the seeds of a target go."""
    corpus = pathlib.Path(__file__).parent / "corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    return corpus


def main() -> None:
    here = pathlib.Path(__file__).parent
    for target in ("capture", "blocks"):
        corpus = here / "corpus" / target
        corpus.mkdir(parents=True, exist_ok=True)
        for path in (here.parent / "fixtures" / "captures").rglob("*.bin"):
            seed = path.read_bytes() if target == "capture" else blocks(path.read_bytes())
            if len(seed) <= MOST_BYTES:
                (corpus / path.stem).write_bytes(seed)
    objects = here / "corpus" / "objects"
    objects.mkdir(parents=True, exist_ok=True)
    programs = here.parent / "fixtures" / "programs"
    # Without build id, since a request names none. By the versions of DWARF, packed and not, with names of C++.
    # A stripped one has the table for unwinding alone.
    kinds = [("inlines.c", "-gdwarf-4"), ("inlines.c", "-gdwarf-5 -gz"), ("cxx_names.cpp", "-gdwarf-5"), ("peak.c", "-g0")]
    kinds.append(("starts.c", "-s -DLIBRARY"))
    for number, (source, flags) in enumerate(kinds):
        compiler = "c++" if source.endswith("cpp") else "cc"
        options = ["-O1", "-shared", "-fPIC", "-w", "-Wl,--build-id=none", *flags.split(), "-o", objects / f"seed{number}"]
        subprocess.run([compiler, *options, programs / source], check=True)
    for name, pieces in WORDS.items():
        seed = b"".join(
            bytes([head, len(words)]) + b"".join(word.to_bytes(8, "little") for word in words) for head, words in pieces
        )
        (folder("words") / name).write_bytes(seed)
    for number, name in enumerate(NAMES):
        texts = [name, "f", "/home/me/" + name + "/x.py", "/lib/" + name + ".so"]
        encoded = [text.encode("utf-8", "surrogateescape") for text in texts]
        seed = b"".join((len(text) | (number % 2) << 9).to_bytes(2, "little") + text for text in encoded)
        (folder("names") / str(number)).write_bytes(seed)
    for path in (here / "corpus" / "capture").iterdir():
        # Cut in the middle while it is read.
        (folder("reader") / path.name).write_bytes(path.read_bytes() + b"\x00\x80")
    for path in (here / "corpus" / "blocks").iterdir():
        at, seed, number = 0, path.read_bytes(), 0
        while at + 4 <= len(seed):
            kind, length = seed[at], int.from_bytes(seed[at + 1 : at + 4], "little")
            if kind in (3, 4):
                (folder("events") / f"{path.name}-{number}").write_bytes(seed[at + 4 : at + 4 + length])
            at, number = at + 4 + length, number + 1
    # Steps: blocks of both kinds, releases, threads, processes, keyframes, an end.
    steps = "00 01 10 03 40 02 20 04 06 00 01 09 09 00 00 02 05 01 04 00 0a 01 03 07 02 0b 05 0c 09 0d 0e 08 00 04 00 07 00 03 8f 0e"
    (folder("replay") / "steps").write_bytes(bytes.fromhex(steps))
    content = [(kind, bytes.fromhex(text)) for kind, text in KEYFRAME]
    seed = b"".join(bytes([kind]) + len(text).to_bytes(3, "little") + text for kind, text in content)
    (here / "corpus" / "blocks" / "keyframe").write_bytes(seed)


main()
