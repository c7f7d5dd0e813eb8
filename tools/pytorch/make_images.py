#!/usr/bin/env python3
"""Makes folders of small pictures from the digits: some to learn from, some as people send them.

    python make_images.py DIGITS.npz FOLDER

FOLDER/colour/CLASS holds colour pictures of 8x8 pixels, FOLDER/gray/CLASS the same in gray; FOLDER/new-colour
and FOLDER/new-gray hold others of many sizes and kinds, and one each that is broken. No JPEG: its decoders
differ in the last bit. Needs numpy and pillow.
"""

import sys
from pathlib import Path

import numpy
from PIL import Image

# Classes and pictures are few: a test learns from them.
CLASSES, KNOWN, NEW = 3, 400, 60

MODES = {"colour": "RGB", "gray": "L"}


def picture(digit):
    """A digit in colours, each channel another picture."""
    light = (digit.astype(int) * 15).clip(0, 255).astype(numpy.uint8)
    return Image.fromarray(numpy.stack([light, 255 - light, numpy.roll(light, 1, 0)], -1))


def odd(image, number):
    """The picture and its ending, as nobody has asked for it."""
    changes = [
        lambda image: image,
        lambda image: image.resize((13, 17)),
        lambda image: image.resize((5, 4)),
        lambda image: image.convert("L"),
        lambda image: image.convert("P"),
        lambda image: image.convert("RGBA"),
        lambda image: image.resize((8, 20)).convert("LA"),
        deep,
    ]
    which = number % len(changes)
    ending = [".png", ".bmp", ".gif"][number % 3] if which in (0, 1, 2) else ".png"
    return changes[which](image), ending


def deep(image):
    """Gray of 16 bits, of which not all round down to the upper 8."""
    return Image.fromarray(numpy.asarray(image.convert("L")).astype(numpy.uint16) * 251 + 77)


def main(digits, folder):
    stored, folder = numpy.load(digits), Path(folder)
    for number, (digit, kind) in enumerate(zip(stored["X"][:KNOWN], stored["y"])):
        if kind < CLASSES:
            for name, mode in MODES.items():
                place = folder / name / str(kind)
                place.mkdir(parents=True, exist_ok=True)
                picture(digit).convert(mode).save(place / f"{number}.png")
    for name, mode in MODES.items():
        new = folder / f"new-{name}"
        (new / "below").mkdir(parents=True)
        for number, digit in enumerate(stored["X"][KNOWN : KNOWN + NEW]):
            image, ending = odd(picture(digit).convert(mode), number)
            image.save((new / "below" if number % 4 == 0 else new) / f"{number}{ending}")
        (new / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
        (new / "note.txt").write_text("no picture")


if __name__ == "__main__":
    main(*sys.argv[1:])
