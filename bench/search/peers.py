"""Optuna and SMAC on the recorded tables that `lehr bench search` uses: the same models, the same scores.

Every slot of a table is a parameter: an integer level where neighbouring levels are alike, a category where
they are not. The objective is minus the score that lehr maximises: -ln of the mean squared error, or balanced
accuracy in percent, each the mean over the recorded seeds.

    python peers.py TABLES --out FILE [--seeds N] [--evaluations N] [--peers optuna smac] [--tables NAME ...]

writes one line for each peer, table and evaluation: the mean regret over the seeds and its standard error, in the
columns of `lehr bench search --out`.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

FCNET = {
    "axes": ["activation_1", "activation_2", "batch_size", "dropout_1", "dropout_2",
             "learning_rate", "schedule", "units_1", "units_2"],
    "categories": {"activation_1", "activation_2", "schedule"},
}
HPOBENCH = {
    "axes": ["alpha", "batch_size", "depth", "learning_rate", "width"],
    "categories": set(),
}
FILES = {
    "fcnet-parkinsons": ("fcnet/parkinsons_telemonitoring.npz", FCNET),
    "fcnet-slice": ("fcnet/slice_localization.npz", FCNET),
    "hpobench-car": ("hpobench-mlp/car.npz", HPOBENCH),
    "hpobench-credit-g": ("hpobench-mlp/credit_g.npz", HPOBENCH),
    "hpobench-kc1": ("hpobench-mlp/kc1.npz", HPOBENCH),
    "hpobench-phoneme": ("hpobench-mlp/phoneme.npz", HPOBENCH),
    "hpobench-vehicle": ("hpobench-mlp/vehicle.npz", HPOBENCH),
}


class Table:
    def __init__(self, folder, name):
        file, self.kind = FILES[name]
        values = np.load(folder / file)["values"].astype(np.float64).mean(-1)
        self.scores = -np.log(values) if name.startswith("fcnet") else 100 * values
        self.best = self.scores.max()
        self.median = np.sort(self.scores.ravel())[self.scores.size // 2]

    def parameters(self):
        for name, levels in zip(self.kind["axes"], self.scores.shape):
            yield name, levels, name in self.kind["categories"]

    def score(self, levels):
        return float(self.scores[tuple(levels[name] for name in self.kind["axes"])])


def optuna_course(table, evaluations, seed):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)

    def objective(trial):
        levels = {}
        for name, count, is_category in table.parameters():
            if is_category:
                levels[name] = trial.suggest_categorical(name, list(range(count)))
            else:
                levels[name] = trial.suggest_int(name, 0, count - 1)
        return table.score(levels)

    study.optimize(objective, n_trials=evaluations)
    return [trial.value for trial in study.trials]


def smac_course(table, evaluations, seed):
    import tempfile

    from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, UniformIntegerHyperparameter
    from smac import HyperparameterOptimizationFacade, Scenario

    space = ConfigurationSpace(seed=seed)
    for name, count, is_category in table.parameters():
        if is_category:
            space.add(CategoricalHyperparameter(name, list(range(count))))
        else:
            space.add(UniformIntegerHyperparameter(name, 0, count - 1))
    scores = []

    def objective(config, seed=0):
        scores.append(table.score(dict(config)))
        return -scores[-1]

    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(space, deterministic=True, n_trials=evaluations, seed=seed,
                            output_directory=Path(folder))
        facade = HyperparameterOptimizationFacade(scenario, objective, logging_level=50, overwrite=True)
        facade.optimize()
    return scores


PEERS = {"optuna": optuna_course, "smac": smac_course}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--tables", nargs="+", choices=FILES, default=list(FILES))
    args = parser.parse_args()
    with args.out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["table", "searcher", "workers", "seeds", "evaluation", "time", "regret", "regret_error",
                         "judged", "judged_error", "normalised", "normalised_error"])
        for name in args.tables:
            table = Table(args.folder, name)
            for peer in args.peers:
                courses = [PEERS[peer](table, args.evaluations, seed) for seed in range(args.seeds)]
                best = np.maximum.accumulate([course[: args.evaluations] for course in courses], axis=1)
                regrets = table.best - best
                means, errors = regrets.mean(0), regrets.std(0, ddof=1) / np.sqrt(args.seeds)
                scale = table.best - table.median
                for place in range(args.evaluations):
                    mean, error = means[place], errors[place]
                    # These tables have one score: it is searched and judged by. One training at a time.
                    values = [place + 1, mean, error, mean, error, mean / scale, error / scale]
                    writer.writerow([name, peer, 1, args.seeds, place + 1, *(f"{value:.6g}" for value in values)])
                file.flush()
                print(f"{name} {peer}: {means[-1]:.4g} after {args.evaluations}", file=sys.stderr)


if __name__ == "__main__":
    main()
