#!/usr/bin/env python3
"""Values of PyTorch that the engine must reproduce: crates/train/tests/golden/*.json.

    python -m venv ENV && ENV/bin/pip install torch numpy
    ENV/bin/python tools/golden/make_golden.py

Each case is a tiny network in lehr's own notation, run by PyTorch in float64 from weights and inputs
that float32 holds exactly. Stored are the outputs (with running statistics and with those of the
batch), the loss, the gradient of every weight, and for some cases the weights after a few steps of an
optimizer or the running statistics after five training steps. Weights are stored in lehr's layouts:
dense [in][out], convolution [ky][kx][in][out], depthwise [ky][kx][channel], attention
[channel][query, key, value] and [channel][channel], images and series channels last.

Nothing else needs PyTorch: the tests read only the stored values.
"""

import json
import math
import pathlib

import numpy
import torch
import torch.nn.functional as F

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "crates/train/tests/golden"
ROWS = 5

CASES = {
    "dense": "in 4 | dense 3",
    "relu": "in 4 | dense 6 | relu | dense 3",
    "gelu": "in 4 | dense 6 | gelu | dense 3",
    "batch_norm_features": "in 4 | dense 5 | bn | relu | dense 3",
    "batch_norm_image": "in 2x4x3 | conv 3 k3 | bn | relu | gap | dense 3",
    "layer_norm_features": "in 4 | dense 5 | ln | relu | dense 3",
    "layer_norm_image": "in 2x4x3 | conv 4 k1 | ln | gelu | gap | dense 3",
    "conv_1x1": "in 3x4x4 | conv 4 k1 | relu | gap | dense 3",
    "conv_3x3": "in 2x5x4 | conv 3 k3 | relu | conv 4 k3 | relu | gap | dense 3",
    "conv_5x5_stride_2": "in 2x7x6 | conv 2 k1 | conv 3 k5 s2 | gelu | gap | dense 3",
    "conv_1x1_stride_2": "in 2x5x6 | conv 2 k3 | conv 3 k1 s2 | gap | dense 3",
    "depthwise": "in 2x5x4 | conv 3 k1 | dwconv k3 | relu | gap | dense 3",
    "depthwise_stride_2": "in 2x6x5 | conv 3 k1 | dwconv k5 s2 | gap | dense 3",
    "max_pool": "in 2x6x6 | conv 3 k3 | maxpool k2 | gap | dense 3",
    "max_pool_overlapping": "in 2x6x5 | conv 3 k3 | maxpool k3 s2 | gap | dense 3",
    "average_pool": "in 2x7x6 | conv 3 k3 | avgpool k3 s2 | relu | gap | dense 3",
    "flatten": "in 2x3x4 | conv 2 k3 | relu | flatten | dense 3",
    "add": "in 4 | a: dense 4 | b: relu | c: dense 4 | add b c | relu | dense 3",
    "concat": "in 2x4x4 | a: conv 3 k3 | b: conv 2 k1 (in) | cat a b in | bn | relu | gap | dense 3",
    "residual": (
        "in 2x5x5 | conv 4 k3 | bn | a: relu | conv 4 k3 | bn | relu | conv 4 k3 | b: bn | add a b"
        " | relu | maxpool k2 | dwconv k3 | bn | conv 3 k1 | gelu | gap | dense 3"
    ),
    # Wide enough for the way in tiles.
    "conv_3x3_wide": "in 2x7x8 | conv 12 k1 | relu | conv 17 k3 | bn | relu | gap | dense 3",
    "dilated": "in 2x7x6 | conv 3 k1 | conv 2 k3 d2 | relu | dwconv k3 d3 | gap | dense 3",
    "silu": "in 4 | dense 6 | silu | dense 3",
    "squeeze_excite": (
        "in 2x4x5 | conv 4 k3 | a: relu | gap | dense 2 | relu | dense 4 | b: sigmoid | mul a b"
        " | gap | dense 3"
    ),
    "slices": "in 6 | a: slice 0 4 | b: slice 3 3 (in) | c: dense 3 (a) | mul b c | dense 3",
    "series": (
        "in 3x16 | conv 12 k5 | bn | relu | maxpool k2 | dwconv k3 d2 | conv 4 k3 s2 | silu"
        " | avgpool k2 s1 | ln | flatten | dense 3"
    ),
    "embedding_features": "in 3 | embed 2 4 | dense 5 | relu | dense 3",
    "transformer": (
        "in 1x6 | embed 3 8 | a: position | ln | b: attention 2 | c: add a b | ln | conv 12 k1 | gelu"
        " | d: conv 8 k1 | add c d | gap | dense 3"
    ),
    "periodic": "in 3 | dense 3 | periodic 2 | dense 5 | relu | dense 3",
}

# Weights after so many full-batch steps, the learning rate falling along a cosine from step to step.
OPTIMIZER_CASE = "in 4 | dense 6 | ln | gelu | dense 3"
STEPS = 5
OPTIMIZERS = {
    "sgd_momentum": {"momentum": 0.9, "learning_rate": 0.05, "weight_decay": 0.1},
    "adamw": {"beta1": 0.9, "beta2": 0.99, "learning_rate": 0.02, "weight_decay": 0.1},
    "balanced_classes": {
        "momentum": 0.0, "learning_rate": 0.02, "label_smoothing": 0.2, "balanced": True,
    },
}
STATISTICS_CASE = "in 2x4x3 | bn | conv 3 k3 | bn | relu | gap | dense 4 | bn | dense 3"


def parse(text):
    """Statements of lehr's notation as (kind, arguments, indices of the sources)."""
    names, layers = {"in": 0}, []
    for statement in text.split("|"):
        statement, _, sources = statement.strip().rstrip(")").partition("(")
        name, colon, rest = statement.rpartition(":")
        kind, *arguments = rest.split()
        if colon:
            names[name.strip()] = len(layers)
        if kind in ("add", "mul", "cat"):
            inputs = [names[source] for source in arguments]
        elif sources:
            inputs = [names[source] for source in sources.split()]
        else:
            inputs = [len(layers) - 1] if layers else []
        layers.append((kind, arguments, inputs))
    return layers


def kernel(arguments, pool=False):
    size = next(int(a[1:]) for a in arguments if a.startswith("k"))
    stride = next((int(a[1:]) for a in arguments if a.startswith("s")), size if pool else 1)
    return size, stride


def dilation(arguments):
    return next((int(a[1:]) for a in arguments if a.startswith("d")), 1)


def channels_first(x):
    return x.movedim(-1, 1)


def channels_last(x):
    return x.movedim(1, -1)


class Network:
    """A network of PyTorch operations whose weights have lehr's names and layouts."""

    def __init__(self, text, seed):
        self.layers = parse(text)
        self.random = numpy.random.RandomState(seed)
        self.weights = {}
        shape = [int(extent) for extent in self.layers[0][1][0].split("x")]
        # lehr writes channels first and keeps channels last.
        self.item = [*shape[1:], shape[0]]
        self.inputs = self.floats([ROWS, *self.item], -2, 2)
        self.forward(batch_statistics=False, make=True)

    def floats(self, shape, low, high):
        values = self.random.uniform(low, high, shape).astype(numpy.float32)
        return torch.tensor(values.astype(numpy.float64))

    def weight(self, name, shape, make):
        if make:
            part = name.split(".")[1]
            bound = math.sqrt(6 / max(1, numpy.prod(shape[:-1])))
            low, high = {
                "weight": (-bound, bound),
                "projection": (-bound, bound),
                "gain": (0.5, 1.5),
                "variance": (0.3, 2.0),
            }.get(part, (-0.5, 0.5))
            tensor = self.floats(shape, low, high)
            tensor.requires_grad_(part not in ("mean", "variance"))
            self.weights[name] = tensor
        return self.weights[name]

    def learned(self):
        return {n: t for n, t in self.weights.items() if t.requires_grad}

    def forward(self, batch_statistics, make=False, running=False):
        values = []
        for index, (kind, arguments, inputs) in enumerate(self.layers):
            taken = [values[source] for source in inputs]
            values.append(self.layer(index, kind, arguments, taken, batch_statistics, make, running))
        return values[-1]

    def layer(self, index, kind, arguments, taken, batch_statistics, make, running):
        def get(part, *shape):
            return self.weight(f"{index}.{part}", list(shape), make)

        x = taken[0] if taken else None
        channels = x.shape[1] if x is not None else None  # PyTorch's own order: channels first.
        series = x is not None and x.dim() == 3
        if kind == "in":
            return channels_first(self.inputs)
        if kind == "dense":
            units = int(arguments[0])
            return F.linear(x, get("weight", channels, units).T, get("bias", units))
        if kind in ("conv", "dwconv"):
            size, stride = kernel(arguments)
            gap = dilation(arguments)
            rows = 1 if series else size
            convolve = F.conv1d if series else F.conv2d
            if kind == "conv":
                outputs, groups = int(arguments[0]), 1
                weight = get("weight", rows, size, channels, outputs).permute(3, 2, 0, 1)
            else:
                outputs, groups = channels, channels
                weight = get("weight", rows, size, channels).permute(2, 0, 1)[:, None]
            weight = weight[:, :, 0] if series else weight
            bias = get("bias", outputs)
            return convolve(x, weight, bias, stride, gap * (size - 1) // 2, gap, groups)
        if kind == "embed":
            codes, width = map(int, arguments)
            known = (x >= 0) & (x < codes)
            rows = torch.where(known, x, 0.0).long()
            found = F.embedding(rows, get("weight", codes, width))
            return channels_first(found[:, 0]) if series else found.flatten(1)
        if kind == "periodic":
            angle = x[:, :, None] * (2 * torch.pi * get("frequency", channels, int(arguments[0])))
            return torch.cat([x[:, :, None], angle.sin(), angle.cos()], 2).flatten(1)
        if kind == "position":
            return x + get("shift", x.shape[2], channels).T
        if kind == "attention":
            weights = [
                get("weight", channels, 3 * channels).T, get("bias", 3 * channels),
                get("projection", channels, channels).T, get("projection_bias", channels),
            ]
            steps = x.permute(2, 0, 1)
            heads = int(arguments[0])
            mixed, _ = F.multi_head_attention_forward(
                steps, steps, steps, channels, heads, weights[0], weights[1], None, None, False, 0.0,
                weights[2], weights[3], need_weights=False,
            )
            return mixed.permute(1, 2, 0)
        if kind == "slice":
            first, count = map(int, arguments)
            return x[:, first : first + count]
        if kind == "mul":
            factors = taken[1]
            return x * factors[(...,) + (None,) * (x.dim() - factors.dim())]
        if kind == "bn":
            gain, shift = get("gain", channels), get("shift", channels)
            mean, variance = get("mean", channels), get("variance", channels)
            if batch_statistics and not running:
                mean, variance = None, None
            return F.batch_norm(x, mean, variance, gain, shift, batch_statistics, 0.1, 1e-5)
        if kind == "ln":
            gain, shift = get("gain", channels), get("shift", channels)
            normed = F.layer_norm(channels_last(x), [channels], gain, shift, 1e-5)
            return channels_first(normed)
        if kind in ("maxpool", "avgpool"):
            pools = {
                "maxpool": (F.max_pool1d, F.max_pool2d), "avgpool": (F.avg_pool1d, F.avg_pool2d)
            }
            return pools[kind][0 if series else 1](x, *kernel(arguments, pool=True))
        return {
            "relu": lambda: F.relu(x),
            "gelu": lambda: F.gelu(x),
            "silu": lambda: F.silu(x),
            "sigmoid": lambda: torch.sigmoid(x),
            "gap": lambda: x.flatten(2).mean(2),
            "flatten": lambda: channels_last(x).flatten(1),
            "add": lambda: taken[0] + taken[1],
            "cat": lambda: torch.cat(taken, 1),
        }[kind]()


def stored(tensor):
    """Shape and values; 17 digits are a float64 exactly."""
    tensor = tensor.detach()
    return {"shape": list(tensor.shape), "values": tensor.flatten().tolist()}


def all_stored(tensors):
    return {name: stored(tensor) for name, tensor in sorted(tensors.items())}


def beginning(text, seed):
    network = Network(text, seed)
    targets = torch.tensor(network.random.randint(0, 3, ROWS))
    case = {
        "made_by": f"PyTorch {torch.__version__.split('+')[0]}, float64",
        "architecture": text,
        "inputs": network.inputs.flatten().tolist(),
        "classes": targets.tolist(),
        "weights": all_stored(network.weights),
    }
    return network, targets, case


def gradients_case(text, seed):
    network, targets, case = beginning(text, seed)
    case["outputs_running"] = stored(network.forward(batch_statistics=False))
    outputs = network.forward(batch_statistics=True)
    loss = F.cross_entropy(outputs, targets, label_smoothing=0.1)
    loss.backward()
    case["outputs_batch"] = stored(outputs)
    case["loss"] = loss.item()
    case["gradients"] = all_stored({n: t.grad for n, t in network.learned().items()})
    return case


def make_optimizer(settings, network):
    decay = settings.get("weight_decay", 0.0)
    groups = [
        {"params": [t for n, t in network.learned().items() if n.endswith(".weight")],
         "weight_decay": decay},
        {"params": [t for n, t in network.learned().items() if not n.endswith(".weight")],
         "weight_decay": 0.0},
    ]
    rate = settings["learning_rate"]
    if "momentum" in settings:
        return torch.optim.SGD(groups, lr=rate, momentum=settings["momentum"])
    return torch.optim.AdamW(groups, lr=rate, betas=(settings["beta1"], settings["beta2"]))


def balanced_weights(targets):
    """Every class weighs the same, however few rows it has; one without rows weighs nothing."""
    counts = torch.bincount(targets, minlength=3).double()
    return torch.where(counts > 0, len(targets) / (3 * counts.clamp(min=1)), 0.0)


def optimizer_case(settings, seed):
    network, targets, case = beginning(OPTIMIZER_CASE, seed)
    optimizer = make_optimizer(settings, network)
    weight = balanced_weights(targets) if settings.get("balanced") else None
    smoothing = settings.get("label_smoothing", 0.0)
    losses = []
    for step in range(STEPS):
        rate = settings["learning_rate"] * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        outputs = network.forward(batch_statistics=True)
        loss = F.cross_entropy(outputs, targets, weight, label_smoothing=smoothing)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step == 0:
            case["weights_after_one"] = all_stored(network.weights)
    case["settings"] = settings
    case["losses"] = losses
    case["weights_after"] = all_stored(network.weights)
    return case


def statistics_case(seed):
    """Five steps of plain SGD, and the running statistics that follow them."""
    network, targets, case = beginning(STATISTICS_CASE, seed)
    rate = 0.05
    optimizer = torch.optim.SGD(network.learned().values(), lr=rate)
    for _ in range(STEPS):
        optimizer.zero_grad()
        outputs = network.forward(batch_statistics=True, running=True)
        F.cross_entropy(outputs, targets).backward()
        optimizer.step()
    case["settings"] = {"learning_rate": rate}
    case["weights_after"] = all_stored(network.weights)
    return case


def write(name, case):
    text = json.dumps(case, separators=(",", ":"))
    (GOLDEN / f"{name}.json").write_text(text + "\n")


def main():
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for seed, (name, text) in enumerate(CASES.items()):
        write(f"gradients_{name}", gradients_case(text, seed))
    for name, settings in OPTIMIZERS.items():
        write(f"steps_{name}", optimizer_case(settings, 100))
    write("statistics", statistics_case(200))
    size = sum(path.stat().st_size for path in GOLDEN.glob("*.json"))
    print(f"PyTorch {torch.__version__}: {len(list(GOLDEN.glob('*.json')))} files, {size} bytes")


if __name__ == "__main__":
    main()
