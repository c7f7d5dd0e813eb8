"""What asking for small models is worth: the best accuracy at every size, with and without `--objectives params`.

    python3 front.py DATA [--time 30s] [--seeds 1 2 3 4 5]

Explores DATA both ways with each seed, one after the other, and prints one line per run: the best validation score
among all models of at most so many parameters, for sizes a factor of √10 apart, and its mean over the sizes. With
errors instead of accuracies less is better. The vault plays no part: no single model is judged here.
"""

import argparse
import csv
import pathlib
import statistics
import subprocess
import tempfile

SIZES = [round(10 ** (power / 2)) for power in range(5, 12)]
WAYS = {"score alone": [], "score and size": ["--objectives", "params"]}
LOWER_IS_BETTER = {"rmse", "mae", "log_loss"}


def explored(lehr, data, time, seed, flags):
    with tempfile.TemporaryDirectory() as place:
        out = pathlib.Path(place) / "study"
        command = [lehr, "explore", data, "--time", time, "--seed", str(seed), "--out", str(out), *flags]
        subprocess.run(command, check=True, capture_output=True)
        with open(out / "leaderboard.csv") as file:
            rows = list(csv.DictReader(file))
    metric = list(rows[0])[2]
    return metric, [(int(row["parameters"]), float(row[metric])) for row in rows]


def best_by_size(metric, models):
    choose = min if metric in LOWER_IS_BETTER else max
    within = [[value for size, value in models if size <= limit] for limit in SIZES]
    return [choose(values) if values else float("nan") for values in within]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--time", default="30s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--lehr", default="target/release/lehr")
    asked = parser.parse_args()
    print("| seed | asked for | " + " | ".join(f"≤ {size}" for size in SIZES) + " | mean |")
    print("|---" * (len(SIZES) + 3) + "|")
    means = {way: [] for way in WAYS}
    for seed in asked.seeds:
        for way, flags in WAYS.items():
            metric, models = explored(asked.lehr, asked.data, asked.time, seed, flags)
            values = best_by_size(metric, models)
            known = [value for value in values if value == value]
            means[way].append(statistics.mean(known))
            cells = " | ".join(f"{value:.4f}" for value in values)
            print(f"| {seed} | {way} | {cells} | {means[way][-1]:.4f} |", flush=True)
    gains = [both - alone for alone, both in zip(*means.values())]
    error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
    print(f"\n{metric}: size asked for, gain of the mean {statistics.mean(gains):+.4f} ± {error:.4f}")


if __name__ == "__main__":
    main()
