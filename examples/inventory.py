"""A small data pipeline with a peak and a leak, for a first look at heaptide.

Reads orders, joins them with the catalogue, sums them up by region, renders and packs a report. Two things are wrong
with its memory, and heaptide shows both:

- the peak is in `read_orders`: the orders and the report of the day before are still held while a day is read;
- the leak is in `keep_audit_trail`: the background thread keeps each message it was ever sent.
"""
import collections
import csv
import io
import json
import queue
import random
import threading
import zlib

REGIONS = ["north", "south", "east", "west"]


def make_orders(count):
    """The input: what a real pipeline would read from a file."""
    random.seed(20)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["order", "product", "region", "pieces", "note"])
    for order in range(count):
        note = "handle with care; " * random.randrange(60)
        writer.writerow([order, random.randrange(500), random.choice(REGIONS), random.randrange(1, 20), note])
    return text.getvalue()


def read_orders(text):
    return list(csv.DictReader(io.StringIO(text)))


def join(orders, catalogue):
    for order in orders:
        product = catalogue[order["product"]]
        yield {**order, "name": product["name"], "total": int(order["pieces"]) * product["price"]}


def total_by_region(orders):
    totals = collections.Counter()
    for order in orders:
        totals[order["region"]] += order["total"]
    return dict(totals)


def render(orders, totals):
    lines = [json.dumps(order) for order in orders]
    return json.dumps({"totals": totals}) + "\n" + "\n".join(lines)


def keep_audit_trail(messages):
    trail = []
    while True:
        message = messages.get()
        trail.append(f"{message:>2000}")  # never emptied
        messages.task_done()


def main():
    messages = queue.Queue()
    threading.Thread(target=keep_audit_trail, args=(messages,), name="audit", daemon=True).start()
    catalogue = {str(number): {"name": f"product {number}", "price": 1 + number / 7} for number in range(500)}
    for day in range(5):
        orders = list(join(read_orders(make_orders(4_000 * (day + 1))), catalogue))
        report = render(orders, total_by_region(orders))
        packed = zlib.compress(report.encode())
        for order in orders[::10]:
            messages.put(f"day {day}: order {order['order']} done")
        messages.join()
        print(f"day {day}: {len(orders)} orders, report of {len(report)} bytes, packed {len(packed)}")


if __name__ == "__main__":
    main()
