#!/usr/bin/env python3
"""Asks a model for rows as a program holds them, and for the same as they stand in a file.

    python compare_cells.py MODEL.py

The model takes the columns `flag`, of true and false, `code`, of the words 3, 7 and 12, and the number `size`;
cells are missing. Ends with 0 if both rows are answered alike, and words never seen otherwise; or says what is
wrong, and ends with 1. Needs torch, safetensors and numpy.
"""

import importlib.util
import sys

import numpy

SIZES = [0.5, -0.25, 0.0, 0.75]
WRITTEN = {"flag": ["true", "false", "true", ""], "code": ["3", "7", "", "12"], "size": list(map(str, SIZES))}
# A truth with a gap beside it is an object, and whole numbers with one are fractions.
HELD = {"flag": [numpy.True_, False, True, None], "code": numpy.array([3.0, 7.0, numpy.nan, 12.0]), "size": SIZES}
UNSEEN = {"flag": ["perhaps"] * 4, "code": ["99"] * 4, "size": SIZES}


def main(path):
    spec = importlib.util.spec_from_file_location("model", path)
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    written, held, unseen = (model.predict(rows)[1] for rows in (WRITTEN, HELD, UNSEEN))
    if not numpy.array_equal(written, held):
        sys.exit(f"cells of a file give\n{written}\nthose of a program\n{held}")
    if numpy.array_equal(written, unseen):
        sys.exit("the model takes no words: it answers those that it never saw alike")


if __name__ == "__main__":
    main(*sys.argv[1:])
