"""Every published data set with one command: what lehr takes it for and how far it comes.

    python3 run.py DATA --lehr PROGRAM [--time 5m] [--seeds 1 2 …] [--ensemble 10] [--sets digits …] --out FILE
    python3 run.py --table FILE
    python3 run.py --ensembles FILE

DATA is the folder with the published data sets; see README.md for where they come from.
One line of CSV per set and seed; those that are in FILE already are passed over, so that a run can be taken up.
"""

import argparse
import csv
import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

# Path under DATA, options where the data themselves do not say what is meant, metric of the reference, reference.
SETS = {
    "adult": ("tabular/adult", [], "accuracy", "MLP 0.8522, FT-Transformer 0.8587, CatBoost 0.8727"),
    "bank-marketing": ("tabular/bank-marketing/bank_marketing.parquet", [], "auc", "auto-sklearn 0.9373"),
    "credit-g": ("tabular/credit-g/credit-g.arff", [], "auc", "auto-sklearn 0.7826, random forest 0.7947"),
    "phoneme": ("tabular/phoneme/phoneme.csv", [], "auc", "TPOT 0.9689"),
    "vehicle": ("tabular/vehicle/vehicle.csv", [], "accuracy", "TPOT 0.827, H2O 0.816"),
    "kc1": ("tabular/kc1/kc1.csv", [], "auc", "random forest 0.8421"),
    "segment": ("tabular/segment/segment.csv", [], "accuracy", "H2O 0.987"),
    "car": ("tabular/car/car.arff", [], "accuracy", "TPOT 1.000"),
    "blood-transfusion": ("tabular/blood-transfusion/blood_transfusion.csv", [], "auc", "auto-sklearn 0.7574"),
    "telco-churn": ("tabular/telco-churn/telco_churn.csv", [], "auc", "about 0.84 to 0.85"),
    "higgs-small": ("tabular/higgs-small", [], "accuracy", "none for this sample"),
    "mammography": ("tabular/mammography/mammography.csv", [], "auc", "none"),
    "california-housing": ("tabular/california-housing/california_housing.csv", ["--target", "median_house_value"], "rmse",
                           "other split: MLP 49900, CatBoost 43000"),
    "concrete": ("tabular/concrete/concrete.csv", [], "rmse", "MC-dropout MLP 4.83"),
    "kin8nm": ("tabular/kin8nm/kin8nm.csv", [], "rmse", "MC-dropout MLP 0.0789"),
    "wine-quality": ("tabular/wine-quality/wine_quality.csv", ["--task", "regression"], "rmse",
                     "red alone: MC-dropout MLP 0.62"),
    "abalone": ("tabular/abalone/abalone.csv", [], "rmse", "2.1 to 2.2"),
    "mnist": ("images/mnist-idx", [], "accuracy", "CNN about 0.99"),
    "cifar10-12k": ("images/cifar10-12k-png/cifar10-12k.zip", [], "accuracy", "none for this sample"),
    "digits": ("images/digits8x8/digits8x8.npz", [], "accuracy", "none"),
    "sign-language": ("images/sign-language-digits/sign-language-digits-1000.zip", [], "accuracy", "none"),
    "gunpoint": ("timeseries/gunpoint", [], "accuracy", "MLP 0.927, ResNet 0.991, FCN 1.000"),
    "arrowhead": ("timeseries/arrowhead", [], "accuracy", "MLP 0.778, FCN 0.843, ResNet 0.845"),
    "italypowerdemand": ("timeseries/italypowerdemand", [], "accuracy", "MLP 0.954, FCN 0.961, ResNet 0.963"),
    "basicmotions": ("timeseries/basicmotions", [], "accuracy", "InceptionTime 1.000"),
    "japanesevowels": ("timeseries/japanesevowels", [], "accuracy", "MLP 0.976, ResNet 0.992, FCN 0.993"),
    "mnist1d": ("timeseries/mnist1d/mnist1d.npz", [], "accuracy", "MLP 0.68, CNN 0.94"),
    "sms-spam": ("text/sms-spam/sms.tsv", [], "accuracy", "SVM 0.9764, tf-idf + logistic 0.9862"),
    "trec": ("text/trec", ["--target", "coarse", "--ignore", "fine"], "accuracy", "CNN 0.882, tf-idf + logistic 0.882"),
    "rt-polarity": ("text/rt-polarity/rt_polarity.csv.gz", [], "accuracy", "CNN 0.759, tf-idf + logistic 0.784"),
}

FIELDS = ["set", "seed", "found", "decided_by", "metric", "constant", "linear", "trees", "lehr", "low", "high",
          "ensemble", "members", "reference", "trials", "seconds", "verdict"]

# Metrics of which less is better.
ERRORS = {"rmse", "mae", "log_loss"}


class Failed(Exception):
    """The last that a study said."""


def study(program, path, options, metric, budget, seed, members, out):
    """What a study found, how it stands, and what was said while it went on; `program` is a list of words."""
    command = [*program, "explore", path, *options, "--metric", metric, "--time", budget, "--seed", str(seed),
               "--out", out, "--json"]
    if members:
        command += ["--ensemble", str(members)]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode != 0:
        raise Failed(ran.stderr.strip().splitlines()[-1])
    status = subprocess.run([*program, "status", out, "--json"], capture_output=True, text=True, check=True)
    return json.loads(ran.stdout), json.loads(status.stdout), ran.stderr.splitlines()


def explore(program, path, options, metric, budget, seed, members):
    """What lehr found in a set, as one record."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        out = pathlib.Path(place, "study")
        try:
            found, status, said = study([program], path, options, metric, budget, seed, members, out)
        except Failed as failed:
            return {"found": f"failed: {failed}", "seconds": round(time.monotonic() - began, 1)}
    seconds = time.monotonic() - began
    described = next(line for line in said if line.startswith("data"))
    scores = {scored["name"]: scored["vault_metrics"].get(metric) for scored in found["baselines"]}
    constants = ("the commonest class", "the mean", "the median")
    constant = next((value for name, value in scores.items() if name in constants), None)
    decides = found["metric"] == metric
    together = found.get("ensemble") or {}
    return {
        "found": described.removeprefix("data").strip(),
        "decided_by": found["metric"],
        "constant": constant,
        "linear": scores.get("a linear model"),
        "trees": next((value for name, value in scores.items() if "trees" in name), None),
        "lehr": found["winner"]["vault_metrics"].get(metric),
        "low": found["winner"]["vault"]["low"] if decides else None,
        "high": found["winner"]["vault"]["high"] if decides else None,
        "ensemble": together["scored"]["vault_metrics"].get(metric) if "scored" in together else None,
        "members": len(together["members"]) if "members" in together else None,
        "trials": sum(status["counts"].values()),
        "verdict": (found.get("verdict") or {}).get("finding"),
        "seconds": round(seconds, 1),
    }


def short(value):
    return "–" if value in (None, "") else f"{float(value):.4g}"


def table(path):
    print("| set | found | metric | constant | linear | trees | lehr (95 %) | ensemble | reference |")
    print("|---|---|---|---|---|---|---|---|---|")
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            interval = f" ({short(row['low'])}–{short(row['high'])})" if row["low"] else ""
            metric = row["metric"]
            if row["decided_by"] and row["decided_by"] != metric:
                metric += f", decided by {row['decided_by']}"
            print(f"| {row['set']} | {row['found']} | {metric} | {short(row['constant'])} | {short(row['linear'])} "
                  f"| {short(row['trees'])} | {short(row['lehr'])}{interval} | {short(row.get('ensemble'))} "
                  f"| {row['reference']} |")


def ensembles(path):
    """The winner beside the ensemble of the same study, by set over its seeds; without an ensemble, the winner."""
    print("| set | metric | seeds | winner | ensemble | better by (least to most) | ensembles |")
    print("|---|---|---|---|---|---|---|")
    of_set = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["lehr"]:
                of_set.setdefault((row["set"], row["metric"]), []).append(row)
    for (name, metric), rows in of_set.items():
        sign = -1 if metric in ERRORS else 1
        alone = [float(row["lehr"]) for row in rows]
        together = [float(row["ensemble"] or row["lehr"]) for row in rows]
        better = [sign * (other - own) for own, other in zip(alone, together)]
        made = sum(1 for row in rows if row["ensemble"])
        print(f"| {name} | {metric} | {len(rows)} | {short(statistics.mean(alone))} | {short(statistics.mean(together))} "
              f"| {statistics.mean(better):+.4g} ({min(better):+.4g} to {max(better):+.4g}) | {made} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=pathlib.Path)
    parser.add_argument("--lehr", default="lehr")
    parser.add_argument("--time", default="5m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--ensemble", type=int)
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--table", type=pathlib.Path)
    parser.add_argument("--ensembles", type=pathlib.Path)
    asked = parser.parse_args()
    if asked.table:
        return table(asked.table)
    if asked.ensembles:
        return ensembles(asked.ensembles)
    if not (asked.data and asked.out):
        parser.error("give DATA and --out, or --table")
    done = set()
    if asked.out.exists():
        with open(asked.out, newline="", encoding="utf-8") as file:
            done = {(row["set"], int(row["seed"])) for row in csv.DictReader(file)}
    with open(asked.out, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        if not done:
            writer.writeheader()
        for seed, name in itertools.product(asked.seeds, asked.sets):
            if (name, seed) in done:
                continue
            path, options, metric, reference = SETS[name]
            record = explore(asked.lehr, asked.data / path, options, metric, asked.time, seed, asked.ensemble)
            writer.writerow({"set": name, "seed": seed, "metric": metric, "reference": reference, **record})
            file.flush()
            print(name, seed, record.get("lehr"), record["found"], file=sys.stderr)


if __name__ == "__main__":
    main()
