"""lehr beside Auto-Keras and Optuna with PyTorch: the same rows, two cores and time for each; one CSV row per run.

    PYTHON peers.py DATA [--time 10m] [--seeds 1 2 3] [--sets digits adult …] [--systems lehr optuna …] --out FILE
    PYTHON peers.py --table FILE

DATA is the folder with the published data sets; PYTHON is one with both peers in it, see README.md. A run that FILE
already has is not made again, so that the same command goes on where it stopped.

Rows. Of digits and cifar10-12k, 20 % are test rows, stratified by the seed; adult has official test rows. All systems
get the same rows to learn from. 20 % of them are validation rows, stratified by the seed: the peers get the same ones,
lehr chooses its own. The result is the accuracy on the test rows of the model with the best validation accuracy
(the peers: of two equal ones, the one with the smaller validation loss).

Time. All systems of a data set and seed run before the next, each in fresh processes. lehr's time is its `--time`,
which counts from its start and with reading the data; it stops itself. A peer's time counts from the start of its
search: imports and reading the data are not in it, which is generous to it. Then it is killed, and what it had
written down as its best model by then predicts the test rows, in a new process and outside the time. Models of
trainings that were still running count. A peer with no model predicts the commonest class, and `note` says so.
`trials` are those that ended, whole or stopped early.

Auto-Keras: `ImageClassifier` and `StructuredDataClassifier` as they come, with accuracy as the objective, as many
trials as fit, the kinds of the table's columns said, and the validation rows given; with these it makes no last fit
on all rows. `autokeras-plain`, which must be asked for, searches its plain convolutions only: the second trial of
`ImageClassifier` is a ResNet-50 on images enlarged to 224 pixels, which two cores hardly finish.
Optuna: see peer_optuna.py for the space; two processes of one thread each share a study.
"""

import argparse
import collections
import csv
import importlib.metadata
import io
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile

FIELDS = ["data", "system", "version", "seed", "time", "accuracy", "trials", "seconds", "note"]
HERE = pathlib.Path(__file__).resolve().parent
CORES = 2
TEST_SHARE = VALIDATION_SHARE = 0.2

SETS = ["digits", "cifar10-12k", "adult"]
ADULT = {part: f"tabular/adult/adult_{part}.csv.gz" for part in ("train", "test")}

# Program, processes at once, packages whose versions matter.
PEERS = {
    "autokeras": ("peer_autokeras.py", 1, ["autokeras", "keras", "tensorflow-cpu", "tensorflow"]),
    "autokeras-plain": ("peer_autokeras.py", 1, ["autokeras", "keras", "tensorflow-cpu", "tensorflow"]),
    "optuna": ("peer_optuna.py", 2, ["optuna", "torch"]),
}
SYSTEMS = ["lehr", *PEERS]


# What a peer's program needs.


def serve(search, predict):
    """The command line of a peer's program: `search FOLDER SYSTEM SEED SECONDS WORKER` or `predict FOLDER`."""
    command, folder, *rest = sys.argv[1:]
    folder = pathlib.Path(folder)
    if command == "search":
        system, seed, seconds, worker = rest
        search(folder, system, int(seed), float(seconds), int(worker))
    else:
        labels, trials, note = predict(folder)
        (folder / "found.json").write_text(json.dumps({
            "labels": [int(label) for label in labels], "trials": trials, "note": note}))


def wait_for_start():
    """Says that all is loaded, waits for the signal, and sends later output to standard error."""
    print("ready", flush=True)
    sys.stdin.readline()
    os.dup2(2, 1)


# Rows.


def images(root, name):
    import numpy as np
    from PIL import Image

    if name == "digits":
        arrays = np.load(root / "images/digits8x8/digits8x8.npz")
        return arrays["X"], arrays["y"]
    with zipfile.ZipFile(root / "images/cifar10-12k-png/cifar10-12k.zip") as archive:
        files = sorted(file for file in archive.namelist() if file.endswith(".png"))
        pixels = [np.asarray(Image.open(io.BytesIO(archive.read(file))).convert("RGB")) for file in files]
    return np.stack(pixels), np.unique([file.split("/")[-2] for file in files], return_inverse=True)[1]


def adult(root):
    """Cells as text, which columns are numbers, and labels."""
    import numpy as np
    import pandas

    parts = [pandas.read_csv(root / ADULT[part], dtype=str, keep_default_na=False) for part in ("train", "test")]
    labels = [(part.pop("income") == ">50K").to_numpy().astype(int) for part in parts]
    numeric = [bool(part.str.fullmatch(r"-?[0-9.]+").all()) for _, part in parts[0].items()]
    return [part.to_numpy().astype(str) for part in parts], labels, np.array(numeric)


def prepare(root, name, seed, folder):
    """Writes what lehr and the peers read; returns lehr's arguments, and the labels of all and of the test rows."""
    import numpy as np
    from sklearn.model_selection import train_test_split

    def split(rows, labels, share):
        return train_test_split(rows, labels, test_size=share, stratify=labels, random_state=seed)

    if name == "adult":
        (rows, test), (labels, test_labels), numeric = adult(root)
        lehr = [str(root / ADULT["train"]), "--test", str(root / ADULT["test"])]
    else:
        rows, test, labels, test_labels = split(*images(root, name), TEST_SHARE)
        numeric = np.array([])
        lehr = [str(folder / "rows.npz")]
        # lehr takes the test rows of an NPZ file from the file itself.
        np.savez(folder / "rows.npz", X=rows, y=labels, X_test=test, y_test=test_labels)
    rows, validation, own, validation_labels = split(rows, labels, VALIDATION_SHARE)
    np.savez(folder / "peers.npz", X=rows, y=own, X_validation=validation, y_validation=validation_labels,
             X_test=test, numeric=numeric)
    return lehr, labels, test_labels


# Runs.


def run_lehr(asked, files, seed):
    from run import explore

    begin = time.monotonic()
    found = explore(asked.lehr, files[0], asked.time, seed, [*files[1:], "--metric", "accuracy"])
    version = subprocess.run([asked.lehr, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    note = f"{found['finished']} whole, {found['stopped']} stopped early, {found['failed']} failed"
    return {"version": version, "accuracy": found["vault"], "trials": found["finished"] + found["stopped"],
            "seconds": time.monotonic() - begin, "note": f"validation {found['validation']:.4f}; {note}"}


def run_peer(system, folder, seed, seconds, labels, test_labels):
    program, _, packages = PEERS[system]
    spent, notes = search(system, folder, seed, seconds)
    with open(folder / "predict.log", "w") as log:
        command = [sys.executable, str(HERE / program), "predict", str(folder)]
        ended = subprocess.run(command, stdout=log, stderr=log, env=environment(CORES)).returncode
    if ended == 0:
        found = json.loads((folder / "found.json").read_text())
    else:
        print((folder / "predict.log").read_text()[-2000:], file=sys.stderr)
        found = {"labels": None, "trials": 0, "note": "no predictions"}
    if not found["labels"] and notes:
        sys.exit(f"{system} ended before the time was over and has no model: see above")
    if not found["labels"]:
        found["labels"] = [collections.Counter(labels.tolist()).most_common(1)[0][0]] * len(test_labels)
        found["note"] += "; the commonest class instead"
    return {"version": versions(packages), "accuracy": float((test_labels == found["labels"]).mean()),
            "trials": found["trials"], "seconds": spent, "note": "; ".join([found["note"], *notes])}


def search(system, folder, seed, seconds):
    """Lets a peer search for so long; returns how long it did, and what was odd."""
    program, count, _ = PEERS[system]
    workers = []
    for worker in range(count):
        command = [sys.executable, str(HERE / program), "search", str(folder), system, str(seed), str(seconds),
                   str(worker)]
        with open(folder / f"search{worker}.log", "w") as log:
            workers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                            text=True, env=environment(CORES // count)))
    try:
        for worker in workers:
            while worker.stdout.readline() not in ("ready\n", ""):
                pass
        begin = time.monotonic()
        for worker in workers:
            if worker.poll() is None:
                worker.stdin.write("go\n")
                worker.stdin.flush()
        while time.monotonic() - begin < seconds and any(worker.poll() is None for worker in workers):
            time.sleep(0.05)
        spent = time.monotonic() - begin
        ended = [worker.poll() for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    notes = []
    for number, code in enumerate(ended):
        if code is not None:
            notes.append(f"process {number} ended by itself with code {code}")
            print((folder / f"search{number}.log").read_text()[-2000:], file=sys.stderr)
    return spent, notes


def environment(threads):
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "2"}


def versions(packages):
    found = []
    for package in packages:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            pass
    return ", ".join(found)


def seconds_of(text):
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([0-9.]+)\s*([hms])", text))


def narrow():
    """Keeps this program and all that it starts on its first cores, and lets libraries choose their own kernels."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)


def known(file):
    if not file.exists():
        return set()
    with file.open(newline="") as rows:
        return {(row["data"], row["system"], row["seed"], row["time"]) for row in csv.DictReader(rows)}


def measure(asked):
    narrow()
    done = known(asked.out)
    sink = open(asked.out, "a", newline="")
    writer = csv.DictWriter(sink, FIELDS)
    if sink.tell() == 0:
        writer.writeheader()
    for seed in asked.seeds:
        for name in asked.sets:
            for system in asked.systems:
                if (name, system, str(seed), asked.time) in done or (name == "adult" and system == "autokeras-plain"):
                    continue
                row = {"data": name, "system": system, "seed": seed, "time": asked.time,
                       **one(asked, name, system, seed)}
                row.update(accuracy=f"{row['accuracy']:.6f}", seconds=f"{row['seconds']:.1f}")
                writer.writerow(row)
                sink.flush()
                print(f"{name} seed {seed} {system}: {row['accuracy']} after {row['trials']} trials and "
                      f"{row['seconds']} s; {row['note']}", file=sys.stderr)


def one(asked, name, system, seed):
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        files, labels, test_labels = prepare(asked.data, name, seed, folder)
        if system == "lehr":
            return run_lehr(asked, files, seed)
        return run_peer(system, folder, seed, seconds_of(asked.time), labels, test_labels)


# The table.


def table(file):
    values = collections.defaultdict(list)
    with file.open(newline="") as rows:
        for row in csv.DictReader(rows):
            values[row["data"], row["time"], row["system"]].append(float(row["accuracy"]))
    columns = list(dict.fromkeys(key[:2] for key in values))
    systems = list(dict.fromkeys(key[2] for key in values))
    print("| test accuracy | " + " | ".join(f"{name}, {spent}" for name, spent in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for system in systems:
        print(f"| {system} | " + " | ".join(cell(values.get((*column, system), [])) for column in columns) + " |")


def cell(values):
    """Mean ± standard error, and of how many."""
    if not values:
        return ""
    error = f" ± {statistics.stdev(values) / len(values) ** 0.5:.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{error} ({len(values)})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path, nargs="?")
    parser.add_argument("--time", default="10m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--systems", nargs="+", default=["lehr", "autokeras", "optuna"], choices=SYSTEMS)
    parser.add_argument("--lehr", default="target/release/lehr")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("peers.csv"))
    parser.add_argument("--table", type=pathlib.Path, metavar="FILE")
    asked = parser.parse_args()
    if asked.table:
        table(asked.table)
    elif asked.data is None:
        parser.error("DATA is missing: the folder with the data sets")
    else:
        measure(asked)


if __name__ == "__main__":
    main()
