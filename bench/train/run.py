"""Times training and inference of lehr's engine beside PyTorch and prints the ratios.

    cargo build --release -p train --example throughput
    python3 bench/train/run.py --pytorch PYTHON_WITH_TORCH [--out RESULTS.csv]

Every peer is a process that waits; the windows are interleaved, one of each peer before the second of
any, so that a change of the machine's speed meets all. A ratio is made within one round, lehr against
the best PyTorch variant of that round's medians; printed are medians and the smallest and largest ratio.
"""

import argparse
import csv
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
NETWORKS = HERE / "networks.tsv"
VARIANTS = ["eager", "channels-last", "compile"]
FIELDS = ["network", "mode", "threads", "peer", "window", "examples_per_second"]


class Peer:
    def __init__(self, command, threads):
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=environment)

    def rate(self, network, mode, seconds):
        self.process.stdin.write(f"{network} {mode} {seconds}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer.startswith("cannot") or not answer:
            return None, answer or "the peer has died"
        return float(answer), None


def peers(asked, threads):
    found = {"lehr": Peer([asked.lehr, str(NETWORKS), str(threads)], threads)}
    for variant in asked.variants:
        command = [asked.pytorch, str(HERE / "pytorch_peer.py"), str(NETWORKS), str(threads), variant]
        found[variant] = Peer(command, threads)
    return found


def measure(all_peers, network, mode, asked):
    """Rates of every peer, by window; peers that cannot run this are left out and said."""
    rates = {name: [] for name in all_peers}
    for _ in range(asked.windows):
        for name in list(rates):
            rate, problem = all_peers[name].rate(network, mode, asked.seconds)
            if problem:
                print(f"  {name} {network} {mode}: {problem}", file=sys.stderr)
                del rates[name]
            else:
                rates[name].append(rate)
    return rates


def summary(rates):
    medians = {name: statistics.median(values) for name, values in rates.items()}
    best = max((name for name in medians if name != "lehr"), key=medians.get)
    ratios = [ours / theirs for ours, theirs in zip(rates["lehr"], rates[best])]
    return medians, best, statistics.median(ratios), min(ratios), max(ratios)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pytorch", default="python3", help="a Python that has torch")
    parser.add_argument("--lehr", default="target/release/examples/throughput")
    parser.add_argument("--networks", nargs="+")
    parser.add_argument("--modes", nargs="+", default=["train", "infer"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--variants", nargs="+", default=VARIANTS)
    parser.add_argument("--windows", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.7)
    parser.add_argument("--out")
    asked = parser.parse_args()
    with open(NETWORKS, encoding="utf-8") as file:
        networks = [line.split("\t")[0] for line in file][1:]
    rows = []
    print("| network | mode | threads | lehr /s | best PyTorch /s | which | ratio | spread |")
    print("|---|---|---|---|---|---|---|---|")
    for threads in asked.threads:
        all_peers = peers(asked, threads)
        for network in asked.networks or networks:
            for mode in asked.modes:
                rates = measure(all_peers, network, mode, asked)
                medians, best, ratio, low, high = summary(rates)
                print(f"| {network} | {mode} | {threads} | {medians['lehr']:.0f} | {medians[best]:.0f} "
                      f"| {best} | {ratio:.2f} | {low:.2f}–{high:.2f} |", flush=True)
                rows += [dict(zip(FIELDS, (network, mode, threads, name, window, rate)))
                         for name, values in rates.items() for window, rate in enumerate(values)]
        for peer in all_peers.values():
            peer.process.stdin.close()
            peer.process.wait()
    if asked.out:
        with open(asked.out, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
