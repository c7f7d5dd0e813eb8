"""Explores a data set once per seed and strategy and writes one CSV row per run.

Runs are interleaved (all strategies of a seed before the next seed), so that a change of the
machine's speed meets all of them. Nothing is tuned here and nothing is left out.
"""

import argparse
import csv
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

FIELDS = ["data", "strategy", "seed", "time", "metric", "validation", "vault", "linear_vault",
          "constant_vault", "finished", "stopped", "failed", "busy"]


def explore(lehr, data, time, seed, extra):
    with tempfile.TemporaryDirectory() as place:
        out = pathlib.Path(place) / "study"
        command = [lehr, "explore", data, "--time", time, "--seed", str(seed), "--out", str(out),
                   "--json", *extra]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{run.stderr}")
        found = json.loads(run.stdout)
        status = json.loads(subprocess.run([lehr, "status", str(out), "--json"], check=True,
                                           capture_output=True, text=True).stdout)
    baselines = {scored["name"]: scored["vault"]["value"] for scored in found["baselines"]}
    return {
        "metric": found["metric"],
        "validation": found["winner"]["validation"],
        "vault": found["winner"]["vault"]["value"],
        "linear_vault": baselines.get("a linear model"),
        "constant_vault": next(value for name, value in baselines.items()
                               if name != "a linear model"),
        "finished": status["counts"]["finished"],
        "stopped": status["counts"]["stopped"],
        "failed": status["counts"]["failed"],
        "busy": status["busy"]["share"] if status["busy"] else None,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="an example's name, or a file or folder")
    parser.add_argument("--time", default="120s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--strategies", nargs="+", default=["annealing", "random"])
    parser.add_argument("--lehr", default="target/release/lehr")
    parser.add_argument("--out", default="-")
    parser.add_argument("rest", nargs="*", help="more arguments for `lehr explore`, behind --")
    asked = parser.parse_args()
    example = pathlib.Path("examples") / asked.data
    data = str(example) if example.is_dir() else asked.data
    sink = sys.stdout if asked.out == "-" else open(asked.out, "w", newline="")
    writer = csv.DictWriter(sink, FIELDS, extrasaction="ignore")
    writer.writeheader()
    vaults = {strategy: [] for strategy in asked.strategies}
    for seed in asked.seeds:
        for strategy in asked.strategies:
            row = explore(asked.lehr, data, asked.time, seed,
                          ["--strategy", strategy, *asked.rest])
            row.update(data=asked.data, strategy=strategy, seed=seed, time=asked.time)
            vaults[strategy].append(row["vault"])
            writer.writerow(row)
            sink.flush()
    for strategy, values in vaults.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"{strategy}: mean {statistics.mean(values):.4f}, standard deviation {spread:.4f}",
              file=sys.stderr)


if __name__ == "__main__":
    main()
