"""Reads the same data with lehr and its peers, in turns, and explores data larger than memory.

    python3 run.py read LEHR CSV ROUNDS        MB/s of lehr inspect, pandas and pyarrow, in turns
    python3 run.py images LEHR FOLDER ROUNDS   the same for images, beside Pillow
    python3 run.py explore LEHR DATA TIME      peak memory of lehr explore, and MB/s of getting ready

Every reading is a process of its own, so that its memory is its own. Memory is what the system says is
resident, looked at some twenty times a second: of the largest process, and of all together.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

PANDAS = """
import pandas, sys
rows = sum(len(part) for part in pandas.read_csv(sys.argv[1], chunksize=200_000))
"""
PYARROW = """
import pyarrow.csv, sys
rows = sum(part.num_rows for part in pyarrow.csv.open_csv(sys.argv[1]))
"""
PILLOW = """
import os, sys, numpy
from PIL import Image
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        numpy.asarray(Image.open(os.path.join(folder, name)))
"""


def size_of(path):
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(path)
        for name in names
    )


def family(root):
    """A process and all that it started, as far as they live."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            pass
    found = {root}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def resident(process):
    try:
        with open(f"/proc/{process}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def watched(command, until=None):
    """Seconds, the same to when `until` is there, and bytes of the largest process and of all."""
    folder = tempfile.mkdtemp()
    environment = dict(os.environ, XDG_CACHE_HOME=os.path.join(folder, "cache"))
    began, ready, largest, together = time.time(), None, 0, 0
    with open(os.path.join(folder, "log"), "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        while process.poll() is None:
            bytes_now = [resident(member) for member in family(process.pid)]
            largest, together = max(largest, *bytes_now), max(together, sum(bytes_now))
            if ready is None and until is not None and os.path.exists(until):
                ready = time.time() - began
            time.sleep(0.02)
    with open(os.path.join(folder, "log")) as log:
        text = log.read()
    shutil.rmtree(folder)
    if process.returncode != 0:
        sys.exit(f"{command} failed:\n{text}")
    return time.time() - began, ready, largest, together, text


def show(what, bytes_read, seconds, largest, together):
    print(
        f"{what:10} {seconds:7.1f} s  {bytes_read / seconds / 1e6:7.1f} MB/s  "
        f"largest process {largest / 2**20:6.0f} MiB, all {together / 2**20:6.0f} MiB",
        flush=True,
    )


def read(lehr, path, rounds, peers):
    bytes_read = size_of(path)
    for _ in range(int(rounds)):
        for name, script in peers.items():
            command = [sys.executable, "-c", script, path]
            if name == "lehr":
                command = [lehr, "inspect", path]
            seconds, _, largest, together, _ = watched(command)
            show(name, bytes_read, seconds, largest, together)


def explore(lehr, path, limit):
    bytes_read = size_of(path)
    out = tempfile.mkdtemp() + "/out"
    command = [lehr, "explore", path, "--time", limit, "--out", out]
    seconds, ready, largest, together, text = watched(command, until=out)
    show("ready", bytes_read, ready, largest, together)
    show("whole", bytes_read, seconds, largest, together)
    print(text)
    shutil.rmtree(os.path.dirname(out))


if __name__ == "__main__":
    what, lehr, path, amount = sys.argv[1:]
    if what == "explore":
        explore(lehr, path, amount)
    elif what == "read":
        read(lehr, path, amount, {"lehr": None, "pandas": PANDAS, "pyarrow": PYARROW})
    else:
        read(lehr, path, amount, {"lehr": None, "Pillow": PILLOW})
