"""Which trials of a study to take where few rows validate: rules of choice, compared on rows that nothing saw.

    python3 choice.py DATA --lehr PROGRAM --every PROGRAM [--time 120s] [--seeds 1 2 3 …] [--sets mnist3-36 …] --out FILE
    python3 choice.py --table FILE

Rows are drawn as few.py draws them, from the training parts of sets that have official test rows; each set is explored
once for each seed, on one core, two studies at a time. The example `every_trial` of the crate `study` (`--every`) then
says what each trial of a study says of all rows, so that every rule chooses from the same trials, and its choice is
judged by the same rows. With --keep FOLDER, studies are kept, and not made again.

Rules that take one trial, and rules that take several, whose calibrated outputs are averaged (at most 8 of 20, added
one by one, 30 rounds). A trial's calibrated loss is that of its validation outputs after temperature and, of two
classes, offset are fitted to them.
Needs numpy, pandas and scipy.
"""

import collections
import csv
import functools
import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading

import numpy
from scipy import optimize

import few

# Kinds of questions that are common enough to be drawn.
COMMON = ["DESC", "ENTY", "HUM", "LOC", "NUM"]

# Where the rows are from, of which classes (all if None), how many are explored, how many are judged by, the metric.
SETS = {
    "mnist1d3-36": ("mnist1d", [0, 3, 6], 36, 1500, "accuracy"),
    "mnist3-36": ("mnist", [3, 5, 8], 36, 1500, "accuracy"),
    "adult-60": ("adult", None, 60, 3000, "auc"),
    "trec5-60": ("trec", COMMON, 60, 1500, "accuracy"),
    "mnist1d-100": ("mnist1d", None, 100, 1500, "accuracy"),
    "mnist-200": ("mnist", None, 200, 1500, "accuracy"),
    "adult-250": ("adult", None, 250, 3000, "auc"),
    "trec5-300": ("trec", COMMON, 300, 1500, "accuracy"),
    "adult-1500": ("adult", None, 1500, 4000, "auc"),
    "higgs-1500": ("higgs", None, 1500, 4000, "accuracy"),
    "mnist1d-1500": ("mnist1d", None, 1500, 2000, "accuracy"),
    "mnist-1500": ("mnist", None, 1500, 3000, "accuracy"),
    "trec-1500": ("trec", None, 1500, 3000, "accuracy"),
}

FIELDS = ["set", "seed", "trials", "rule", "members", "unseen", "log_loss"]

MEMBERS, CANDIDATES, ROUNDS = 8, 20, 30


# Rows and studies.


@functools.cache
def part(data, name):
    """The rows of a set that are drawn from."""
    source, classes, *_ = SETS[name]
    rows = few.training_part(data, source)
    if classes is None:
        return rows
    if source == "trec":
        return rows[rows["coarse"].isin(classes)]
    inputs, labels = rows
    chosen = numpy.isin(labels, classes)
    return inputs[chosen], labels[chosen]


def explored(arguments, name, seed, core, place):
    """The study of a draw."""
    study = place / "study"
    if (study / "leaderboard.csv").exists():
        return study
    source, _, rows, judged, metric = SETS[name]
    place.mkdir(parents=True, exist_ok=True)
    files = few.draw(part(pathlib.Path(arguments.data), name), rows, judged, seed + 50, place)
    command = ["taskset", "-c", str(core), arguments.lehr, "explore", files[0], "--test", files[1], "--slots", "1",
               "--time", arguments.time, "--seed", str(seed), "--metric", metric, "--out", study]
    command += ["--target", "coarse"] if source == "trec" else []
    subprocess.run(command, check=True, capture_output=True)
    return study


# Trials.


class Trials:
    """All trials of a study that have a score, and what they say."""

    def __init__(self, place, metric):
        def floats(name):
            return numpy.fromfile(place / f"{name}.f32", "<f4")

        lines = (place / "trials.jsonl").read_text(encoding="utf-8").splitlines()
        self.metric, self.told = metric, [json.loads(line) for line in lines]
        self.classes = floats("validation_targets").astype(int)
        self.unseen_classes = floats("vault_targets").astype(int)
        shape = (len(self.told), len(self.classes), -1)
        outputs = floats("validation").reshape(shape)
        unseen = floats("vault").reshape(len(self.told), len(self.unseen_classes), -1)
        self.outputs, self.unseen = [], []
        for own, of_unseen in zip(outputs, unseen):
            scale = fitted(own, self.classes)
            self.outputs.append(scale(own))
            self.unseen.append(scale(of_unseen))
        self.score = [trial["score"] for trial in self.told]
        self.loss = [trial["loss"] for trial in self.told]
        # By row; higher is better.
        self.calibrated = [log_likelihood(own, self.classes) for own in self.outputs]
        self.of_seeds = [at for at, trial in enumerate(self.told) if trial["origin"]["kind"] == "seed"]

    def by_standing(self, some=None):
        some = range(len(self.told)) if some is None else some
        return sorted(some, key=lambda at: (-self.score[at], self.loss[at]))

    def by_loss(self):
        return sorted(range(len(self.told)), key=lambda at: self.loss[at])

    def judged(self, members):
        """The metric and the log-loss on the rows that nothing saw, of the mean of some (with repeats)."""
        mean = lambda outputs: numpy.mean([outputs[at] for at in members], 0)
        scale = fitted(mean(self.outputs), self.classes)
        outputs = scale(mean(self.unseen))
        return value(self.metric, outputs, self.unseen_classes), -log_likelihood(outputs, self.unseen_classes).mean()


def log_probabilities(outputs):
    shifted = outputs - outputs.max(-1, keepdims=True)
    return shifted - numpy.log(numpy.exp(shifted).sum(-1, keepdims=True))


def log_likelihood(outputs, classes):
    return log_probabilities(outputs)[numpy.arange(len(classes)), classes]


def fitted(outputs, classes):
    """What makes the probabilities of outputs fit: a temperature, and of two classes an offset.

    As in lehr, targets are drawn towards even shares by 1/(rows + 2), so that it stays finite where all are right.
    """
    rows, count = outputs.shape
    drawn = 1 / (rows + 2)
    targets = (1 - drawn) * numpy.eye(count)[classes] + drawn / count

    def lack_of(scaled):
        return -(targets * log_probabilities(scaled)).sum(-1).mean()

    if count == 2:
        scaled = lambda found, others: others * numpy.exp(found[0]) + numpy.array([0, found[1]])
        found = optimize.minimize(lambda found: lack_of(scaled(found, outputs)), [0, 0], method="Nelder-Mead").x
        return lambda others: scaled(found, others)
    lack = lambda found: lack_of(outputs / numpy.exp(found))
    temperature = numpy.exp(optimize.minimize_scalar(lack, bounds=(-2, 4), method="bounded").x)
    return lambda others: others / temperature


def value(metric, outputs, classes):
    if metric == "accuracy":
        return (outputs.argmax(-1) == classes).mean()
    _, places, counts = numpy.unique(outputs[:, 1] - outputs[:, 0], return_inverse=True, return_counts=True)
    ranks = (numpy.cumsum(counts) - (counts - 1) / 2)[places]
    ones = classes == 1
    return (ranks[ones].sum() - ones.sum() * (ones.sum() + 1) / 2) / (ones.sum() * (~ones).sum())


# Rules.


def within_an_error(trials):
    """Of those whose score is not shown to be less than the highest by one error, the one with the least loss."""
    best = trials.by_standing()[0]
    rows = numpy.random.default_rng(0).integers(0, len(trials.classes), (200, len(trials.classes)))
    rows = [some for some in rows if len(numpy.unique(trials.classes[some])) > 1]

    def drawn(at):
        return numpy.array([value(trials.metric, trials.outputs[at][some], trials.classes[some]) for some in rows])

    of_best = drawn(best)
    for at in trials.by_loss():
        if at == best or trials.score[best] - trials.score[at] <= (of_best - drawn(at)).std(ddof=1) + 1e-12:
            return at


def seed_unless_beaten(trials):
    """The best seed, unless the trial with the highest score has less loss by one error of the difference."""
    best, seed = trials.by_standing()[0], trials.by_standing(trials.of_seeds)[0]
    gained = trials.calibrated[best] - trials.calibrated[seed]
    return best if gained.mean() > gained.std(ddof=1) / len(gained) ** 0.5 else seed


def together(trials, candidates, quality):
    """Caruana et al. 2004: added one by one such that the mean is best, the best mean on the way."""
    candidates, chosen, total, best = candidates[:CANDIDATES], [], 0, None
    for count in range(1, ROUNDS + 1):
        may = candidates if len(set(chosen)) < MEMBERS else [at for at in candidates if at in chosen]
        ranked = [(quality(trials, (total + trials.outputs[at]) / count), -place, at) for place, at in enumerate(may)]
        reached, _, added = max(ranked)
        chosen.append(added)
        total = total + trials.outputs[added]
        if best is None or reached > best[0]:
            best = reached, list(chosen)
    return best[1]


def by_metric(trials, mean):
    return value(trials.metric, mean, trials.classes), log_likelihood(mean, trials.classes).mean()


def by_loss(trials, mean):
    return (log_likelihood(mean, trials.classes).mean(),)


RULES = {
    "highest score": lambda trials: [trials.by_standing()[0]],
    "best seed": lambda trials: [trials.by_standing(trials.of_seeds)[0]],
    "best seed unless beaten": lambda trials: [seed_unless_beaten(trials)],
    "least loss": lambda trials: [trials.by_loss()[0]],
    "least calibrated loss": lambda trials: [max(range(len(trials.told)), key=lambda at: trials.calibrated[at].mean())],
    "least loss within an error": lambda trials: [within_an_error(trials)],
    "together by metric, of highest scores": lambda trials: together(trials, trials.by_standing(), by_metric),
    "together by metric, of least losses": lambda trials: together(trials, trials.by_loss(), by_metric),
    "together by loss, of highest scores": lambda trials: together(trials, trials.by_standing(), by_loss),
    "together by loss, of least losses": lambda trials: together(trials, trials.by_loss(), by_loss),
}


def chosen(trials, name, seed):
    """A row for each rule, and one for the trial that would have been best."""
    rows = [{"rule": rule, "found": choose(trials)} for rule, choose in RULES.items()]
    best = max(range(len(trials.told)), key=lambda at: trials.judged([at])[0])
    for row in [*rows, {"rule": "best there was", "found": [best]}]:
        unseen, log_loss = trials.judged(row["found"])
        yield {"set": name, "seed": seed, "trials": len(trials.told), "rule": row["rule"],
               "members": len(set(row["found"])), "unseen": f"{unseen:.6f}", "log_loss": f"{log_loss:.6f}"}


# All of it.


def run_all(arguments):
    out = pathlib.Path(arguments.out)
    done = few.done_in(out, FIELDS, lambda row: (row["set"], int(row["seed"])))
    lock = threading.Lock()

    def one(job, core):
        name, seed = job
        with tempfile.TemporaryDirectory() as passing:
            place = pathlib.Path(arguments.keep or passing) / f"{name}-{seed}"
            study = explored(arguments, name, seed, core, place)
            if not (place / "said" / "vault.f32").exists():
                subprocess.run([arguments.every, study, place / "said"], check=True)
            rows = list(chosen(Trials(place / "said", SETS[name][-1]), name, seed))
        with lock, open(out, "a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, FIELDS).writerows(rows)
        print(name, seed, flush=True)

    few.two_at_a_time([job for job in itertools.product(arguments.sets, arguments.seeds) if job not in done], one)


def table(path):
    """By how much each rule's choice is better than the trial with the highest score, of few and of more rows."""
    studies = collections.defaultdict(dict)
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            studies[row["set"], row["seed"]][row["rule"]] = float(row["unseen"]), float(row["log_loss"])
    of_size = {"fewer than 1,000 rows": lambda rows: rows < 1000, "more": lambda rows: rows >= 1000}
    for size, is_in in of_size.items():
        some = [found for (name, _), found in studies.items() if is_in(SETS[name][2])]
        if len(some) < 2:
            continue
        print(f"\n| {size}, {len(some)} studies | better by | better, worse | log-loss |\n|---|---|---|---|")
        for rule in list(some[0])[1:]:
            gained = [found[rule][0] - found["highest score"][0] for found in some]
            loss = [found[rule][1] - found["highest score"][1] for found in some]
            won, lost = sum(one > 0 for one in gained), sum(one < 0 for one in gained)
            print(f"| {rule} | {with_error(gained)} | {won}, {lost} | {with_error(loss)} |")


def with_error(values):
    return f"{statistics.mean(values):+.4f} ± {statistics.stdev(values) / len(values) ** 0.5:.4f}"


def main():
    every = {"metavar": "PROGRAM", "default": "target/release/examples/every_trial"}
    options = {"--every": every, "--keep": {"metavar": "FOLDER"}}
    return few.run_or_show(__doc__, SETS, "120s", options, run_all, table)


if __name__ == "__main__":
    sys.exit(main())
