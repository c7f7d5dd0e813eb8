"""What each part of the search is worth: explores real data with parts of it switched off, one CSV row per run.

    python3 ablation.py DATA [--time 20m] [--seeds 1 2 3 4 5] [--variants full random …] [--sets digits …] --out FILE

DATA is the folder with the published data sets; see README.md for where they come from.
All variants of a data set and seed run before the next seed, so that a change of the machine's speed meets all of
them. Nothing is tuned here and nothing is left out. Afterwards `ablation.py --table FILE` prints the means.
"""

import argparse
import collections
import csv
import pathlib
import statistics
import sys

from run import FIELDS, explore

VARIANTS = {
    "full": [],
    "every training whole": ["--rungs", "none"],
    "nothing inherited": ["--inherit", "nothing"],
    "weights inherited as they are": ["--inherit", "weights"],
    "no surrogate": ["--strategy", "unscreened"],
    "annealing alone": ["--strategy", "unscreened", "--inherit", "nothing", "--rungs", "none",
                        "--retrain", "nothing"],
    "nothing trained once more": ["--retrain", "nothing"],
    "random": ["--strategy", "random", "--rungs", "none", "--retrain", "nothing"],
}

SETS = {
    "digits": ["images/digits8x8/digits8x8.npz"],
    "mnist1d": ["timeseries/mnist1d/mnist1d.npz"],
    "cifar10-12k": ["images/cifar10-12k-png/cifar10-12k.zip"],
    "adult": ["tabular/adult/adult_train.csv.gz", "--test", "tabular/adult/adult_test.csv.gz"],
    "credit-g": ["examples/credit-g/credit-g.csv"],
    "kin8nm": ["tabular/kin8nm/kin8nm.csv"],
}

LOWER_IS_BETTER = {"rmse", "mae"}


def located(root, name):
    """The words of a set with whole paths; examples are in this repository."""
    return [word if word.startswith(("--", "examples/")) else str(root / word) for word in SETS[name]]


def measure(asked):
    sink = open(asked.out, "a", newline="")
    writer = csv.DictWriter(sink, FIELDS, extrasaction="ignore")
    if sink.tell() == 0:
        writer.writeheader()
    for seed in asked.seeds:
        for name in asked.sets:
            data, *extra = located(asked.data, name)
            for variant in asked.variants:
                flags = extra + VARIANTS[variant]
                row = explore(asked.lehr, data, asked.time, seed, flags)
                row.update(data=name, strategy=variant, seed=seed, time=asked.time)
                writer.writerow(row)
                sink.flush()
                print(f"{name} seed {seed} {variant}: {row['vault']:.4f} after {row['finished']} whole "
                      f"and {row['stopped']} stopped trainings", file=sys.stderr)


def table(file):
    values = collections.defaultdict(dict)
    metric = {}
    for row in csv.DictReader(open(file)):
        values[row["data"], row["strategy"]][row["seed"]] = float(row["vault"])
        metric[row["data"]] = row["metric"]
    sets = list(metric)
    variants = list(dict.fromkeys(variant for _, variant in values))
    print("| vault | " + " | ".join(f"{name} ({metric[name]})" for name in sets) + " | full is better |")
    print("|---" * (len(sets) + 2) + "|")
    for variant in variants:
        cells, better = [], 0
        for name in sets:
            own, full = values[name, variant], values[name, "full"]
            shared = sorted(own.keys() & full.keys())
            own = [own[seed] for seed in shared]
            spread = f" ± {statistics.stdev(own) / len(own) ** 0.5:.4f}" if len(own) > 1 else ""
            cells.append(f"{statistics.mean(own):.4f}{spread}")
            ahead = statistics.mean(full[seed] for seed in shared) - statistics.mean(own)
            better += (-ahead if metric[name] in LOWER_IS_BETTER else ahead) > 0
        print(f"| {variant} | " + " | ".join(cells) + f" | {better} of {len(sets)} |")


def arguments(description, out):
    """What every script takes that explores these sets."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path, nargs="?")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--lehr", default="target/release/lehr")
    parser.add_argument("--out", default=out)
    parser.add_argument("--table", type=pathlib.Path, metavar="FILE")
    return parser


def main():
    parser = arguments(__doc__, "ablation.csv")
    parser.add_argument("--time", default="20m")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    asked = parser.parse_args()
    if asked.table:
        table(asked.table)
    else:
        measure(asked)


if __name__ == "__main__":
    main()
