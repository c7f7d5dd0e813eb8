#!/usr/bin/env python3
"""Where trainings should run: one per core or one on all cores, pinned or not, and what neighbours cost.

    cargo build --release -p train --example throughput
    python3 bench/train/placement.py --out bench/train/results/placement.csv

Four placements take turns, a window of each per round, for each network of `networks.tsv`:
`alone`   one training with one thread, the other cores idle;
`each`    one training with one thread per core, all at the same time: their rates are added;
`pinned`  the same, each bound to its core by `taskset`;
`all`     one training with as many threads as cores.
Printed are medians of the ratios of a round, with the smallest and largest.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
PLACEMENTS = ("alone", "each", "pinned", "all")


class Trainer:
    """One `throughput` process, asked line by line."""

    def __init__(self, threads, core=None):
        program = REPOSITORY / "target/release/examples/throughput"
        command = [str(program), str(HERE / "networks.tsv"), str(threads)]
        if core is not None:
            command = ["taskset", "--cpu-list", str(core), *command]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, network, seconds):
        self.process.stdin.write(f"{network} train {seconds}\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("error: throughput has ended; see its message above")
        return float(line)


def rate(trainers, network, seconds):
    for trainer in trainers:
        trainer.ask(network, seconds)
    return sum(trainer.answer() for trainer in trainers)


def networks():
    lines = (HERE / "networks.tsv").read_text().splitlines()[1:]
    return [line.split("\t")[0] for line in lines]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    placed = {
        "alone": [Trainer(1)],
        "each": [Trainer(1) for _ in cores],
        "pinned": [Trainer(1, core) for core in cores],
        "all": [Trainer(len(cores))],
    }
    rows = []
    for turn in range(arguments.rounds):
        for network in networks():
            for placement in PLACEMENTS:
                value = rate(placed[placement], network, arguments.seconds)
                rows.append((network, turn, placement, round(value, 1)))
    with arguments.out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("network", "round", "placement", "examples_per_second"))
        writer.writerows(rows)
    report(rows, len(cores))


def report(rows, cores):
    rates = {(network, turn, placement): value for network, turn, placement, value in rows}
    turns = sorted({turn for _, turn, _, _ in rows})

    def ratio(network, over, under, factor=1):
        values = [
            rates[network, turn, over] / (factor * rates[network, turn, under]) for turn in turns
        ]
        return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"

    print("| network | each / all | pinned / each | each / cores × alone |\n|---|---|---|---|")
    for network in networks():
        columns = (
            ratio(network, "each", "all"),
            ratio(network, "pinned", "each"),
            ratio(network, "each", "alone", cores),
        )
        print(f"| {network} | {' | '.join(columns)} |")


if __name__ == "__main__":
    main()
