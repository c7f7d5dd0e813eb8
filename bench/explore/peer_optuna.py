"""Optuna with PyTorch as a peer of lehr; peers.py starts it.

The space is what one would write down for such data: convolutions in stages for images, a multilayer perceptron for
tables, both trained with AdamW and one cycle of the learning rate. Proposals come from the multivariate tree-structured
Parzen estimator, after one that a user would try first; the median rule stops trainings.

Two processes of one thread share a study: networks this small do not keep two threads busy.

A training sees EXAMPLES examples, in EPOCHS_MIN to EPOCHS_MAX epochs, unless that takes more than its share of the
time, which is searched too: then it is shortened, and a network that cannot be shown all rows once is not trained.
Validation comes ten times per training, and trainings are compared after equal tenths. A trial is worth its best
validation accuracy, and its weights are those of that moment.
"""

import math
import os
import time

import numpy as np
import optuna
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from torch import nn
from torch.nn import functional

from peers import serve, wait_for_start

EXAMPLES = 400_000
EPOCHS_MIN, EPOCHS_MAX = 8, 40
WIDTHS = [16, 24, 32, 48, 64]
CHANNELS_MAX = 256
PREDICT_BATCH = 500


# Data.


def standardised(values, training, axes):
    mean, deviation = training.mean(axes, keepdims=True), training.std(axes, keepdims=True)
    return torch.from_numpy(((values - mean) / np.maximum(deviation, 1e-6)).astype(np.float32))


def image_inputs(arrays):
    parts = []
    for name in ("X", "X_validation", "X_test"):
        pixels = standardised(arrays[name], arrays["X"], tuple(range(arrays["X"].ndim if arrays["X"].ndim == 3 else 3)))
        pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
        parts.append((pixels.contiguous(memory_format=torch.channels_last),))
    return parts


def table_inputs(arrays):
    """Numbers, and numbers of categories: 0 is one that the training rows do not have."""
    numeric = arrays["numeric"]
    training = arrays["X"]
    kinds = [{kind: code for code, kind in enumerate(np.unique(column), 1)} for column in training[:, ~numeric].T]
    parts = []
    for name in ("X", "X_validation", "X_test"):
        numbers = standardised(arrays[name][:, numeric].astype(float), training[:, numeric].astype(float), 0)
        codes = [[known.get(word, 0) for word in column]
                 for known, column in zip(kinds, arrays[name][:, ~numeric].T)]
        parts.append((numbers, torch.tensor(codes).T.contiguous()))
    return parts


class Data:
    def __init__(self, folder):
        arrays = dict(np.load(folder / "peers.npz"))
        self.is_table = arrays["numeric"].size > 0
        self.inputs, self.validation, self.test = (table_inputs if self.is_table else image_inputs)(arrays)
        self.labels, self.validation_labels = (torch.from_numpy(arrays[name]) for name in ("y", "y_validation"))
        self.classes = int(self.labels.max()) + 1
        self.categories = [int(most) + 1 for most in self.inputs[1].max(0).values] if self.is_table else []


# Networks.


class Stage(nn.Module):
    """Convolutions, added to what went in if asked, and then half the size."""

    def __init__(self, inputs, outputs, pool, asked):
        super().__init__()
        layers = []
        for index in range(asked["convolutions"]):
            layers.append(nn.Conv2d(outputs if index else inputs, outputs, asked["kernel"], padding="same",
                                    bias=not asked["norm"]))
            layers += [nn.BatchNorm2d(outputs)] if asked["norm"] else []
            layers.append(nn.ReLU())
        self.layers = nn.Sequential(*layers)
        self.skip = nn.Conv2d(inputs, outputs, 1) if asked["residual"] else None
        self.after = nn.Sequential(nn.MaxPool2d(2) if pool else nn.Identity(), nn.Dropout2d(asked["dropout"] / 2))

    def forward(self, images):
        outputs = self.layers(images)
        return self.after(outputs if self.skip is None else outputs + self.skip(images))


class Convolutions(nn.Module):
    def __init__(self, data, asked):
        super().__init__()
        channels, size = data.inputs[0].shape[1], data.inputs[0].shape[2]
        layers = []
        for stage in range(asked["stages"]):
            width = min(asked["width"] * 2**stage, CHANNELS_MAX)
            layers.append(Stage(channels, width, size >= 4, asked))
            channels, size = width, size // 2 if size >= 4 else size
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(asked["dropout"]), nn.Linear(channels, data.classes))

    def forward(self, images):
        return self.head(self.layers(images).mean((2, 3)))


class Perceptron(nn.Module):
    def __init__(self, data, asked):
        super().__init__()
        self.categories = data.categories
        self.embeddings = None
        width = data.inputs[0].shape[1]
        if asked["categories"] == "embedded":
            self.embeddings = nn.ModuleList(nn.Embedding(count, asked["embedding"]) for count in data.categories)
            width += asked["embedding"] * len(data.categories)
        else:
            width += sum(data.categories)
        layers = []
        for _ in range(asked["depth"]):
            layers.append(nn.Linear(width, asked["width"]))
            layers += [nn.BatchNorm1d(asked["width"])] if asked["norm"] else []
            layers += [nn.ReLU(), nn.Dropout(asked["dropout"])]
            width = asked["width"]
        self.layers = nn.Sequential(*layers, nn.Linear(width, data.classes))

    def forward(self, numbers, codes):
        codes = [codes[:, column].clamp(max=count - 1) for column, count in enumerate(self.categories)]
        if self.embeddings is None:
            words = [functional.one_hot(code, count).float() for code, count in zip(codes, self.categories)]
        else:
            words = [embedding(code) for embedding, code in zip(self.embeddings, codes)]
        return self.layers(torch.cat([numbers, *words], 1))


def network(data, asked):
    if data.is_table:
        return Perceptron(data, asked)
    return Convolutions(data, asked).to(memory_format=torch.channels_last)


# The space.


def proposal(trial, is_table):
    asked = {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "norm": trial.suggest_categorical("norm", [True, False]),
        "share": trial.suggest_float("share", 0.1, 0.4, log=True),
    }
    if is_table:
        return asked | {
            "batch": trial.suggest_categorical("batch", [64, 128, 256, 512]),
            "depth": trial.suggest_int("depth", 1, 4),
            "width": trial.suggest_int("width", 32, 512, log=True),
            "categories": trial.suggest_categorical("categories", ["embedded", "one-hot"]),
            "embedding": trial.suggest_int("embedding", 2, 16, log=True),
        }
    return asked | {
        "batch": trial.suggest_categorical("batch", [32, 64, 128, 256]),
        "stages": trial.suggest_int("stages", 2, 4),
        "convolutions": trial.suggest_int("convolutions", 1, 2),
        "width": WIDTHS[trial.suggest_int("width", 0, len(WIDTHS) - 1)],
        "kernel": trial.suggest_int("kernel", 3, 5, step=2),
        "residual": trial.suggest_categorical("residual", [True, False]),
        "augment": trial.suggest_categorical("augment", ["nothing", "shift", "shift and flip"]),
    }


FIRST = {"learning_rate": 5e-3, "weight_decay": 1e-2, "dropout": 0.1, "norm": True, "share": 0.25}
FIRST_IMAGES = FIRST | {"batch": 64, "stages": 3, "convolutions": 1, "width": 2, "kernel": 3, "residual": True,
                        "augment": "nothing"}
FIRST_TABLE = FIRST | {"batch": 256, "depth": 2, "width": 128, "categories": "embedded", "embedding": 6}


# Training.


def moved(images, how):
    """Shifts each image by up to an eighth of its size, and mirrors half of them if asked."""
    if how == "nothing":
        return images
    size = images.shape[-1]
    reach = max(size // 8, 1)
    padded = functional.pad(images, (reach,) * 4)
    places = torch.randint(0, 2 * reach + 1, (len(images), 2)).tolist()
    images = torch.stack([image[:, y:y + size, x:x + size] for image, (y, x) in zip(padded, places)])
    if how == "shift and flip":
        mirror = torch.rand(len(images), 1, 1, 1) < 0.5
        images = torch.where(mirror, images.flip(3), images)
    return images.contiguous(memory_format=torch.channels_last)


def step_loss(model, data, rows, asked):
    inputs = [part[rows] for part in data.inputs]
    if not data.is_table:
        inputs = [moved(inputs[0], asked["augment"])]
    return functional.cross_entropy(model(*inputs), data.labels[rows])


def outputs(model, inputs):
    model.eval()
    with torch.inference_mode():
        parts = [model(*batch) for batch in zip(*(part.split(PREDICT_BATCH) for part in inputs))]
    model.train()
    return torch.cat(parts)


def quality(model, data):
    scores = outputs(model, data.validation)
    accuracy = (scores.argmax(1) == data.validation_labels).float().mean().item()
    return accuracy, -functional.cross_entropy(scores, data.validation_labels).item()


def steps_within(model, data, asked, seconds):
    """How many steps a training has; 0 if the network is too slow."""
    def step():
        step_loss(model, data, torch.randint(0, len(data.labels), (asked["batch"],)), asked).backward()

    step()
    begin = time.monotonic()
    for _ in range(3):
        step()
    fitting = int(seconds * asked["share"] / ((time.monotonic() - begin) / 3))
    epoch = len(data.labels) // asked["batch"]
    epochs = min(max(EXAMPLES // len(data.labels), EPOCHS_MIN), EPOCHS_MAX)
    return 0 if fitting < epoch else min(epochs * epoch, fitting)


def batches(data, asked):
    while True:
        order = torch.randperm(len(data.labels)).split(asked["batch"])
        yield from order[:len(data.labels) // asked["batch"]]


def train(trial, data, seconds, keep):
    asked = proposal(trial, data.is_table)
    model = network(data, asked)
    optimizer = torch.optim.AdamW(model.parameters(), lr=asked["learning_rate"], weight_decay=asked["weight_decay"])
    steps = steps_within(model, data, asked, seconds)
    if steps == 0:
        raise optuna.TrialPruned("too slow")
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, asked["learning_rate"], steps)
    checks = {math.ceil(steps * tenth / 10): tenth for tenth in range(1, 11)}
    best = (0.0, -math.inf)
    for done, rows in zip(range(1, steps + 1), batches(data, asked)):
        optimizer.zero_grad()
        step_loss(model, data, rows, asked).backward()
        optimizer.step()
        schedule.step()
        if done not in checks:
            continue
        reached = quality(model, data)
        if not math.isfinite(reached[1]):
            raise optuna.TrialPruned("diverged")
        if reached > best:
            best = reached
            keep(reached, asked, model)
        trial.report(best[0], checks[done])
        if trial.should_prune():
            raise optuna.TrialPruned
    return best[0]


# What peers.py asks for.


def storage(folder):
    return JournalStorage(JournalFileBackend(str(folder / "journal.log")))


def search(folder, system, seed, seconds, worker):
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    torch.manual_seed(2 * seed + worker)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    data = Data(folder)
    best = [(0.0, -math.inf)]

    def keep(reached, asked, model):
        """Writes down the best model of this process."""
        if reached > best[0]:
            best[0] = reached
            torch.save((reached, asked, model.state_dict()), folder / f"next{worker}.pt")
            os.replace(folder / f"next{worker}.pt", folder / f"best{worker}.pt")

    wait_for_start()
    sampler = optuna.samplers.TPESampler(seed=2 * seed + worker, multivariate=True)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2)
    study = optuna.create_study(study_name="peer", storage=storage(folder), load_if_exists=True,
                                direction="maximize", sampler=sampler, pruner=pruner)
    if worker == 0:
        study.enqueue_trial(FIRST_TABLE if data.is_table else FIRST_IMAGES)
    study.optimize(lambda trial: train(trial, data, seconds, keep))


def predict(folder):
    trials = optuna.load_study(study_name="peer", storage=storage(folder)).get_trials(deepcopy=False)
    states = [trial.state.name for trial in trials]
    whole, pruned = states.count("COMPLETE"), states.count("PRUNED")
    note = f"{whole} whole, {pruned} stopped early, {states.count('FAIL')} failed, {states.count('RUNNING')} running"
    kept = [torch.load(file) for file in sorted(folder.glob("best*.pt"))]
    if not kept:
        return [], whole + pruned, f"{note}; no validation in time"
    reached, asked, weights = max(kept, key=lambda each: each[0])
    data = Data(folder)
    model = network(data, asked)
    model.load_state_dict(weights)
    return outputs(model, data.test).argmax(1), whole + pruned, f"validation {reached[0]:.4f}; {note}"


if __name__ == "__main__":
    serve(search, predict)
