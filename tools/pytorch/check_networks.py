#!/usr/bin/env python3
"""Loads networks written out in PyTorch, and compares what they say with what lehr says.

    python check_networks.py FOLDER [FOLDER ...]

Each folder holds network.py, model.safetensors, inputs.json with {"input": {"shape", "values"}} and
expected.json with {"outputs": {"output": {"shape", "values", "tolerance"}}}; a difference may be at most
tolerance * max(1, |expected|). Ends with 0 and the largest difference, or with 1 and what is wrong.
Needs torch, safetensors and numpy.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy
import torch


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def network_in(folder):
    spec = importlib.util.spec_from_file_location("network", folder / "network.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load_network()


def difference(folder):
    """The largest relative difference, and the largest allowed."""
    given = load(folder / "inputs.json")["input"]
    wanted = load(folder / "expected.json")["outputs"]["output"]
    inputs = torch.tensor(given["values"], dtype=torch.float32).reshape(given["shape"])
    with torch.no_grad():
        found = network_in(folder)(inputs).double().numpy()
    expected = numpy.array(wanted["values"]).reshape(wanted["shape"])
    if found.shape != expected.shape:
        return numpy.inf, 0.0
    return float((numpy.abs(found - expected) / numpy.maximum(1.0, numpy.abs(expected))).max()), wanted["tolerance"]


def main(folders):
    worst, wrong = 0.0, False
    for folder in map(Path, folders):
        apart, allowed = difference(folder)
        worst = max(worst, apart)
        # A comparison with NaN is false: NaN is never near enough.
        if not apart <= allowed:
            print(f"{folder}: differs by {apart:.3g}, more than {allowed:g}")
            wrong = True
    print(f"{len(folders)} network(s), largest difference {worst:.3g}; torch {torch.__version__}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
