"""What a search gains from hyperparameters: the same rows explored with several spaces.

    python3 spaces.py DATA --lehr PROGRAM [--time 90s] [--seeds 1 2 …] [--sets cifar-4000 …] [--spaces usual moved …] --out FILE
    python3 spaces.py --table FILE

Rows are drawn by the seed from the training parts of sets that have official test rows, which are not looked at; others of
the same parts are what nothing sees before the end. DATA is the same folder as that of run.py. Studies run on one core
each, two at a time. Needs numpy, pandas and Pillow.
"""

import functools
import io
import zipfile

import numpy
from PIL import Image

import few

# Where the rows are from, how many are explored, how many are judged by, the metric.
SETS = {
    "cifar-4000": ("cifar", 4000, 4000, "accuracy"),
    "mnist-1500": ("mnist", 1500, 5000, "accuracy"),
    "mnist1d-200": ("mnist1d", 200, 2500, "accuracy"),
    "mnist1d-1500": ("mnist1d", 1500, 2500, "accuracy"),
}

USUAL = """
learning_rate = { kind = "float", low = 3e-4, high = 3e-2, scale = "log", default = 3e-3 }
weight_decay = { kind = "float", low = 1e-4, high = 1e-1, scale = "log", default = 1e-2 }
batch_size = { kind = "int", low = 32, high = 256, scale = "log", step = 2, default = 64 }
label_smoothing = { kind = "float", low = 0.0, high = 0.2, default = 0.0 }
"""

FLIP = 'flip = { kind = "categorical", choices = ["never", "horizontal"] }\n'


def crop(first, most):
    return f'crop = {{ kind = "int", low = 0, high = {most}, default = {first} }}\n'


SPACES = {
    "usual": USUAL,
    "moved": USUAL + crop(0, 4),
    "moved at first": USUAL + crop(2, 4),
    "moved and flipped": USUAL + crop(0, 4) + FLIP,
    "moved at first and flipped": USUAL + crop(2, 4) + FLIP,
    "noisy": USUAL + 'noise = { kind = "float", low = 0.0, high = 0.3, default = 0.0 }\n',
    "noisy at first": USUAL + 'noise = { kind = "float", low = 0.0, high = 0.3, default = 0.1 }\n',
    "mixed": USUAL + 'mixup = { kind = "float", low = 0.0, high = 0.4, default = 0.0 }\n',
    "mixed at first": USUAL + 'mixup = { kind = "float", low = 0.0, high = 0.4, default = 0.2 }\n',
}


@functools.cache
def cifar(data):
    """Pixels and classes of the training part."""
    with zipfile.ZipFile(data / "images" / "cifar10-12k-png" / "cifar10-12k.zip") as archive:
        names = sorted(name for name in archive.namelist() if "/train/" in name and name.endswith(".png"))
        pixels = [numpy.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names]
    return numpy.stack(pixels), numpy.array([name.split("/")[-2] for name in names])


def rows_of(data, source):
    return cifar(data) if source == "cifar" else few.training_part(data, source)


def run_all(arguments):
    """All studies that are not in the file already."""

    def study(_, space, files, place):
        explored, judged = files
        toml = place / "lehr.toml"
        toml.write_text(f'data = "{explored}"\n[search.space]\n{SPACES[space]}', encoding="utf-8")
        return arguments.lehr, (toml, judged), []

    few.run_studies(arguments, SETS, rows_of, arguments.spaces, study)


if __name__ == "__main__":
    OPTIONS = {"--spaces": {"nargs": "+", "choices": list(SPACES), "default": list(SPACES), "metavar": "SPACE"}}
    few.run_or_show(__doc__, SETS, "90s", OPTIONS, run_all, lambda path: few.table(path, SETS))
