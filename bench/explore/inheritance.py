"""What inherited weights are worth for the same number of epochs, and what training the best once more for the same time.

    python3 inheritance.py DATA --lehr PROGRAM --every PROGRAM [--seeds 1 2 3 4 5] [--sets digits …] --out FILE
    python3 inheritance.py --table FILE

Each set is explored once for each seed and way of beginning (ablation.py has the sets), on one core, two studies at a
time. The example `every_trial` of the crate `study` (`--every`) then says what each trial of a study says of the vault.
Of each study the trials count that had ended when as many epochs had been trained as the least study of the same set
and seed has in all; of a cross-validation the epochs of all networks count, and those of stopped trainings do, too.
Among these the score on the validation rows chooses, and the vault judges.

`usual` is a study with its last fifth, in which the best is trained once more; it is compared with `shrunk` by time.
It goes on where it stopped. Needs numpy.
"""

import collections
import concurrent.futures
import csv
import json
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile

import numpy

from ablation import LOWER_IS_BETTER, arguments, located

# What runs side by side is compared with the most care: the same other work meets both.
PAIRS = [
    {"usual": [], "shrunk": ["--retrain", "nothing"]},
    {"nothing": ["--retrain", "nothing", "--inherit", "nothing"],
     "weights": ["--retrain", "nothing", "--inherit", "weights"]},
]

FIELDS = ["set", "seed", "begins_with", "time", "metric", "trials", "epochs", "winner_validation", "winner_vault",
          "shared_epochs", "trials_by_then", "validation_by_then", "vault_by_then"]

TIME, LONGER = "45s", {"adult": "90s", "cifar10-12k": "90s"}


def explored(asked, name, seed, flags, core, out):
    data, *extra = located(asked.data, name)
    command = ["taskset", "-c", str(core), asked.lehr, "explore", data, *extra, *flags, "--slots", "1", "--seed",
               str(seed), "--time", LONGER.get(name, TIME), "--out", str(out), "--json"]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{run.stderr}")
    told = out / "every"
    subprocess.run(["taskset", "-c", str(core), asked.every, out, told], check=True)
    return json.loads(run.stdout), trials(out, told)


class Trial:
    """A training: the epochs of all its networks, and, if it came through, how it was scored and judged."""

    def __init__(self, epochs, score=None, vault=None):
        self.epochs, self.score, self.vault = epochs, score, vault


def trials(study, told):
    """All trainings of a study in the order in which they ended."""
    metric, networks = of_study(study)
    targets = numpy.fromfile(told / "vault_targets.f32", "<f4")
    lines = (told / "trials.jsonl").read_text(encoding="utf-8").splitlines()
    outputs = numpy.fromfile(told / "vault.f32", "<f4").reshape(len(lines), len(targets), -1)
    vaults = {json.loads(line)["trial"]: value(metric, said, targets) for line, said in zip(lines, outputs)}
    ledger = sqlite3.connect(study / "ledger.sqlite")
    ended = []
    for number, score, result, stop in ledger.execute(
            "select id, score, result, stop from trial where sequence is not null order by sequence"):
        if result is not None:
            curve = json.loads(result)["curve"]
            ended.append(Trial(len(curve) * networks, score, vaults[number]))
        elif stop is not None:
            ended.append(Trial(len(json.loads(stop)["curve"])))
    return ended


def of_study(study):
    """The metric, and how many networks a trial has. A network of another fold is trained for as many epochs."""
    config = (study / "lehr.toml").read_text(encoding="utf-8")
    metric = next(line.split('"')[1] for line in config.splitlines() if line.startswith("metric"))
    folds = study / "prepared" / "folds.json"
    if not folds.exists():
        return metric, 1
    return metric, max(json.loads(folds.read_text(encoding="utf-8")), default=0) + 1


def value(metric, outputs, targets):
    if metric == "rmse":
        return float(numpy.sqrt(numpy.mean((outputs[:, 0] - targets) ** 2)))
    right = outputs.argmax(-1) == targets
    if metric == "accuracy":
        return float(right.mean())
    if metric == "balanced_accuracy":
        return float(numpy.mean([right[targets == label].mean() for label in numpy.unique(targets)]))
    sys.exit(f"nothing here computes {metric}")


def chosen(ended, epochs):
    """The best of what had ended after so many epochs, and how many trainings that were."""
    spent, best, count = 0, None, 0
    for trial in ended:
        spent += trial.epochs
        if spent > epochs:
            break
        count += 1
        if trial.score is not None and (best is None or trial.score > best.score):
            best = trial
    return best, count


def measure(asked):
    sink = open(asked.out, "a+", newline="", encoding="utf-8")
    sink.seek(0)
    there = {(row["set"], int(row["seed"])) for row in csv.DictReader(sink)}
    writer = csv.DictWriter(sink, FIELDS)
    if sink.tell() == 0:
        writer.writeheader()
    for seed in asked.seeds:
        for name in asked.sets:
            if (name, seed) in there:
                continue
            for row in rows(asked, name, seed):
                writer.writerow(row)
            sink.flush()


def rows(asked, name, seed):
    found = {}
    for pair in PAIRS:
        with tempfile.TemporaryDirectory() as place:
            def run(begins_with, core):
                out = pathlib.Path(place) / begins_with
                found[begins_with] = explored(asked, name, seed, pair[begins_with], core, out)
            with concurrent.futures.ThreadPoolExecutor() as both:
                for done in [both.submit(run, begins_with, core) for core, begins_with in enumerate(pair)]:
                    done.result()
    shared = min(sum(trial.epochs for trial in ended) for way, (_, ended) in found.items() if way != "usual")
    for begins_with, (study, ended) in found.items():
        best, count = chosen(ended, shared)
        yield {
            "set": name, "seed": seed, "begins_with": begins_with, "time": LONGER.get(name, TIME),
            "metric": study["metric"], "trials": len(ended), "epochs": sum(trial.epochs for trial in ended),
            "winner_validation": study["winner"]["validation"],
            "winner_vault": study["winner"]["vault"]["value"], "shared_epochs": shared, "trials_by_then": count,
            "validation_by_then": best and best.score, "vault_by_then": best and best.vault,
        }


def table(file):
    cells = collections.defaultdict(dict)
    metrics = {}
    for row in csv.DictReader(open(file, encoding="utf-8")):
        cells[row["set"], row["begins_with"]][row["seed"]] = row
        metrics[row["set"]] = row["metric"]
    print("| set | metric | seeds | epochs | nothing | as they are | shrunk | shrunk is better than nothing "
          "| than as they are | trained once more is better |")
    print("|---" * 10 + "|")
    for name, metric in metrics.items():
        of = {begins_with: cells[name, begins_with] for begins_with in ["nothing", "weights", "shrunk", "usual"]}
        epochs = statistics.median(int(row["shared_epochs"]) for row in of["shrunk"].values())
        columns = [name, metric, len(of["shrunk"]), f"{epochs:.0f}"]
        columns += [means(of[begins_with].values(), "vault_by_then") for begins_with in ["nothing", "weights", "shrunk"]]
        columns += [ahead(metric, of["shrunk"], of[other], "vault_by_then") for other in ["nothing", "weights"]]
        columns += [ahead(metric, of["usual"], of["shrunk"], "winner_vault")]
        print("| " + " | ".join(map(str, columns)) + " |")


def means(of_seeds, field):
    return f"{statistics.mean(float(row[field]) for row in of_seeds):.4f}"


def ahead(metric, one, other, field):
    """By how much one is better in the mean, and how often."""
    sign = -1 if metric in LOWER_IS_BETTER else 1
    by = [sign * (float(one[seed][field]) - float(other[seed][field])) for seed in sorted(one.keys() & other.keys())]
    error = statistics.stdev(by) / len(by) ** 0.5 if len(by) > 1 else 0
    better, worse = sum(each > 0 for each in by), sum(each < 0 for each in by)
    return f"{statistics.mean(by):+.4f} ± {error:.4f}; {better}, {worse}"


def main():
    parser = arguments(__doc__, "inheritance.csv")
    parser.add_argument("--every", default="target/release/examples/every_trial")
    asked = parser.parse_args()
    if asked.table:
        table(asked.table)
    else:
        measure(asked)


if __name__ == "__main__":
    main()
