"""Tables of stored results, as Markdown.

Ratios are medians over the rounds of tool / bare, each against the bare run of the same round.
"""
import math
import statistics


# Not in the geometric mean: the calls are also measured one by one, and the libraries are in `imports`.
APART = ("fib", "richards", "deltablue", "libraries")


def show(results):
    """Prints everything that a results file holds."""
    python = results.get("python", [])
    if python:
        ratio_table("Wall time: bare in seconds, tools as ratio to bare", python, "wall_s")
        ratio_table("Processor time of all processes: bare in seconds, tools as ratio to bare", python, "cpu_s")
        value_table("Capture, MB", python, "capture_bytes", 1e6, 2)
        value_table("Peak RSS of the traced process, MB", python, "rss_bytes", 1e6, 0)
    if results.get("startup"):
        startup_table(results["startup"])
    if results.get("pairs"):
        pairs_table(results["pairs"])
    if results.get("depth"):
        depth_table(results["depth"])
    if results.get("threads"):
        threads_table(results["threads"])
    if results.get("pressure"):
        pressure_table(results["pressure"])
    if results.get("reports"):
        reports_table(results["reports"])
    if results.get("native"):
        native_tables(results["native"])
    native = results.get("python-native", [])
    if native:
        ratio_table("Python with native stacks, wall time: bare in seconds, tools as ratio to bare", native, "wall_s")
        ratio_table("Python with native stacks, processor time of all processes", native, "cpu_s")
        value_table("Python with native stacks, capture, MB", native, "capture_bytes", 1e6, 2)
        value_table("Python with native stacks, peak RSS of the traced process, MB", native, "rss_bytes", 1e6, 0)
    if results.get("unwind"):
        unwind_table(results["unwind"])
    if results.get("symbols"):
        symbols_table(results["symbols"])
    if results.get("memory"):
        memory_table(results["memory"])
    if results.get("answers"):
        answers_table(results["answers"])
    if results.get("page"):
        page_tables(results["page"])


def row(cells):
    print("| " + " | ".join(cells) + " |")


def head(title, columns):
    print(f"\n{title}\n")
    row(columns)
    row(["---"] + ["---:"] * (len(columns) - 1))


def names(runs, key):
    return list(dict.fromkeys(run[key] for run in runs))


def median(runs, key):
    values = [run[key] for run in runs if run["status"] == 0]
    return statistics.median(values) if values else None


def ratio(runs, bare, key):
    base = {run["round"]: run[key] for run in bare if run["status"] == 0}
    ratios = [run[key] / base[run["round"]] for run in runs if run["status"] == 0 and base.get(run["round"])]
    return statistics.median(ratios) if ratios else None


def text(value, digits):
    return "–" if value is None else f"{value:,.{digits}f}"


def select(runs, workload, tool, key="workload"):
    return [run for run in runs if run[key] == workload and run["tool"] == tool]


def ratio_table(title, runs, key):
    tools = [tool for tool in names(runs, "tool") if tool != "bare"]
    head(title, ["workload", "bare", *tools])
    ratios = {tool: [] for tool in tools}
    for workload in names(runs, "workload"):
        bare = select(runs, workload, "bare")
        cells = []
        for tool in tools:
            value = ratio(select(runs, workload, tool), bare, key)
            if value and workload not in APART:
                ratios[tool].append(math.log(value))
            cells.append(text(value, 3))
        row([workload, text(median(bare, key), 2), *cells])
    means = [text(math.exp(statistics.mean(logs)) if logs else None, 3) for logs in ratios.values()]
    row([f"geometric mean (without {', '.join(APART)})", "", *means])


def value_table(title, runs, key, unit, digits):
    tools = names(runs, "tool")
    head(title, ["workload", *tools])
    for workload in names(runs, "workload"):
        medians = [median(select(runs, workload, tool), key) for tool in tools]
        row([workload, *(text(value and value / unit, digits) for value in medians)])


def startup_table(runs):
    bare = median([run for run in runs if run["tool"] == "bare"], "wall_s")
    head("`python -c pass`, ms", ["tool", "wall", "more than bare"])
    for tool in names(runs, "tool"):
        wall = median([run for run in runs if run["tool"] == tool], "wall_s")
        row([tool, text(wall and wall * 1e3, 1), text(wall and bare and (wall - bare) * 1e3, 1)])


def pairs_table(runs):
    """`value` is what the program printed: ns, or instructions, for one pair."""
    head("malloc/free pairs of 64 bytes in C", ["measured", "tool", "a pair", "more than bare", "Mevents/s",
                                              "collector CPU s", "waited s"])
    for mode in names(runs, "mode"):
        bare = median([run for run in runs if run["mode"] == mode and run["tool"] == "bare"], "value")
        for tool in names(runs, "tool"):
            mine = [run for run in runs if run["mode"] == mode and run["tool"] == tool]
            if not mine:
                continue
            value = median(mine, "value")
            cost = [text(median(mine, key), 2) if key in mine[0] else ""
                    for key in ("mevents_per_second", "collector_cpu_s", "waited_s")]
            row([mode, tool, text(value, 1), text(value and bare and value - bare, 1), *cost])


def depth_table(runs):
    """`value` is what the program printed: ns for one event, loop included."""
    head("A loop that allocates under so many Python frames: ns an event more than bare",
         ["frames", "bare", *(tool for tool in names(runs, "tool") if tool != "bare")])
    for mode in names(runs, "mode"):
        mine = {tool: [run for run in runs if run["mode"] == mode and run["tool"] == tool] for tool in names(runs, "tool")}
        bare = median(mine.pop("bare"), "value")
        row([mode, text(bare, 1), *(text(median(some, "value") - bare, 1) for some in mine.values())])


def threads_table(runs):
    """`value` is what the program printed: allocations per microsecond, all threads together."""
    tools = names(runs, "tool")
    head("Threads that allocate at once: allocations per microsecond, and what they scale to of what bare does",
         ["threads", *tools, *(f"{tool}, scaling of bare's" for tool in tools if tool != "bare")])
    values = {mode: {tool: median([run for run in runs if run["mode"] == mode and run["tool"] == tool], "value")
                     for tool in tools} for mode in names(runs, "mode")}
    for mode, mine in values.items():
        alone = values[mode.split(",")[0] + ", 1 thread"]
        scaling = [mine[tool] / alone[tool] / (mine["bare"] / alone["bare"]) for tool in tools if tool != "bare"]
        row([mode, *(text(mine[tool], 2) for tool in tools), *(text(value, 2) for value in scaling)])


def pressure_table(runs):
    """The share is of the time of all threads together, of events lost it is the most of any round."""
    head("Threads that do nothing but make and release tiny blocks, 40 million events: million events a second, the share "
         "of the threads' time in which they waited for the collector, events lost",
         ["threads", "tool", "Mevents/s", "of bare's", "waits", "waited", "lost"])
    for mode in names(runs, "mode"):
        bare = select(runs, mode, "bare", "mode")
        for tool in names(runs, "tool"):
            mine = select(runs, mode, tool, "mode")
            speed = ratio(mine, bare, "mevents_per_second")
            cells = ["", "", ""]
            if tool != "bare":
                share, lost = median(mine, "waited_share"), [run["lost"] for run in mine if run["status"] == 0]
                cells = [text(median(mine, "waits"), 0), text(share and share * 100, 1) + " %", text(max(lost, default=None), 0)]
            row([mode, tool, text(median(mine, "mevents_per_second"), 2), text(speed, 3), *cells])


def rss_text(runs):
    """The kernel counts the benchmark's own size before exec: less cannot be told from that."""
    rss, floor = median(runs, "rss_bytes"), median(runs, "rss_floor_bytes")
    return f"< {floor / 1e6:,.0f}" if rss is not None and rss <= floor else text(rss and rss / 1e6, 0)


def reports_table(runs):
    head("Reports from a finished capture", ["capture", "capture MB", "events", "report", "wall s", "peak RSS MB",
                                            "output MB"])
    for capture in names(runs, "workload"):
        for report in names(runs, "tool"):
            mine = select(runs, capture, report)
            if mine:
                row([capture, text(mine[0]["capture_bytes"] / 1e6, 1), text(mine[0]["events"], 0), report,
                     text(median(mine, "wall_s"), 3), rss_text(mine),
                     text(median(mine, "output_bytes") / 1e6, 2)])


def answers_table(runs):
    head("Questions asked of captures of the same program", ["capture", "events", "question", "heaptide s", "memray s",
                                                             "ratio", "heaptide MB", "memray MB"])
    for capture in names(runs, "workload"):
        of_capture = [run for run in runs if run["workload"] == capture]
        for question in names(of_capture, "question"):
            mine = [run for run in of_capture if run["question"] == question]
            ours, theirs = ([run for run in mine if run["tool"] == tool] for tool in ("heaptide", "memray"))
            row([capture, text(mine[0]["events"], 0), question, text(median(ours, "wall_s"), 3),
                 text(median(theirs, "wall_s"), 3), text(ratio(ours, theirs, "wall_s"), 3), rss_text(ours),
                 rss_text(theirs) if theirs else "–"])


def some_median(runs, key):
    """Of the runs that have it: a page need not have everything."""
    values = [run[key] for run in runs if run.get(key) is not None]
    return statistics.median(values) if values else None


def page_tables(runs):
    made, opened = ([run for run in runs if run["phase"] == phase] for phase in ("made", "read"))
    head("A report as a page: making it", ["stacks", "report", "wall s", "peak RSS MB", "page MB", "without its data KB"])
    for stacks in names(made, "stacks"):
        for tool in names(made, "tool"):
            mine = select(made, stacks, tool, "stacks")
            if mine:
                weight, bare = some_median(mine, "page_bytes"), some_median(mine, "without_data_bytes")
                row([text(stacks, 0), tool, text(median(mine, "wall_s"), 2), rss_text(mine), text(weight and weight / 1e6, 2),
                     text(bare and bare / 1e3, 0)])
    if not opened:
        return
    columns = {"painted": "first paint", "opened": "graph", "zoom": "zoom", "zoomed": "zoomed", "search": "search",
               "invert": "inverted", "table": "table", "instant": "instant", "window": "window"}
    head("Reading it in headless Chromium: ms", ["stacks", "page", *columns.values(), "JS heap MB", "process MB", "times"])
    for stacks in names(opened, "stacks"):
        for tool in names(opened, "tool"):
            mine = select(opened, stacks, tool, "stacks")
            if mine:
                heap, whole = some_median(mine, "heap_bytes"), some_median(mine, "process_bytes")
                row([text(stacks, 0), tool, *(text(some_median(mine, key), 0) for key in columns),
                     text(heap and heap / 1e6, 1), text(whole and whole / 1e6, 0), text(len(mine), 0)])


def native_tables(runs):
    ratio_table("C and C++ programs, wall time: bare in seconds, tools as ratio to bare", runs, "wall_s")
    ratio_table("C and C++ programs, processor time of all processes", runs, "cpu_s")
    value_table("C and C++ programs, capture, MB", runs, "capture_bytes", 1e6, 2)
    value_table("C and C++ programs, peak RSS of the traced process, MB", runs, "rss_bytes", 1e6, 0)
    tools = [tool for tool in names(runs, "tool") if tool.startswith("heaptide")]
    if "heaptrack" not in names(runs, "tool"):
        return
    head("What the tools add to bare, as a part of what heaptrack adds",
         ["workload", *(f"{tool}, {what}" for tool in tools for what in ("wall", "processor time"))])
    for workload in names(runs, "workload"):
        bare = select(runs, workload, "bare")

        def added(tool, key):
            value = ratio(select(runs, workload, tool), bare, key)
            return value and value - 1

        def part(tool, key):
            mine, theirs = added(tool, key), added("heaptrack", key)
            return None if mine is None or not theirs or theirs < 0 else mine / theirs

        row([workload, *(text(part(tool, key), 2) for tool in tools for key in ("wall_s", "cpu_s"))])


def unwind_table(runs):
    """`value` is what the program printed: ns for a pair, in which malloc is the event with a stack."""
    tools = [tool for tool in names(runs, "tool") if tool != "bare"]
    modes = names(runs, "mode")
    values = {mode: {tool: median([run for run in runs if run["mode"] == mode and run["tool"] == tool], "value")
                     for tool in ["bare", *tools]} for mode in modes}
    native = "heaptide --native"
    head("A malloc/free pair under so many native frames: ns more than bare",
         ["frames", "bare", *tools, "more than default mode"])
    for mode, mine in values.items():
        more = mine[native] - mine["heaptide"] if native in mine and "heaptide" in mine else None
        row([mode, text(mine["bare"], 1), *(text(mine[tool] - mine["bare"], 1) for tool in tools), text(more, 1)])
    same = [(int(mode.split()[0]), mine) for mode, mine in values.items() if mode.endswith("none changes")]
    if native in tools and len(same) > 1:
        (few, least), (many, most) = same[0], same[-1]
        each = (most[native] - most["bare"] - least[native] + least["bare"]) / (many - few)
        print(f"\nA frame that has not changed: {each:.2f} ns ({few} to {many} frames).")


def symbols_table(runs):
    head("Flame graph with names, of a program with NumPy and pandas: with an empty cache of symbols, and again",
         ["tool", "capture MB", "first, s", "second, s", "peak RSS MB", "output MB"])
    for tool in names(runs, "tool"):
        first, second = select(runs, "first", tool), select(runs, "second", tool)
        row([tool, text(first[0]["capture_bytes"] / 1e6, 2), text(median(first, "wall_s"), 2),
             text(median(second, "wall_s"), 2), rss_text(first), text(median(first, "output_bytes") / 1e6, 2)])


def memory_table(runs):
    tools = names(runs, "tool")
    head("Most resident memory, MiB (bound)", ["recorded", *tools])
    for case in names(runs, "case"):
        cells = {run["tool"]: run for run in runs if run["case"] == case}
        row([case] + [f"{cells[tool]['rss_bytes'] / 2**20:.0f}"
                      + (f" ({cells[tool]['bound_bytes'] / 2**20:.0f})" if cells[tool]["bound_bytes"] else "") for tool in tools])
