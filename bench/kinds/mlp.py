"""The multilayer perceptron of the references on the very rows of a study: same split, same inputs, same time.

    python3 mlp.py STUDY [--time 300] [--seeds 1 2 3]

STUDY is the folder of a study of a table, explored with --folds 1, so that a part of the rows validates. For so many
seconds hyperparameters are drawn as in Gorishniy et al. 2021, trained with AdamW in batches of 256 until
sixteen epochs bring nothing, and the network that is best on the validation rows is judged by the vault.
Needs numpy, safetensors and torch.
"""

import argparse
import json
import math
import pathlib
import sys
import time

import numpy
import torch
from safetensors import safe_open

PATIENCE = 16
BATCH = 256


def part(study, name):
    """Inputs and targets of a part, as tensors."""
    with safe_open(study / "prepared" / f"{name}.safetensors", "np") as file:
        item = json.loads(file.metadata()["lehr.examples"])["item"]
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    if "features" not in item:
        sys.exit(f"{study} has inputs of another kind than numbers of a table: {item}")
    inputs = torch.from_numpy(tensors["inputs"].astype(numpy.float32)).reshape(-1, item["features"])
    if "classes" in tensors:
        return inputs, torch.from_numpy(tensors["classes"].astype(numpy.int64))
    return inputs, torch.from_numpy(tensors["values"].astype(numpy.float32))


def drawn(generator):
    """Hyperparameters from the space of the paper."""
    return {"layers": int(generator.integers(1, 9)), "width": int(generator.integers(1, 513)),
            "dropout": float(generator.choice([0.0, generator.uniform(0.0, 0.5)])),
            "rate": 10 ** generator.uniform(-5, -2), "decay": float(generator.choice([0.0, 10 ** generator.uniform(-6, -3)]))}


def network(setting, inputs, outputs):
    layers = []
    for _ in range(setting["layers"]):
        layers += [torch.nn.Linear(inputs, setting["width"]), torch.nn.ReLU(), torch.nn.Dropout(setting["dropout"])]
        inputs = setting["width"]
    return torch.nn.Sequential(*layers, torch.nn.Linear(inputs, outputs))


def loss_of(outputs, targets):
    if targets.dtype == torch.int64:
        return torch.nn.functional.cross_entropy(outputs, targets)
    return torch.nn.functional.mse_loss(outputs[:, 0], targets)


def score(model, rows):
    """Accuracy, or the root of the mean squared error, negative, in standard deviations of the target."""
    model.eval()
    with torch.no_grad():
        outputs = model(rows[0])
    if rows[1].dtype == torch.int64:
        return float((outputs.argmax(1) == rows[1]).float().mean())
    return -math.sqrt(float(loss_of(outputs, rows[1])))


def trained(setting, train, validation, outputs, until):
    """The best epoch's score on the validation rows, and its weights."""
    model = network(setting, train[0].shape[1], outputs)
    optimizer = torch.optim.AdamW(model.parameters(), lr=setting["rate"], weight_decay=setting["decay"])
    best, kept, since = -math.inf, None, 0
    while since < PATIENCE and time.monotonic() < until:
        model.train()
        for batch in torch.randperm(len(train[0])).split(BATCH):
            optimizer.zero_grad()
            loss_of(model(train[0][batch]), train[1][batch]).backward()
            optimizer.step()
        reached, since = score(model, validation), since + 1
        if reached > best:
            best, kept, since = reached, {key: value.clone() for key, value in model.state_dict().items()}, 0
    return best, kept


def search(study, seconds, seed):
    """What the best network of a random search reaches on the vault."""
    train, validation, vault = (part(study, name) for name in ("train", "validation", "vault"))
    generator = numpy.random.default_rng(seed)
    torch.manual_seed(seed)
    outputs = int(train[1].max()) + 1 if train[1].dtype == torch.int64 else 1
    until, best, tried = time.monotonic() + seconds, (-math.inf, None, None), 0
    while time.monotonic() < until:
        setting = drawn(generator)
        reached, kept = trained(setting, train, validation, outputs, until)
        best, tried = max(best, (reached, setting, kept), key=lambda found: found[0]), tried + 1
    model = network(best[1], train[0].shape[1], outputs)
    model.load_state_dict(best[2])
    print(json.dumps({"seed": seed, "tried": tried, "validation": best[0], "vault": score(model, vault), "setting": best[1]}),
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=pathlib.Path)
    parser.add_argument("--time", type=float, default=300.0, help="seconds")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for seed in arguments.seeds:
        search(arguments.study, arguments.time, seed)


if __name__ == "__main__":
    main()
