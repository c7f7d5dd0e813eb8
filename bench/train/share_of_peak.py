#!/usr/bin/env python3
"""What share of the machine's multiplications the networks of `networks.tsv` reach, from measured rates.

    python3 bench/train/share_of_peak.py bench/train/results/speed.csv --peak 272e9

Counted are the operations that a layer has by its definition (two per weight and position), forward once
and back twice except to the input. Minimal filtering does fewer: a share above 1 is possible.
"""

import argparse
import collections
import csv
import math
import pathlib
import statistics

NETWORKS = pathlib.Path(__file__).parent / "networks.tsv"


def operations(text):
    """Forward operations of each layer for one example."""
    shapes, names, counts = [], {}, []
    for index, statement in enumerate(text.split(" | ")):
        name, _, rest = statement.rpartition(": ")
        rest, _, inside = rest.partition(" (")
        kind, *words = rest.split()
        if kind == "in":
            shapes.append([int(size) for size in words[0].split("x")])
            continue
        before = names[words[0]] if kind == "add" else index - 1
        channels, *plane = shapes[names[inside.rstrip(")")] if inside else before]
        named = {word[0]: int(word[1:]) for word in words if word[0] in "ks" and word[1:].isdigit()}
        if kind == "dense":
            units = int(words[0])
            counts.append(2 * channels * math.prod(plane) * units)
            channels, plane = units, []
        elif kind in ("conv", "dwconv"):
            plane = [(extent - 1) // named.get("s", 1) + 1 for extent in plane]
            out = int(words[0]) if kind == "conv" else channels
            seen = channels if kind == "conv" else 1
            counts.append(2 * math.prod(plane) * named["k"] ** len(plane) * seen * out)
            channels = out
        elif kind == "maxpool":
            plane = [extent // named["k"] for extent in plane]
        elif kind == "gap":
            plane = []
        shapes.append([channels, *plane])
        if name:
            names[name] = index
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("speed", type=pathlib.Path)
    parser.add_argument("--peak", type=float, required=True, help="operations per second of one core")
    asked = parser.parse_args()
    rates = collections.defaultdict(list)
    for row in csv.DictReader(asked.speed.open()):
        if row["peer"] == "lehr":
            key = row["network"], row["mode"], int(row["threads"])
            rates[key].append(float(row["examples_per_second"]))
    networks = [line.split("\t") for line in NETWORKS.read_text().splitlines()[1:]]
    print("| network | MFLOP forward | train, 1 thread | infer, 1 | train, 2 | infer, 2 |\n|---|---|---|---|---|---|")
    for name, _, _, text in networks:
        counts = operations(text)
        forward = sum(counts)
        cost = {"infer": forward, "train": 3 * forward - counts[0]}
        shares = []
        for threads in (1, 2):
            for mode in ("train", "infer"):
                rate = statistics.median(rates[name, mode, threads])
                shares.append(f"{rate * cost[mode] / (threads * asked.peak):.2f}")
        print(f"| {name} | {forward / 1e6:.2f} | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
