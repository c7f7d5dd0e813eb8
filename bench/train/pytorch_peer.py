"""PyTorch as the peer of lehr's engine: the same networks, batch, optimizer and numbers.

    python pytorch_peer.py NETWORKS.tsv THREADS eager|channels-last|compile

Reads lines `NAME train|infer SECONDS` and answers each with examples per second, or `cannot: why`.
Networks are read from lehr's own notation, so that both sides run the same graph. What a step does not
need is not in the clock: batches are made before it starts.
"""

import sys
import time

import torch
from torch import nn

BATCHES = 16
WARM_UP_SECONDS = 0.3


def arguments(words):
    """`16 k3 s2` as ([16], {"k": 3, "s": 2})."""
    numbers = [int(word) for word in words if word[0].isdigit()]
    named = {word[0]: int(word[1:]) for word in words if not word[0].isdigit()}
    return numbers, named


class Network(nn.Module):
    """An architecture in lehr's notation."""

    def __init__(self, text):
        super().__init__()
        self.layers = nn.ModuleList()
        self.sources = []
        names, channels = {}, []
        for index, statement in enumerate(text.split(" | ")):
            name, _, rest = statement.rpartition(": ")
            rest, _, inside = rest.partition(" (")
            kind, *words = rest.split()
            if kind == "in":
                self.shape = [int(size) for size in words[0].split("x")]
                self.series = len(self.shape) == 2
                channels.append(self.shape[0])
                continue
            before = index - 1
            if kind == "add":
                sources = [names[word] for word in words]
            else:
                sources = [names[inside.rstrip(")")] if inside else before]
            layer, width = self.layer(kind, words, channels[sources[0]])
            self.layers.append(layer)
            self.sources.append(sources)
            channels.append(width)
            if name:
                names[name] = index
        self.outputs = channels[-1]

    def layer(self, kind, words, width):
        numbers, named = arguments(words) if kind != "add" else ([], {})
        size, stride = named.get("k"), named.get("s", 1)
        if kind == "dense":
            return nn.Linear(width, numbers[0]), numbers[0]
        conv, norm, pool, mean = (
            (nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d, nn.AdaptiveAvgPool1d) if self.series
            else (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d))
        if kind == "conv":
            return conv(width, numbers[0], size, stride, size // 2), numbers[0]
        if kind == "dwconv":
            return conv(width, width, size, stride, size // 2, groups=width), width
        if kind == "bn":
            return norm(width), width
        if kind == "maxpool":
            return pool(size, named.get("s", size)), width
        if kind == "gap":
            return nn.Sequential(mean(1), nn.Flatten()), width
        return {"relu": nn.ReLU(), "add": nn.Identity()}[kind], width

    def forward(self, value):
        values = [value]
        for layer, sources in zip(self.layers, self.sources):
            value = values[sources[0]]
            if len(sources) == 2:
                value = value + values[sources[1]]
            values.append(layer(value))
        return values[-1]


class Runner:
    """One network with its batches, ready to be timed."""

    def __init__(self, text, batch, optimizer, variant):
        torch.manual_seed(1)
        self.batch = batch
        model = Network(text)
        inputs = [torch.rand(batch, *model.shape) * 2 - 1 for _ in range(BATCHES)]
        self.targets = [torch.randint(model.outputs, (batch,)) for _ in range(BATCHES)]
        if variant == "channels-last" and len(model.shape) == 3:
            model = model.to(memory_format=torch.channels_last)
            inputs = [x.contiguous(memory_format=torch.channels_last) for x in inputs]
        self.inputs = inputs
        self.optimizer = (
            torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True) if optimizer == "adamw"
            else torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9, fused=True))
        self.loss = nn.CrossEntropyLoss()
        self.plain = model
        self.model = torch.compile(model) if variant == "compile" else model

    def train(self, step):
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.model(self.inputs[step % BATCHES]), self.targets[step % BATCHES]).backward()
        self.optimizer.step()

    def infer(self, step):
        with torch.inference_mode():
            self.model(self.inputs[step % BATCHES])

    def rate(self, mode, seconds):
        self.plain.train(mode == "train")
        step = self.train if mode == "train" else self.infer
        step(0)
        began = time.perf_counter()
        count = 0
        while time.perf_counter() - began < WARM_UP_SECONDS:
            step(count)
            count += 1
        began = time.perf_counter()
        count = 0
        while (taken := time.perf_counter() - began) < seconds:
            step(count)
            count += 1
        return count * self.batch / taken


def main(networks, threads, variant):
    torch.set_num_threads(int(threads))
    torch.set_num_interop_threads(1)
    # All networks share one `forward`; beyond its limit of compiled copies PyTorch would go on eagerly.
    torch._dynamo.config.recompile_limit = 64
    with open(networks, encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    known = {name: (text, int(batch), optimizer) for name, batch, optimizer, text in rows}
    runners = {}
    for line in sys.stdin:
        name, mode, seconds = line.split()
        try:
            # Inference has weights of its own: noise trains them to values that are slow to multiply.
            if (name, mode) not in runners:
                runners[name, mode] = Runner(*known[name], variant)
            answer = f"{runners[name, mode].rate(mode, float(seconds)):.1f}"
        except Exception as error:  # a variant that does not work is reported, not hidden
            answer = f"cannot: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        print(answer, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
