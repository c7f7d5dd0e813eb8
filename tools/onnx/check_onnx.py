#!/usr/bin/env python3
"""Runs exported models in ONNX Runtime and compares what they say with what lehr says.

    python check_onnx.py MODEL INPUTS.json EXPECTED.json [MODEL INPUTS.json EXPECTED.json ...]

INPUTS.json holds, for every input of the model, {"type", "shape", "values"}; type is float32, float64,
uint8 or string, and null is NaN. EXPECTED.json holds {"outputs": {name: {"shape", "values", "tolerance"}},
"metadata": {key: value}}; a difference may be at most tolerance * max(1, |expected|), and texts are
equal. With the package `onnx` installed the models are also checked against its specification.

Ends with 0 and a line per model, or with 1 and what is wrong. Needs onnxruntime and numpy.
"""

import json
import sys

import numpy
import onnxruntime

try:
    import onnx.checker
except ImportError:
    onnx = None

TYPES = {"float32": numpy.float32, "float64": numpy.float64, "uint8": numpy.uint8, "string": object}
ONNX_TYPES = {
    "float32": "tensor(float)",
    "float64": "tensor(double)",
    "uint8": "tensor(uint8)",
    "string": "tensor(string)",
}


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def array(stored):
    kind = stored["type"]
    values = [numpy.nan if value is None else value for value in stored["values"]]
    return numpy.array(values, TYPES[kind]).reshape(stored["shape"])


def open_session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def compare(name, found, expected):
    """The largest relative difference, and what is wrong."""
    if list(found.shape) != expected["shape"]:
        return 0.0, [f"{name} has shape {list(found.shape)}, not {expected['shape']}"]
    wanted = expected["values"]
    if found.dtype == object:
        pairs = zip(found.flatten().tolist(), wanted)
        wrong = [(at, *pair) for at, pair in enumerate(pairs) if pair[0] != pair[1]]
        return 0.0, [f"{name}[{at}] is {here!r}, not {there!r}" for at, here, there in wrong]
    wanted = numpy.array(wanted, numpy.float64).reshape(expected["shape"])
    difference = numpy.abs(found.astype(numpy.float64) - wanted)
    difference /= numpy.maximum(1.0, numpy.abs(wanted))
    # A comparison with NaN is false: NaN is never near enough.
    worst = float(difference.max()) if difference.size else 0.0
    if worst <= expected["tolerance"]:
        return worst, []
    return worst, [f"{name} differs by {worst:.3g}, more than {expected['tolerance']:g}"]


def check(model, inputs, expected):
    problems = []
    if onnx is not None:
        onnx.checker.check_model(model, full_check=True)
    session = open_session(model)
    declared = {value.name: value.type for value in session.get_inputs()}
    given = {name: ONNX_TYPES[value["type"]] for name, value in inputs.items()}
    if declared != given:
        problems.append(f"the model takes {declared}, not {given}")
        return 0.0, problems
    names = [value.name for value in session.get_outputs()]
    if sorted(names) != sorted(expected["outputs"]):
        problems.append(f"the model puts out {names}, not {sorted(expected['outputs'])}")
    results = dict(zip(names, session.run(names, {n: array(v) for n, v in inputs.items()})))
    worst = 0.0
    for name, value in expected["outputs"].items():
        if name in results:
            difference, wrong = compare(name, results[name], value)
            worst = max(worst, difference)
            problems.extend(wrong)
    metadata = session.get_modelmeta().custom_metadata_map
    if metadata != expected["metadata"]:
        problems.append(f"the metadata are {metadata}, not {expected['metadata']}")
    return worst, problems


def main(paths):
    if not paths or len(paths) % 3:
        sys.exit(__doc__)
    failed = False
    for model, inputs, expected in zip(paths[::3], paths[1::3], paths[2::3]):
        worst, problems = check(model, load(inputs), load(expected))
        print(f"{model}: largest difference {worst:.3g}")
        for problem in problems:
            print(f"{model}: {problem}")
            failed = True
    print(f"onnxruntime {onnxruntime.__version__}, onnx.checker {'not used' if onnx is None else 'used'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
