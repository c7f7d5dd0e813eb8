#!/usr/bin/env python3
"""Compares `lehr predict` with ONNX Runtime on the same raw rows or images.

    python compare_predictions.py MODEL.onnx DATA PREDICTIONS.csv

DATA is the CSV, NPZ, NPY or .ts file that was predicted, with dates as the seconds since 1970 that the model
takes; PREDICTIONS.csv is what `lehr predict` printed. The raw cells or pixels go into the model as they
are: all preprocessing must be inside. Ends with 0 if no
probability or value differs by more than 1e-4 (of a value's size, or the spread of all) and all labels
are equal. Needs onnxruntime and numpy.
"""

import csv
import math
import re
import sys

import numpy
import onnxruntime

TOLERANCE = 1e-4
MISSING = {"", "?", "NA", "N/A", "n/a", "na", "nan", "NaN", "NAN", "null", "NULL", "None"}


def read_series(path, length, channels):
    """Series of a .ts file as [rows, length, channels]; what is missing is NaN."""
    with open(path, encoding="utf-8") as file:
        text = file.read().split("@data")[1]
    lines = [line for line in text.splitlines() if line.strip()]
    series = numpy.full((len(lines), length, channels), numpy.nan, numpy.float32)
    for row, line in enumerate(lines):
        for channel, block in enumerate(line.split(":")[:channels]):
            values = [number(v.strip()) for v in block.split(",")]
            series[row, : len(values), channel] = values
    return series


def number(cell):
    """A cell as a number; NaN for what is none, as lehr reads it."""
    # Python takes digits and underscores that no file means.
    if cell in MISSING or not cell.isascii() or "_" in cell:
        return float("nan")
    try:
        value = float(cell)
    except ValueError:
        return float("nan")
    return value if math.isfinite(value) else float("nan")


def raw_inputs(session, data):
    if data.endswith(".ts"):
        _, length, channels = session.get_inputs()[0].shape
        return {"series": read_series(data, length, channels)}
    if data.endswith((".npz", ".npy")):
        arrays = numpy.load(data)
        images = (arrays if data.endswith(".npy") else arrays["X"]).astype(numpy.uint8)
        return {"image": images.reshape(*images.shape[:3], -1)}
    with open(data, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    inputs = {}
    first = session.get_inputs()[0]
    if first.name == "series" and len(first.shape) == 3:
        # A step is a column; a label stands behind them.
        steps = [[number(cell.strip()) for cell in list(row.values())[: first.shape[1]]] for row in rows]
        with numpy.errstate(over="ignore"):
            values = numpy.array(steps).astype(numpy.float32)[:, :, None]
        # What is too large for the network's numbers is missing.
        return {"series": numpy.where(numpy.isfinite(values), values, numpy.float32(numpy.nan))}
    for wanted in session.get_inputs():
        cells = [row[wanted.name].strip() for row in rows]
        if wanted.type == "tensor(string)":
            # The operator that splits texts knows blanks only; the input's description says so.
            column = numpy.array([re.sub(r"[\t\n\f\r]", " ", cell) for cell in cells], object)
        elif "int64" in wanted.type:
            # Code points of a text, 0 behind its end.
            places = wanted.shape[1]
            points = [[ord(letter) for letter in cell.strip(" \t\n\f\r")[:places]] for cell in cells]
            inputs[wanted.name] = numpy.array([row + [0] * (places - len(row)) for row in points], numpy.int64)
            continue
        else:
            kind = numpy.float64 if "double" in wanted.type else numpy.float32
            column = numpy.array([number(cell) for cell in cells], kind)
        inputs[wanted.name] = column.reshape(-1, 1)
    return inputs


def main(model, data, predictions):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, raw_inputs(session, data))))
    with open(predictions, encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    # Rows may be called by more than their numbers.
    said = sum(name in ("row", "file", "series") for name in head)
    rows = [row[said:] for row in rows]
    if "label" in found:
        here = found["probabilities"].astype(float)
        there = numpy.array([[float(cell) for cell in row[1:]] for row in rows])
        unequal = sum(str(a) != row[0] for a, row in zip(found["label"], rows))
    else:
        here = found["prediction"].astype(float)
        there = numpy.array([[float(row[0])] for row in rows])
        unequal = 0
    if here.shape != there.shape:
        sys.exit(f"the model gives {here.shape}, lehr predict {there.shape}")
    worst = float((numpy.abs(here - there) / numpy.maximum(max(1.0, there.std()), numpy.abs(there))).max())
    print(f"{len(rows)} rows, largest difference {worst:.3g}, {unequal} labels differ")
    sys.exit(0 if worst < TOLERANCE and unequal == 0 else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
