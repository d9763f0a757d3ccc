"""Seeds for the fuzz targets, from the captures in fixtures/: python3 seeds.py, in this directory.

`capture` gets them as they are, `blocks` their blocks unpacked: kind, length of the content (three bytes), content.
`objects` gets programs of fixtures/, compiled.
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
    kinds = [("inlines.c", "-gdwarf-4"), ("inlines.c", "-gdwarf-5 -gz"), ("cxx_names.cpp", "-gdwarf-5"), ("peak.c", "-g0")]
    for number, (source, flags) in enumerate(kinds):
        compiler = "c++" if source.endswith("cpp") else "cc"
        options = ["-O1", "-shared", "-fPIC", "-w", "-Wl,--build-id=none", *flags.split(), "-o", objects / f"seed{number}"]
        subprocess.run([compiler, *options, programs / source], check=True)
    content = [(kind, bytes.fromhex(text)) for kind, text in KEYFRAME]
    seed = b"".join(bytes([kind]) + len(text).to_bytes(3, "little") + text for kind, text in content)
    (here / "corpus" / "blocks" / "keyframe").write_bytes(seed)


main()
