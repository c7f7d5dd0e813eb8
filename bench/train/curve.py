"""Does lehr's training follow PyTorch's, step by step?

    python3 bench/train/curve.py --pytorch PYTHON_WITH_TORCH [--optimizer adamw] [--csv FILE] [--svg FILE]

lehr trains a small network on the 8×8 digits for 200 steps and writes down rows, batches, first weights
and the loss of each step (`cargo run --release -p train --example curve`). PyTorch then does the same from
the same weights with the same batches, once in float32 and once in float64. Printed are the largest
relative differences of the losses; the picture shows the curves and the differences.
"""

import argparse
import csv
import json
import math
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
WIDTH, HEIGHT, LEFT, TOP, GAP = 760, 190, 64, 34, 56


def run_pytorch(folder, dtype):
    """Losses of PyTorch; needs torch and numpy."""
    import numpy
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)
    folder = pathlib.Path(folder)
    task = json.loads((folder / "task.json").read_text())
    recipe, steps = task["recipe"], task["steps"]
    kind = {"float32": torch.float32, "float64": torch.float64}[dtype]
    classes = torch.tensor(numpy.fromfile(folder / "classes.u32", "<u4").astype("int64"))
    inputs = numpy.fromfile(folder / "inputs.f32", "<f4").reshape(len(classes), 1, 8, 8)
    inputs = torch.tensor(inputs).to(kind)
    order = numpy.fromfile(folder / "order.u32", "<u4").astype("int64")
    weights = {name: t.to(kind) for name, t in read_safetensors(folder / "start.safetensors").items()}
    for name, tensor in weights.items():
        tensor.requires_grad_(not name.endswith((".mean", ".variance")))
    layers = [statement.split() for statement in task["network"].split(" | ")]

    def forward(x):
        for index, (what, *rest) in enumerate(layers):
            part = lambda name: weights[f"{index}.{name}"]
            if what == "conv":
                x = F.conv2d(x, part("weight").permute(3, 2, 0, 1), part("bias"), padding="same")
            elif what == "bn":
                x = F.batch_norm(x, None, None, part("gain"), part("shift"), True, 0.1, 1e-5)
            elif what == "dense":
                x = x @ part("weight") + part("bias")
            else:
                x = {"in": lambda x: x, "relu": F.relu, "maxpool": lambda x: F.max_pool2d(x, 2),
                     "gap": lambda x: x.mean((2, 3))}[what](x)
        return x

    learned = [(n, t) for n, t in weights.items() if t.requires_grad]
    groups = [{"params": [t for n, t in learned if n.endswith(".weight") is decays],
               "weight_decay": recipe["weight_decay"] if decays else 0.0} for decays in (True, False)]
    # The file says 0.9 and 0.999 as float32 holds them.
    how = {name: round(value, 6) for name, value in recipe["optimizer"].items() if name != "kind"}
    if recipe["optimizer"]["kind"] == "sgd":
        optimizer = torch.optim.SGD(groups, lr=recipe["learning_rate"], momentum=how["momentum"])
    else:
        betas = (how["beta1"], how["beta2"])
        optimizer = torch.optim.AdamW(groups, lr=recipe["learning_rate"], betas=betas)
    rows, batch = len(classes), recipe["batch_size"]
    per_epoch = math.ceil(rows / batch)
    losses = []
    for step in range(steps):
        epoch, place = divmod(step, per_epoch)
        first = epoch * rows + place * batch
        taken = order[first : min(first + batch, (epoch + 1) * rows)]
        share = step / (per_epoch * recipe["epochs"])
        for group in optimizer.param_groups:
            group["lr"] = recipe["learning_rate"] * 0.5 * (1 + math.cos(math.pi * share))
        optimizer.zero_grad()
        loss = F.cross_entropy(forward(inputs[taken]), classes[taken])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(json.dumps({"losses": losses, "version": torch.__version__}))


def read_safetensors(path):
    """The format is a length, a JSON header and numbers; no package needed."""
    import numpy
    import torch

    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    body = data[8 + size :]
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            values = numpy.frombuffer(body[first:last], "<f4").reshape(entry["shape"])
            tensors[name] = torch.tensor(values)
    return tensors


def measured(asked):
    with tempfile.TemporaryDirectory() as folder:
        digits = str(ROOT / "examples/digits/digits8x8.npz")
        command = ["cargo", "run", "--release", "-q", "-p", "train", "--example", "curve", "--",
                   digits, folder, asked.optimizer]
        subprocess.run(command, check=True, cwd=ROOT)
        curves = {"lehr": json.loads((pathlib.Path(folder) / "losses.json").read_text())}
        for dtype in ("float32", "float64"):
            command = [asked.pytorch, __file__, "--as-pytorch", folder, dtype]
            said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            curves[dtype] = said["losses"]
    return curves, said["version"]


def differences(curve, exact):
    return [abs(one - other) / abs(other) for one, other in zip(curve, exact)]


def polyline(values, low, high, top, style):
    span = (high - low) or 1
    points = " ".join(
        f"{LEFT + WIDTH * at / (len(values) - 1):.1f},{top + HEIGHT * (1 - (value - low) / span):.1f}"
        for at, value in enumerate(values))
    return f'<polyline points="{points}" fill="none" {style}/>'


def panel(title, curves, top, ticks, logarithmic):
    """One diagram; on a logarithmic axis ticks are powers of ten."""
    low, high = ticks[0], ticks[-1]
    parts = [f'<text x="{LEFT}" y="{top - 12}" class="title">{title}</text>']
    for tick in ticks:
        y = top + HEIGHT * (1 - (tick - low) / (high - low))
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        label = f"1e{tick}" if logarithmic else tick
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" class="tick">{label}</text>')
    for values, style in curves:
        if logarithmic:
            values = [math.log10(max(value, 10.0 ** low)) for value in values]
        parts.append(polyline(values, low, high, top, style))
    for step in range(0, 201, 50):
        x = LEFT + WIDTH * step / 200
        parts.append(f'<text x="{x:.0f}" y="{top + HEIGHT + 18}" class="step">{step}</text>')
    return parts


def picture(curves):
    exact = curves["float64"]
    blue, orange, gray = "#2463a8", "#c8641e", "#8a8a8a"
    wide = f'stroke="{orange}" stroke-width="5" stroke-opacity="0.45"'
    first = panel("Loss of each step: lehr (thin) on PyTorch (wide)",
                  [(curves["float32"], wide), (curves["lehr"], f'stroke="{blue}" stroke-width="1.6"')],
                  TOP, [0, 0.5, 1, 1.5, 2, 2.5], logarithmic=False)
    second = panel("Relative difference from PyTorch in float64: lehr (blue), PyTorch in float32 (orange)",
                   [(differences(curves["float32"], exact), f'stroke="{orange}" stroke-width="1.6"'),
                    (differences(curves["lehr"], exact), f'stroke="{blue}" stroke-width="1.6"'),
                    ([1e-3] * 2, f'stroke="{gray}" stroke-dasharray="5 4"')],
                   TOP + HEIGHT + GAP, [-8, -7, -6, -5, -4, -3, -2], logarithmic=True)
    height = TOP + 2 * HEIGHT + GAP + 34
    style = ("text{font:12px system-ui,sans-serif;fill:#333}.title{font-size:13px;font-weight:600}"
             ".tick{text-anchor:end}.step{text-anchor:middle}.grid{stroke:#ddd}")
    body = "\n".join(first + second)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {height}">'
            f'<style>{style}</style><rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n')


def main():
    if sys.argv[1:2] == ["--as-pytorch"]:
        return run_pytorch(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pytorch", default="python3", help="a Python that has torch")
    parser.add_argument("--optimizer", choices=["sgd", "adamw"], default="sgd")
    parser.add_argument("--csv")
    parser.add_argument("--svg")
    asked = parser.parse_args()
    curves, version = measured(asked)
    exact = curves["float64"]
    print(f"PyTorch {version}, {len(exact)} steps, loss {exact[0]:.3f} to {exact[-1]:.4f}")
    pairs = [("lehr and PyTorch float32", curves["lehr"], curves["float32"]),
             ("lehr and PyTorch float64", curves["lehr"], exact),
             ("PyTorch float32 and float64", curves["float32"], exact)]
    for what, one, other in pairs:
        apart = differences(one, other)
        print(f"largest relative difference, {what}: {max(apart):.2e} (median {sorted(apart)[100]:.1e})")
    if asked.csv:
        with open(asked.csv, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["step", "lehr", "pytorch_float32", "pytorch_float64"])
            writer.writerows(zip(range(len(exact)), curves["lehr"], curves["float32"], exact))
    if asked.svg:
        pathlib.Path(asked.svg).write_text(picture(curves), encoding="utf-8")


if __name__ == "__main__":
    main()
