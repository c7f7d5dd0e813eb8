#!/usr/bin/env python3
"""Tables as other programs write them: crates/data/tests/arrow/.

    python -m venv ENV && ENV/bin/pip install pyarrow
    ENV/bin/python tools/arrow/make_tables.py

One table of every flat type that Arrow and Parquet both have, in two batches, as an Arrow file without
compression, as Feather (compressed with LZ4), as an Arrow file compressed with Zstandard, as a stream,
and as Parquet; the first four must give the cells of the last. Types that Parquet does not have stand in
a file of their own, as do lists, which are refused.

Nothing else needs pyarrow: the tests read only the stored files.
"""

import datetime
import decimal
import pathlib

import pyarrow
from pyarrow import feather, ipc, parquet

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "crates/data/tests/arrow"
ROWS = 24


def with_gaps(values, step):
    """Every step-th value is missing."""
    return [None if row % step == step - 1 else value for row, value in enumerate(values)]


def shared():
    rows = range(ROWS)
    day = datetime.date(2024, 1, 31)
    noon = datetime.datetime(2024, 2, 29, 12, 30, 15, 250000)
    columns = {
        "small": pyarrow.array(with_gaps([row - 12 for row in rows], 5), pyarrow.int8()),
        "whole": pyarrow.array([(row - 3) * 10**11 for row in rows], pyarrow.int64()),
        "count": pyarrow.array([row * 7 for row in rows], pyarrow.uint32()),
        "single": pyarrow.array([row / 3 for row in rows], pyarrow.float32()),
        "size": pyarrow.array(with_gaps([row * 0.1 - 1e-7 for row in rows], 7), pyarrow.float64()),
        "is_new": pyarrow.array(with_gaps([row % 3 == 0 for row in rows], 4), pyarrow.bool_()),
        "name": pyarrow.array(with_gaps([f" größe {row} " for row in rows], 6), pyarrow.string()),
        "long_name": pyarrow.array([f"n{row % 5}" for row in rows], pyarrow.large_string()),
        "kind": pyarrow.array(with_gaps([["red", "dark blue", ""][row % 3] for row in rows], 8)).dictionary_encode(),
        "bytes": pyarrow.array([f"b{row}".encode() for row in rows], pyarrow.binary()),
        "day": pyarrow.array(with_gaps([day + datetime.timedelta(days=row * 40) for row in rows], 9), pyarrow.date32()),
        "milli": pyarrow.array([noon + datetime.timedelta(hours=row) for row in rows], pyarrow.timestamp("ms")),
        "micro": pyarrow.array([noon - datetime.timedelta(days=row * 900) for row in rows], pyarrow.timestamp("us", "UTC")),
        "clock": pyarrow.array([datetime.time(row, 5, 6, 7000) for row in rows], pyarrow.time32("ms")),
        "price": pyarrow.array(with_gaps([decimal.Decimal(row * 25 - 100) / 100 for row in rows], 10), pyarrow.decimal128(9, 2)),
        "label": pyarrow.array([["up", "down"][row % 2] for row in rows], pyarrow.string()),
    }
    return pyarrow.table(columns)


def only_arrow():
    """Types that a Parquet file holds as something else."""
    words = ["much longer than the twelve bytes of a view", "short"]
    columns = {
        "view": pyarrow.array([words[row % 2] for row in range(4)], pyarrow.string_view()),
        "half": pyarrow.array([0.5, None, -2.0, 1.25], pyarrow.float16()),
        "nothing": pyarrow.nulls(4),
        "nano": pyarrow.array([1, 10**18, None, -1], pyarrow.timestamp("ns")),
        "lasts": pyarrow.array([1, 2, None, 4], pyarrow.duration("s")),
        "label": pyarrow.array(["a", "b", "a", "b"], pyarrow.large_binary()),
    }
    return pyarrow.table(columns)


def write_file(name, table, compression=None):
    options = ipc.IpcWriteOptions(compression=compression)
    with ipc.new_file(FOLDER / name, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=16)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    table = shared()
    write_file("plain.arrow", table)
    write_file("zstd.arrow", table, "zstd")
    feather.write_feather(table, str(FOLDER / "lz4.feather"), compression="lz4", chunksize=16)
    with ipc.new_stream(FOLDER / "stream.arrows", table.schema) as writer:
        writer.write_table(table, max_chunksize=16)
    parquet.write_table(table, FOLDER / "same.parquet")
    write_file("only.arrow", only_arrow())
    write_file("nested.arrow", pyarrow.table({"x": [1, 2], "list": [[1], [2, 3]]}))


if __name__ == "__main__":
    main()
