"""Few rows of large sets: whether what validates them says which model is best.

    python3 few.py DATA --lehr PROGRAM [--before PROGRAM] [--time 60s] [--seeds 1 2 …] [--sets mnist-1500 …] --out FILE
    python3 few.py DATA --lehr PROGRAM --variants='--folds 5, --folds 10, …' … --out FILE
    python3 few.py --table FILE

Rows are drawn by the seed from the training parts of sets that have official test rows, which are not looked at (three
tables have none: of these all rows are drawn from, the vaults of run.py among them); others of the same parts are what
nothing sees before the end. DATA is the same folder as that of run.py.
Studies run on one core each, two at a time: of a pair, one validates with a fifth of the rows, the other in five folds;
with --before, one is explored by an earlier program, the other by the present one; with --variants, each with other
options.
Needs numpy and pandas.
"""

import argparse
import csv
import gzip
import itertools
import pathlib
import queue
import statistics
import sys
import tempfile
import threading

import numpy
import pandas

import run

# Where the rows are from, how many are explored, how many are judged by, the metric.
SETS = {
    "mnist1d-100": ("mnist1d", 100, 2500, "accuracy"),
    "mnist1d-200": ("mnist1d", 200, 2500, "accuracy"),
    "mnist-200": ("mnist", 200, 5000, "accuracy"),
    "adult-250": ("adult", 250, 8000, "auc"),
    "higgs-300": ("higgs", 300, 5500, "accuracy"),
    "trec-300": ("trec", 300, 3900, "accuracy"),
    "adult-1500": ("adult", 1500, 8000, "auc"),
    "adult-rare-1500": ("adult-rare", 1500, 10000, "auc"),
    "higgs-1500": ("higgs", 1500, 5500, "accuracy"),
    "mnist1d-1500": ("mnist1d", 1500, 2500, "accuracy"),
    "mnist-1500": ("mnist", 1500, 5000, "accuracy"),
    "trec-1500": ("trec", 1500, 3900, "accuracy"),
    "phoneme-1500": ("phoneme", 1500, 3000, "auc"),
    "kin8nm-2000": ("kin8nm", 2000, 5000, "r2"),
    "california-2000": ("california", 2000, 8000, "r2"),
    "adult-8000": ("adult", 8000, 8000, "auc"),
    "adult-24000": ("adult", 24000, 8000, "balanced_accuracy"),
    "adult-rare-8000": ("adult-rare", 8000, 10000, "auc"),
    "higgs-5000": ("higgs", 5000, 2000, "accuracy"),
    "mnist1d-3000": ("mnist1d", 3000, 1000, "accuracy"),
    "mnist-2500": ("mnist", 2500, 5000, "accuracy"),
    "trec-4000": ("trec", 4000, 1452, "accuracy"),
}

FIELDS = ["set", "seed", "variant", "metric", "unseen", "log_loss", "validation", "ensemble", "trials"]


def idx(path):
    """The array in a gzipped IDX file of bytes."""
    data = gzip.open(path).read()
    extents = numpy.frombuffer(data, ">u4", data[3], offset=4)
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * data[3]).reshape(extents)


def rare(adult):
    """Twelve of a hundred rows are of the rarer class; it is a quarter in the whole set."""
    common, rarer = adult["income"].value_counts().index
    rows = [adult[adult["income"] == common].iloc[:20000], adult[adult["income"] == rarer].sample(2727, random_state=0)]
    return pandas.concat(rows).sample(frac=1, random_state=0)


def training_part(data, name):
    """A table whose last column is the target, or arrays of examples and classes."""
    tabular = data / "tabular"
    if name in ("adult", "adult-rare"):
        adult = pandas.read_csv(tabular / "adult" / "adult_train.csv.gz")
        return rare(adult) if name == "adult-rare" else adult
    if name == "higgs":
        higgs = pandas.read_csv(tabular / "higgs-small" / "higgs_train.tsv.gz", sep="\t", header=None)
        higgs.columns = ["label", *(f"f{place}" for place in range(28))]
        higgs["label"] = higgs["label"].map({0: "background", 1: "signal"})
        return higgs[[*higgs.columns[1:], "label"]]
    if name == "phoneme":
        return pandas.read_csv(tabular / "phoneme" / "phoneme.csv")
    if name == "kin8nm":
        return pandas.read_csv(tabular / "kin8nm" / "kin8nm.csv")
    if name == "california":
        homes = pandas.read_csv(tabular / "california-housing" / "california_housing.csv")
        return homes[[*homes.columns.drop("median_house_value"), "median_house_value"]]
    if name == "trec":
        return pandas.read_csv(data / "text" / "trec" / "trec_train.csv").drop(columns="fine")
    if name == "mnist1d":
        arrays = numpy.load(data / "timeseries" / "mnist1d" / "mnist1d.npz")
        return arrays["x"], arrays["y"]
    folder = data / "images" / "mnist-idx"
    return idx(folder / "train-images-idx3-ubyte.gz"), idx(folder / "train-labels-idx1-ubyte.gz")


def draw(part, explored, judged, seed, place):
    """Two files of rows that no row is in twice."""
    rows = len(part[0]) if isinstance(part, tuple) else len(part)
    order = numpy.random.default_rng(100 + seed).permutation(rows)
    files = []
    for name, chosen in (("explored", order[:explored]), ("judged", order[explored:explored + judged])):
        if isinstance(part, tuple):
            files.append(place / f"{name}.npz")
            numpy.savez(files[-1], X=part[0][chosen], y=part[1][chosen])
        else:
            files.append(place / f"{name}.csv")
            part.iloc[chosen].to_csv(files[-1], index=False)
    return files


def explore(program, files, options, metric, budget, seed, core, place):
    """How good a study's winner is on the rows that nothing saw, and how good it was said to be."""
    options = ["--test", files[1], "--slots", "1", *options]
    on_a_core = ["taskset", "-c", str(core), program]
    found, status, _ = run.study(on_a_core, files[0], options, metric, budget, seed, 8, place / "study")
    unseen = found["winner"]["vault_metrics"]
    together = (found.get("ensemble") or {}).get("scored", {}).get("vault_metrics", {})
    return {"unseen": unseen[metric], "log_loss": unseen.get("log_loss"), "validation": status["best"][1],
            "ensemble": together.get(metric), "trials": sum(status["counts"].values())}


def variants_of(arguments):
    """What is compared: programs with options, by name."""
    if arguments.before:
        return {"before": (arguments.before, []), "after": (arguments.lehr, [])}
    if arguments.variants:
        return {options.strip(): (arguments.lehr, options.split()) for options in arguments.variants.split(",")}
    return {"one part": (arguments.lehr, ["--folds", "1"]), "five folds": (arguments.lehr, ["--folds", "5"])}


def run_all(arguments):
    """All pairs that are not in the file already."""
    variants = variants_of(arguments)

    def study(source, variant, files, place):
        program, options = variants[variant]
        return program, files, options + (["--target", "coarse"] if source == "trec" else [])

    run_studies(arguments, SETS, training_part, variants, study)


def run_studies(arguments, sets, part_of, variants, study):
    """Every variant of every set and seed that is not in the file already, two studies at a time.

    `part_of(data, source)` gives the rows that are drawn from; `study(source, variant, files, place)` says with which
    program what is explored beside which judged rows, and with which options.
    """
    out, data = pathlib.Path(arguments.out), pathlib.Path(arguments.data)
    done = done_in(out, FIELDS, lambda row: (row["set"], int(row["seed"]), row["variant"]))
    lock = threading.Lock()

    def one(job, core):
        name, seed, variant = job
        source, explored, judged, metric = sets[name]
        with tempfile.TemporaryDirectory() as place:
            place = pathlib.Path(place)
            files = draw(part_of(data, source), explored, judged, seed, place)
            program, files, options = study(source, variant, files, place)
            found = explore(program, files, options, metric, arguments.time, seed, core, place)
        row = {"set": name, "seed": seed, "variant": variant, "metric": metric, **found}
        with lock, open(out, "a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, FIELDS).writerow(row)
        print(*row.values(), flush=True)

    two_at_a_time([job for job in itertools.product(arguments.sets, arguments.seeds, variants) if job not in done], one)


def two_at_a_time(jobs, one):
    """Does `one(job, core)` for every job, on two cores."""
    waiting = queue.Queue()
    for job in jobs:
        waiting.put(job)

    def work(core):
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            one(job, core)

    workers = [threading.Thread(target=work, args=(core,)) for core in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def table(path, sets=None):
    """For each variant but the first, means over seeds, and by how much it is better than the first."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    one, *others = dict.fromkeys(row["variant"] for row in rows)
    for other in others:
        pair(rows, one, other, sets or SETS)


def pair(rows, one, other, sets):
    """The table of two variants."""
    print(f"| rows of | metric | seeds | {one}: said | unseen | its ensemble | {other}: said | unseen | its ensemble "
          "| better by (least to most) |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in sets:
        of = {key: {row["seed"]: row for row in rows if (row["set"], row["variant"]) == (name, key)}
              for key in (one, other)}
        seeds = sorted(set.intersection(*(set(found) for found in of.values())))
        if not seeds:
            continue

        def mean(variant, field):
            return statistics.mean(float(of[variant][seed][field] or of[variant][seed]["unseen"]) for seed in seeds)

        def means(variant):
            return " | ".join(f"{mean(variant, field):.4f}" for field in ("validation", "unseen", "ensemble"))

        better = [float(of[other][seed]["unseen"]) - float(of[one][seed]["unseen"]) for seed in seeds]
        print(f"| {name} | {sets[name][3]} | {len(seeds)} | {means(one)} | {means(other)} "
              f"| {statistics.mean(better):+.4f} ({min(better):+.4f} to {max(better):+.4f}) |")


def done_in(out, fields, job_of):
    """The jobs that a file has rows of already; it is begun if it is not there."""
    if not out.exists():
        out.write_text(",".join(fields) + "\n", encoding="utf-8")
        return set()
    with open(out, newline="", encoding="utf-8") as file:
        return {job_of(row) for row in csv.DictReader(file)}


def run_or_show(description, sets, time, options, run_all, table):
    """The command line of a program that explores sets with some seeds, or shows the table of what it has found."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("data", nargs="?")
    parser.add_argument("--lehr", default="target/release/lehr")
    for name, settings in options.items():
        parser.add_argument(name, **settings)
    parser.add_argument("--time", default=time)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--sets", nargs="+", choices=sets, default=list(sets), metavar="SET")
    parser.add_argument("--out")
    parser.add_argument("--table", metavar="FILE")
    arguments = parser.parse_args()
    if arguments.table:
        return table(arguments.table)
    if not (arguments.data and arguments.out):
        parser.error("DATA and --out are needed")
    return run_all(arguments)


def main():
    options = {"--before": {"metavar": "PROGRAM"}, "--variants": {"metavar": "OPTIONS, OPTIONS, …"}}
    return run_or_show(__doc__, SETS, "60s", options, run_all, table)


if __name__ == "__main__":
    sys.exit(main())
