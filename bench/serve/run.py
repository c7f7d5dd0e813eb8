"""Requests per second and waiting times of `lehr serve` beside ONNX Runtime behind a Python server.

    python run.py STUDY [--rounds 5] [--seconds 10] [--out FILE.csv]

STUDY is a finished study of examples/digits. Each system serves the same model on the same cores
(--server-cores) while a load generator on others (--load-cores) asks; the systems take turns within each
round, and their order turns from round to round, so that a change of the machine's speed meets all. Before
it is measured, a system must name the same digits as `lehr predict`. Writes a row for each measurement, and
prints the median over the rounds with the smallest and the largest, and lehr's share of each peer within
the same round. Runs in a Python with onnxruntime, numpy, fastapi, uvicorn[standard] and orjson; needs
rustc for the load generator.
"""

import argparse
import contextlib
import csv
import http.client
import importlib.metadata
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import numpy

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FIELDS = ["round", "system", "version", "batch", "connections", "requests_per_second",
          "rows_per_second", "p50_us", "p99_us", "max_us", "errors", "load_cpu"]
BODIES = 64
START_SECONDS = 30


def cores(text):
    return [int(core) for core in text.split(",")]


def on_cores(chosen):
    return lambda: os.sched_setaffinity(0, chosen)


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(system, asked, study):
    """The address of a running system, until the end of the block."""
    port, workers = free_port(), len(asked.server_cores)
    if system == "lehr":
        command = [asked.lehr, "serve", str(study), "--listen", f"127.0.0.1:{port}", "--threads", str(workers)]
    else:
        command = [sys.executable, str(HERE / "peer_onnxruntime.py"), system,
                   str(study / "best/model.onnx"), str(port), str(workers)]
    with tempfile.TemporaryFile("w+") as talk:
        process = subprocess.Popen(command, preexec_fn=on_cores(asked.server_cores), cwd=HERE,
                                   stdout=talk, stderr=talk, start_new_session=True)
        try:
            wait_for(port, process, talk)
            yield f"127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(port, process, talk):
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    talk.seek(0)
    sys.exit(f"{' '.join(process.args)} does not listen\n{talk.read()}")


def check(address, images, expected):
    """A system that does not answer rightly is not measured."""
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("POST", "/predict", json.dumps({"rows": images.tolist()}),
                       {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    labels = [row["label"] for row in answer["rows"]]
    if labels != expected:
        wrong = sum(a != b for a, b in zip(labels, expected))
        sys.exit(f"{address}: {wrong} of {len(expected)} labels differ from `lehr predict`")


def measure(load, address, connections, seconds, bodies, chosen):
    run = subprocess.run([load, address, str(connections), str(seconds), str(bodies)], check=True,
                         capture_output=True, text=True, preexec_fn=on_cores(chosen))
    return json.loads(run.stdout)


def versions(asked):
    lehr = subprocess.run([asked.lehr, "--version"], check=True, capture_output=True, text=True).stdout
    peer = " ".join(f"{name} {importlib.metadata.version(name)}"
                    for name in ["onnxruntime", "fastapi", "starlette", "uvicorn"])
    return {"lehr": lehr.strip(), "fastapi": peer, "starlette": peer}


def prepare(asked, folder):
    """The load generator, bodies by batch size, and some images with the labels that they must get."""
    load = folder / "load"
    subprocess.run(["rustc", "-O", "--edition", "2024", "-o", load, HERE / "load.rs"], check=True)
    data = ROOT / "examples/digits/digits8x8.npz"
    images = numpy.load(data)["X"].astype(int).reshape(-1, 64)
    bodies = {}
    for batch in asked.batches:
        bodies[batch] = folder / f"bodies-{batch}"
        chosen = [images[(numpy.arange(batch) + body * batch) % len(images)] for body in range(BODIES)]
        lines = [json.dumps({"rows": rows.tolist()}, separators=(",", ":")) for rows in chosen]
        bodies[batch].write_text("\n".join(lines) + "\n")
    said = subprocess.run([asked.lehr, "predict", asked.study, data], check=True, capture_output=True, text=True)
    labels = [row["label"] for row in csv.DictReader(said.stdout.splitlines())]
    return load, bodies, images[:200], labels[:200]


def summary(rows):
    def of(system, batch, connections, field):
        return [row[field] for row in rows if (row["system"], row["batch"], row["connections"])
                == (system, batch, connections)]

    def spread(values, form):
        return f"{format(statistics.median(values), form)} ({format(min(values), form)} to {format(max(values), form)})"

    systems = list(dict.fromkeys(row["system"] for row in rows))
    for batch, connections in dict.fromkeys((row["batch"], row["connections"]) for row in rows):
        print(f"\nbatch {batch}, {connections} connection(s)")
        for system in systems:
            rate = of(system, batch, connections, "requests_per_second")
            text = f"  {system:<10} {spread(rate, '.0f')} requests/s"
            for field in ["p50_us", "p99_us"]:
                text += f", {field[:3]} {spread(of(system, batch, connections, field), '.0f')} µs"
            if system != "lehr" and "lehr" in systems:
                ours = of("lehr", batch, connections, "requests_per_second")
                text += f"; lehr makes {spread([a / b for a, b in zip(ours, rate)], '.2f')} times as many"
            print(text)
        busiest = max(of(system, batch, connections, "load_cpu")[0] for system in systems)
        print(f"  the load generator used up to {busiest:.0%} of a core")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=pathlib.Path)
    parser.add_argument("--lehr", default=str(ROOT / "target/release/lehr"))
    parser.add_argument("--systems", nargs="+", default=["lehr", "fastapi", "starlette"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--server-cores", type=cores, default=[0])
    parser.add_argument("--load-cores", type=cores, default=[1])
    parser.add_argument("--out", type=pathlib.Path)
    asked = parser.parse_args()
    asked.study, asked.lehr = asked.study.resolve(), str(pathlib.Path(asked.lehr).resolve())
    known, rows = versions(asked), []
    with tempfile.TemporaryDirectory() as place:
        load, bodies, images, labels = prepare(asked, pathlib.Path(place))
        for number in range(asked.rounds):
            turn = number % len(asked.systems)
            for system in asked.systems[turn:] + asked.systems[:turn]:
                with serving(system, asked, asked.study) as address:
                    check(address, images, labels)
                    for batch in asked.batches:
                        for connections in asked.connections:
                            found = measure(load, address, connections, asked.seconds, bodies[batch],
                                            asked.load_cores)
                            rows.append({"round": number + 1, "system": system, "version": known[system],
                                         "batch": batch, "connections": connections,
                                         "rows_per_second": found["requests_per_second"] * batch, **found})
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        with asked.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    summary(rows)


if __name__ == "__main__":
    main()
