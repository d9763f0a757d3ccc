#!/usr/bin/env python3
"""Reads a capture by what docs/capture-format.md says, and by nothing else: standard library, no code of heaptide's.

    python3 docs/read_capture.py FILE      the records as lines of JSON, as `heaptide parse --json` prints them

For those who write a reader of their own, and so that the document is known to be complete: docs/check.py compares the
two outputs. Raises ValueError with the offset at anything that is not as described.
"""
import json
import struct
import sys
import zlib

ALLOCATORS = [
    "malloc", "calloc", "realloc", "reallocarray", "posix_memalign", "aligned_alloc", "memalign", "valloc", "pvalloc",
    "mmap", "mmap (file)", "mmap (reserved)", "mmap (stack)", "brk", "PyMem_RawMalloc", "PyMem_RawCalloc",
    "PyMem_RawRealloc", "PyMem_Malloc", "PyMem_Calloc", "PyMem_Realloc", "PyObject_Malloc", "PyObject_Calloc",
    "PyObject_Realloc",
]


class Bytes:
    """Bytes that are taken off one after the other."""

    def __init__(self, content):
        self.content, self.at = content, 0

    def take(self, count):
        if self.at + count > len(self.content):
            raise ValueError(f"ends inside a value, at byte {self.at} of the content")
        self.at += count
        return self.content[self.at - count:self.at]

    def left(self):
        return len(self.content) - self.at

    # "Integers" of events and keyframes.

    def leb128(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def signed_leb128(self):
        return unzigzag(self.leb128())

    # "Values" of the other blocks.

    def u8(self):
        return self.take(1)[0]

    def boolean(self):
        return bool(self.u8())

    def integer(self):
        first = self.u8()
        if first < 251:
            return first
        return int.from_bytes(self.take({251: 2, 252: 4, 253: 8}[first]), "little")

    def signed(self):
        return unzigzag(self.integer())

    def text(self):
        return self.take(self.integer()).decode()

    def optional(self, value):
        return value() if self.u8() else None

    def sequence(self, value):
        return [value() for _ in range(self.integer())]

    def structure(self, **fields):
        return {name: value() for name, value in fields.items()}


def unzigzag(value):
    return value >> 1 if value % 2 == 0 else -(value >> 1) - 1


def unpack_lz4(packed, length):
    """An LZ4 block: token, literals, offset, match length; again."""
    source, out = Bytes(packed), bytearray()

    def long_length(length):
        if length == 15:
            while True:
                more = source.u8()
                length += more
                if more != 255:
                    break
        return length

    while source.left():
        token = source.u8()
        out += source.take(long_length(token >> 4))
        if not source.left():
            break
        distance = int.from_bytes(source.take(2), "little")
        for _ in range(long_length(token & 15) + 4):
            out.append(out[-distance])
    if len(out) != length:
        raise ValueError(f"unpacks to {len(out)} bytes, not {length}")
    return bytes(out)


def amount(b):
    return b.structure(bytes=b.integer, count=b.integer)


def read_run(b):
    return b.structure(heaptide=b.text, command=lambda: b.sequence(b.text), started_unix=b.integer,
                       python_allocators=b.boolean, follow=b.boolean, aggregate=b.boolean, architecture=b.text)


def read_sample(b):
    return b.structure(time_ns=b.integer, live=b.integer, live_high=b.integer, rss=b.integer)


def read_frame(b):
    variant = b.integer()
    if variant == 0:
        return b.structure(code=b.integer, line=b.integer, column=b.integer)
    if variant == 1:
        return b.structure(module=b.integer, file_offset=b.integer)
    if variant == 2:
        return b.structure(address=b.integer)
    raise ValueError(f"frame of kind {variant}")


def read_image(b):
    return b.structure(pid=b.integer, parent=lambda: b.optional(b.integer),
                       origin=lambda: ["Exec", "Fork"][b.integer()], program=b.integer,
                       arguments=lambda: b.sequence(b.integer), python=b.integer, started=b.integer)


# Operations of events; the symbols of the column that goes before.
HAVE_SIZE, HAVE_STACK, HAVE_SLOT = (1, 3, 4), (1, 3), (2, 3, 4)
FREED, CONTROL, NEW, FIRST = 0, 1, 2, 3


class Printer:
    """Numbers definitions as it meets them; prints records."""

    def __init__(self, print_record):
        self.print_record = print_record
        self.next = {"string": 0, "code": 0, "module": 0, "frame": 0, "stack": 1, "image": 0, "thread": 0}

    def numbered(self, record, entries):
        for entry in entries:
            self.print_record({"record": record, "id": self.next[record], **entry})
            self.next[record] += 1

    def definitions(self, b, offset):
        self.print_record({"record": "definitions", "offset": offset})
        self.numbered("string", b.sequence(lambda: {"text": b.text()}))
        self.numbered("code", b.sequence(lambda: b.structure(name=b.integer, file=b.integer, first_line=b.integer)))
        self.numbered("module", b.sequence(lambda: b.structure(
            path=b.integer, build_id=lambda: bytes(b.sequence(b.u8)).hex())))
        self.numbered("frame", b.sequence(lambda: read_frame(b)))
        self.numbered("stack", b.sequence(lambda: b.structure(parent=b.integer, frame=b.integer)))
        self.numbered("image", b.sequence(lambda: {"image": read_image(b)}))
        self.numbered("thread", b.sequence(lambda: b.structure(image=b.integer, tid=b.integer)))
        for name in b.sequence(lambda: b.structure(thread=b.integer, name=b.integer)):
            self.print_record({"record": "thread_name", **name})

    def events(self, b, offset):
        self.print_record({"record": "events", "offset": offset})
        lengths = [b.leb128() for _ in range(6)]
        symbols, operations, sizes, stacks, slots, others = [Bytes(b.take(length)) for length in lengths]
        said = []  # what new events said beside their slot
        stack = slot = clock = 0
        while symbols.left():
            symbol = symbols.leb128()
            if symbol == CONTROL:
                detail, value = operations.u8() >> 3, others.leb128()
                if detail == 1:
                    clock += value
                name, field = [("on_thread", {"thread": value}), ("clock", {"time_ns": clock}),
                               ("image_ended", {"image": value}), ("program_ended", {"image": value})][detail]
                self.print_record({"record": name, **field})
                continue
            if symbol == FREED:
                operation, event = 2, {"record": "freed"}
            elif symbol == NEW:
                byte = operations.u8()
                operation = byte & 7
                event = {"record": ["", "allocated", "", "reallocated", "shrunk", "freed_unknown"][operation]}
                if operation in HAVE_SIZE:
                    event["bytes" if operation == 4 else "size"] = sizes.leb128()
                if operation in HAVE_STACK:
                    stack += stacks.signed_leb128()
                    event.update(stack=stack, allocator=ALLOCATORS[byte >> 3])
                said.append((operation, event))
            else:
                operation, event = said[symbol - FIRST]
            if operation in HAVE_SLOT:
                slot += slots.signed_leb128()
                event = {**event, "slot": slot}
            self.print_record(event)

    def keyframe(self, b, offset):
        while b.left():
            image, used, count = b.leb128(), b.leb128(), b.leb128()
            self.print_record({"record": "keyframe", "offset": offset, "image": image, "slots_used": used,
                               "live": count})
            slot = 0
            for _ in range(count):
                slot += b.leb128()
                allocator = ALLOCATORS[b.u8()]
                self.print_record({"record": "live", "slot": slot, "size": b.leb128(), "stack": b.leb128(),
                                   "allocator": allocator})

    def native_names(self, b, offset):
        self.print_record({"record": "native_names", "offset": offset, "modules": b.sequence(b.integer)})
        strings = b.sequence(b.text)

        def call():
            return {"function": strings[b.integer()], "file": strings[b.integer()], "line": b.integer()}

        for _ in range(b.integer()):
            self.print_record({"record": "named_frame", "frame": b.integer(), "calls": b.sequence(call)})

    def unseen_allocators(self, b, offset):
        found = b.sequence(lambda: b.structure(image=b.integer, path=b.text, allocator=b.text, evidence=b.text))
        growth = b.sequence(lambda: b.structure(
            image=b.integer, first=b.integer, highest=b.integer, highest_at=b.integer, blocks=lambda: amount(b),
            mappings=b.integer, arenas=b.integer, writable=b.integer))
        self.print_record({"record": "unseen_allocators", "offset": offset, "unread": b.integer()})
        for record, entries in (("unseen_allocator", found), ("growth", growth)):
            for entry in entries:
                self.print_record({"record": record, **entry})

    def marks(self, b, offset):
        origins = ("Program", "Outside", "Alert")
        for mark in b.sequence(lambda: b.structure(
                name=b.text, origin=lambda: origins[b.integer()], image=lambda: b.optional(b.integer),
                time_ns=b.integer, event=b.integer, live=b.integer, rss=b.integer)):
            self.print_record({"record": "mark", "offset": offset, **mark})

    def censuses(self, b, offset):
        reasons = ("Period", "Exit", "Mark", "Peak")
        holdings = ("Unknown", "Itself", "Index", "Key", "KeyOfType", "IsKey", "Attribute", "Namespace", "Local", "Closure")

        def hop():
            return b.structure(of_type=b.text, name=b.text, holding=lambda: holdings[b.integer()], label=b.text)

        def grown():
            return b.structure(name=b.text, new=b.integer, holders=lambda: b.sequence(lambda: b.sequence(hop)),
                               looked_up=b.integer, stacks=lambda: b.sequence(lambda: [b.integer(), b.integer()]))

        for census in b.sequence(lambda: b.structure(
                image=b.integer, reason=lambda: reasons[b.integer()], time=b.integer, event=b.integer, live=b.integer,
                objects=b.integer, bytes=b.integer, cost=b.integer, own_bytes=b.integer, cut=lambda: b.u8() != 0,
                types=lambda: b.sequence(lambda: b.structure(name=b.text, count=b.integer, bytes=b.integer)),
                grown=lambda: b.sequence(grown))):
            self.print_record({"record": "census", "offset": offset, "census": census})

    def memory_maps(self, b, offset):
        parts = ("Requested", "Slack", "Kept", "PythonArenas", "Inherited", "Anonymous", "Objects", "Files", "Shared",
                 "Stacks", "Tracer")

        def reason():
            number = b.integer()
            return {"Mark": b.integer()} if number == 1 else ("Highest", None, "Last")[number]

        def process():
            return b.structure(
                image=b.integer, rss=b.integer, pss=b.integer, swapped=b.integer, live=b.integer, blocks=b.integer,
                arenas=b.integer, by_page=b.boolean,
                parts=lambda: b.sequence(lambda: [parts[b.integer()], b.integer()]))

        for look in b.sequence(lambda: b.structure(
                reason=reason, time_ns=b.integer, event=b.integer, processes=lambda: b.sequence(process))):
            self.print_record({"record": "look", "offset": offset, **look})

    def footer(self, b, offset):
        index = b.sequence(lambda: b.structure(kind=b.u8, offset=b.integer, first_event=b.integer, time_ns=b.integer,
                                               live=b.integer))
        self.definitions(b, offset)
        totals = read_totals(b)
        images = b.sequence(lambda: b.structure(
            allocated=lambda: amount(b), peak=lambda: amount(b), peak_at=b.integer, leaked=lambda: amount(b),
            ended=lambda: b.optional(b.integer), events=b.integer))
        rows = b.sequence(lambda: b.structure(
            image=b.integer, stack=b.integer, allocated=lambda: amount(b), at_peak=lambda: amount(b),
            at_image_peak=lambda: amount(b), leaked=lambda: amount(b), temporary=lambda: amount(b),
            temporary_1=lambda: amount(b)))
        timeline = b.sequence(lambda: read_sample(b))
        status = b.signed()
        for record, entries in (("index", index), ("row", rows)):
            for entry in entries:
                self.print_record({"record": record, **entry})
        for number, image in enumerate(images):
            self.print_record({"record": "image_totals", "image": number, "totals": image})
        for point in timeline:
            self.print_record({"record": "timeline", **point})
        self.print_record({"record": "footer", "offset": offset, "status": status, "totals": totals})


def read_totals(b):
    return b.structure(
        events=b.integer, allocated=lambda: amount(b), freed=b.integer, reallocated=b.integer, freed_unknown=b.integer,
        peak=lambda: amount(b), peak_at=b.integer, leaked=lambda: amount(b), left=lambda: amount(b), peak_rss=b.integer, duration=b.integer,
        sizes=lambda: b.sequence(lambda: amount(b)), allocators=lambda: b.sequence(lambda: amount(b)),
        other_mappings=lambda: amount(b), other_mappings_peak=b.integer,
        tracer=lambda: b.structure(
            lost=b.integer, inconsistent=b.integer, cut_stacks=b.integer, bare=b.integer, refused=b.integer,
            waits=b.integer, waited=b.integer, collector_cpu=b.integer, collector_rss=b.integer,
            shim_bytes=b.integer))


def read_capture(content, print_record):
    """Calls `print_record` with each record. A file without footer ends where its blocks do."""
    magic, major, minor, sum_ = struct.unpack("<8sHHI", content[:16])
    if magic != b"HEAPTIDE" or zlib.crc32(content[:12]) != sum_ or major != 1:
        raise ValueError("no capture of format 1")
    print_record({"record": "header", "format": f"{major}.{minor}"})
    printer, offset, kind = Printer(print_record), 16, 0
    while offset < len(content) and kind != 6:
        head = content[offset:offset + 16]
        kind, codec, stored_length, length, sum_ = struct.unpack("<BBxxIII", head)
        stored = content[offset + 16:offset + 16 + stored_length]
        if len(stored) < stored_length or zlib.crc32(head[:12] + stored) != sum_:
            raise ValueError(f"a damaged block at byte {offset}")
        b = Bytes(unpack_lz4(stored, length) if codec == 1 else stored)
        if kind == 1:
            print_record({"record": "run", "offset": offset, "run": read_run(b)})
        elif kind == 2:
            printer.definitions(b, offset)
        elif kind == 3:
            printer.events(b, offset)
        elif kind == 4:
            printer.keyframe(b, offset)
        elif kind == 5:
            for point in b.sequence(lambda: read_sample(b)):
                print_record({"record": "sample", **point})
        elif kind == 6:
            printer.footer(b, offset)
        elif kind == 7:
            printer.native_names(b, offset)
        elif kind == 8:
            printer.unseen_allocators(b, offset)
        elif kind == 9:
            printer.marks(b, offset)
        elif kind == 10:
            printer.censuses(b, offset)
        elif kind == 11:
            printer.memory_maps(b, offset)
        else:
            print_record({"record": "unknown", "offset": offset})
        offset += 16 + stored_length
    if kind == 6:
        footer, sum_, magic = struct.unpack("<QI8s", content[offset:])
        if magic != b"EDITPAEH" or zlib.crc32(content[offset:offset + 8]) != sum_:
            raise ValueError("a damaged trailer")


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        read_capture(file.read(), lambda record: print(json.dumps(record)))
