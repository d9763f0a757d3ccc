"""As many distinct call stacks as its argument says, each with one block or more, over some six seconds.

A stack is a path of 10 to 40 calls through modules that the script writes beside itself where it is started (so that
reports find their source). It shares all but its last few frames with an earlier one, as calls do in real programs; some
call themselves. Each keeps a block of 600 to 9,000 bytes until all stacks are done, which is the peak; then three fifths
are released, while every tenth stack allocates once more.
"""
import os
import random
import sys
import time

MODULES = {
    "service": "accept handle route authorize decode respond retry finish".split(),
    "parser": "document block inline table row cell entity attribute".split(),
    "planner": "analyse resolve rewrite choose cost join split merge".split(),
    "storage": "open_segment read_page decode_page lookup scan compact flush seek".split(),
    "model": "build hydrate validate convert normalize relate attach detach".split(),
    "render": "layout measure shape paint compose clip transform cache".split(),
}
NAMES = [(module, function) for module, functions in MODULES.items() for function in functions]
CALLS = 5  # in each function, the last of them to itself
END = 255
SLICES = 60
SLICE_SECONDS = 0.1
KEPT = []  # what is live at the end


def write_modules(folder):
    """Each function calls others of its own and of the next modules, whichever the path says."""
    os.makedirs(folder, exist_ok=True)
    for number, (module, functions) in enumerate(MODULES.items()):
        lines = [f'"""Calls along given paths: module {module} of a benchmark."""']
        lines += [f"import {other}" for other in MODULES if other != module] + ["", ""]
        for place, function in enumerate(functions):
            lines.append(f"def {function}(path, at, size):")
            for call in range(CALLS):
                to_module, to = callee(number * 8 + place, call)
                target = to if to_module == module else f"{to_module}.{to}"
                lines += [f"    if path[at] == {call}:", f"        return {target}(path, at + 1, size)"]
            lines += ["    # The end of the path.", "    return bytearray(size)", "", ""]
        write_once(os.path.join(folder, module + ".py"), "\n".join(lines[:-1]))


def write_once(path, text):
    """Leaves a file as it is that is so already: a report takes no lines from one that is newer than its capture."""
    if os.path.exists(path):
        with open(path) as file:
            if file.read() == text:
                return
    with open(path, "w") as file:
        file.write(text)


def callee(caller, call):
    if call == CALLS - 1:
        return NAMES[caller]
    return NAMES[(caller * 7 + 11 * call + 1) % len(NAMES)]


def distinct_paths(wanted):
    """So many different paths: bytes of choices."""
    chance = random.Random(20)
    first = bytes(chance.randrange(CALLS - 1) for _ in range(18))
    paths, known = [first], {first}
    while len(paths) < wanted:
        stem = paths[min(chance.randrange(len(paths)), chance.randrange(len(paths)))]
        kept = max(4, len(stem) - chance.choice((1, 1, 1, 2, 2, 3, 5, 9)))
        tail = bytes(chance.randrange(CALLS) for _ in range(chance.choice((1, 1, 2, 2, 3, 4, 6))))
        path = stem[:kept] + tail
        if 8 <= len(path) <= 38 and path not in known:
            known.add(path)
            paths.append(path)
    chance.shuffle(paths)
    return paths


def slices(items, parts):
    for part in range(parts):
        began = time.monotonic()
        yield items[len(items) * part // parts:len(items) * (part + 1) // parts]
        time.sleep(max(0.0, began + SLICE_SECONDS - time.monotonic()))


def main():
    wanted = int(sys.argv[1])
    folder = os.path.abspath("stacks-modules")
    write_modules(folder)
    sys.path.insert(0, folder)
    import service
    paths = [path + bytes([END]) for path in distinct_paths(wanted)]
    for part in slices(paths, SLICES * 3 // 5):
        for path in part:
            KEPT.append(service.accept(path, 0, 600 + len(KEPT) * 7919 % 8400))
    at = 0
    for part in slices(paths, SLICES * 2 // 5):
        for path in part:
            if at % 5 < 3:
                KEPT[at] = None
            if at % 10 == 0:
                KEPT.append(service.accept(path, 0, 700))
            at += 1
    print(len(set(paths)), "stacks,", len(KEPT) - wanted, "blocks more")


if __name__ == "__main__":
    main()
