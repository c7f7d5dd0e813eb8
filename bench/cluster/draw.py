#!/usr/bin/env python3
"""Draws utilisation against nodes, and regret against time, from the CSV files beside it.

    python3 bench/cluster/draw.py bench/cluster/results
"""

import csv
import math
import sys
from pathlib import Path

WIDTH, HEIGHT, LEFT, BOTTOM = 420, 300, 60, 45
COLOURS = ["#c2410c", "#2f6db5", "#0f766e", "#8b5fbf", "#6c747d", "#e8a33d", "#111"]


def chart(offset, title, across, up, lines, across_ticks, up_ticks):
    """One chart; `lines` are names with points, x on a logarithmic axis."""
    low, high = math.log(across_ticks[0]), math.log(across_ticks[-1])
    bottom, top = up_ticks[0], up_ticks[-1]

    def at(x, y):
        share = (math.log(max(x, across_ticks[0])) - low) / (high - low)
        y = min(max(y, bottom), top)
        return (offset + LEFT + share * (WIDTH - LEFT - 20),
                HEIGHT - BOTTOM - (y - bottom) / (top - bottom) * (HEIGHT - BOTTOM - 50))

    parts = [f'<text x="{offset + LEFT}" y="20" font-weight="bold">{title}</text>']
    for tick in up_ticks:
        x, y = at(across_ticks[0], tick)
        right = at(across_ticks[-1], tick)[0]
        parts.append(f'<path d="M{x:.1f} {y:.1f}H{right:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in across_ticks:
        x, y = at(tick, bottom)
        parts.append(f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{tick:g}</text>')
    middle = offset + (LEFT + WIDTH - 20) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{across}</text>')
    parts.append(f'<text x="{offset + LEFT}" y="38" fill="#555">{up}</text>')
    for place, (name, points) in enumerate(lines):
        colour = COLOURS[place % len(COLOURS)]
        path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        key = HEIGHT - BOTTOM - 12 - 15 * (len(lines) - 1 - place)
        key_x = offset + LEFT + 12 if title.startswith("Util") else offset + WIDTH - 130
        key = key if title.startswith("Util") else 62 + 15 * place
        parts.append(f'<path d="M{key_x} {key - 4}h18" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{key_x + 24}" y="{key}">{name}</text>')
    return "\n".join(parts)


def main():
    folder = Path(sys.argv[1])
    scale = list(csv.DictReader(open(folder / "scale.csv")))
    groups = {}
    for row in scale:
        if row["state"] == "eager" or (row["state"] and float(row["mean_seconds"]) > 60):
            continue
        name = f"{row['state']}{float(row['mean_seconds']):.0f} s, {row['cores']} cores"
        groups.setdefault(name, []).append((int(row["nodes"]), float(row["utilisation"])))
    first = chart(0, "Utilisation of trainers", "nodes of one trainer",
                  "share of time, from first training to spent budget",
                  [(name, sorted(points)) for name, points in groups.items()],
                  [1, 8, 64, 512, 4096], [0, 0.25, 0.5, 0.75, 1])
    regret = list(csv.DictReader(open(folder / "time-to-target.csv")))
    workers = sorted({int(row["workers"]) for row in regret})
    lines = [(f"{count} worker{'s' if count > 1 else ''}",
              [(float(row["time"]), float(row["regret"])) for row in regret
               if int(row["workers"]) == count]) for count in workers]
    second = chart(WIDTH + 20, "Regret on NAS-Bench-201, CIFAR-100", "time, in usual trainings",
                   "points of validation accuracy below the best", lines,
                   [0.5, 1, 2, 5, 10, 50, 250], [0, 1, 2, 3, 4, 5])
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * WIDTH + 20}" height="{HEIGHT}" '
          f'font-family="sans-serif" font-size="11">\n'
          f'<rect width="100%" height="100%" fill="#fff"/>\n{first}\n{second}\n</svg>')


if __name__ == "__main__":
    main()
