#!/usr/bin/env python3
"""One node, two nodes, and two studies that know nothing of each other, in turns.

Two trainings beside each other on one machine may each be slower than one alone, whatever coordinates them: the
third way says by how much, and what two nodes lose beyond that is the cluster's doing.

    python3 bench/cluster/two_nodes.py LEHR ADDRESS FOLDER --seconds 45 --seeds 4
"""

import argparse
import json
import os
import statistics
import subprocess
import threading
from pathlib import Path


def explore(lehr, address, out, study, workers, seconds, seed):
    """Starts a study on its own nodes, each with one trainer."""
    command = [
        lehr, "explore", "examples/digits", "--out", str(out), "--ledger", address, "--study", study,
        "--time", f"{seconds}s", "--slots", "1", "--workers", str(workers), "--strategy", "random",
        "--rungs", "none", "--retrain", "nothing", "--seed", str(seed),
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finished(lehr, out):
    """Trials with a score."""
    said = subprocess.run([lehr, "status", str(out), "--json"], capture_output=True, text=True, check=True)
    return json.loads(said.stdout)["counts"]["finished"]


def run(arguments, kind, seed):
    """Trials of one way; two studies are started at the same moment."""
    ways = {"one": [(1, 0)], "two": [(2, 0)], "apart": [(1, 0), (1, 1)]}
    running = []
    for workers, copy in ways[kind]:
        name = f"{kind}_{seed}_{copy}"
        out = Path(arguments.folder) / f"{name}.lehr"
        process = explore(
            arguments.lehr, arguments.address, out, f"run{os.getpid()}_{name}", workers, arguments.seconds, seed + 100 * copy
        )
        running.append((process, out))
    said = [None] * len(running)

    def hear(place):
        said[place] = running[place][0].communicate()[1]

    listeners = [threading.Thread(target=hear, args=(place,)) for place in range(len(running))]
    for listener in listeners:
        listener.start()
    for listener in listeners:
        listener.join()
    for (process, _), words in zip(running, said):
        if process.returncode != 0:
            raise SystemExit(f"a study failed:\n{words}")
    return sum(finished(arguments.lehr, out) for _, out in running)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lehr")
    parser.add_argument("address")
    parser.add_argument("folder")
    parser.add_argument("--seconds", type=int, default=45)
    parser.add_argument("--seeds", type=int, default=4)
    arguments = parser.parse_args()
    print("seed,one,two,apart")
    rows = []
    for seed in range(1, arguments.seeds + 1):
        order = ["one", "two", "apart"]
        order = order[seed % 3:] + order[: seed % 3]
        trials = {kind: run(arguments, kind, seed) for kind in order}
        rows.append(trials)
        print(f"{seed},{trials['one']},{trials['two']},{trials['apart']}", flush=True)
    for kind in ["two", "apart"]:
        ratios = [row[kind] / row["one"] for row in rows]
        total = sum(row[kind] for row in rows) / sum(row["one"] for row in rows)
        print(
            f"{kind} / one: {total:.3f} over all, median {statistics.median(ratios):.3f}, "
            f"from {min(ratios):.3f} to {max(ratios):.3f}"
        )


if __name__ == "__main__":
    main()
