"""Makes the data of this benchmark: a CSV of any size, and any number of small images.

    python3 make.py csv PATH BYTES
    python3 make.py images FOLDER COUNT

The table has 24 numbers, of which one in fifty cells is missing, two columns of words, a column that
counts the rows, and a class that a few of the numbers tell, with noise. Every row is drawn anew. The images
are 32x32 PNG files in ten class folders: a bright square on noise, whose place is the class.
"""

import io
import os
import sys

import numpy

NUMBERS = 24
ROWS = 100_000
REGIONS = [b"north", b"south", b"west ", b"east "]
TOWNS = [b"t%03d" % town for town in range(300)]


def digits(values, width):
    """Decimal digits of whole numbers as bytes, `[rows][width]`."""
    powers = 10 ** numpy.arange(width - 1, -1, -1)
    return (values[:, None] // powers % 10 + ord("0")).astype(numpy.uint8)


def block(first, rng):
    """Some rows as bytes, all of the same length."""
    comma = numpy.full((ROWS, 1), ord(","), numpy.uint8)
    parts = [digits(numpy.arange(first, first + ROWS), 10), comma]
    values = rng.normal(size=(ROWS, NUMBERS))
    for column in range(NUMBERS):
        value = values[:, column]
        thousandths = numpy.minimum(numpy.abs(value) * 1000, 9999).astype(numpy.int64)
        cell = numpy.empty((ROWS, 6), numpy.uint8)
        cell[:, 0] = numpy.where(value < 0, ord("-"), ord("0"))
        four = digits(thousandths, 4)
        cell[:, 1], cell[:, 2], cell[:, 3:] = four[:, 0], ord("."), four[:, 1:]
        cell[rng.random(ROWS) < 0.02] = ord(" ")
        parts += [cell, comma]
    for words in (REGIONS, TOWNS):
        table = numpy.frombuffer(b"".join(words), numpy.uint8).reshape(len(words), -1)
        parts += [table[rng.integers(len(words), size=ROWS)], comma]
    signal = values[:, 0] + values[:, 1] * values[:, 2] + 0.5 * rng.normal(size=ROWS)
    answers = numpy.frombuffer(b"no \nyes\n", numpy.uint8).reshape(2, 4)
    parts.append(answers[(signal > 0.3).astype(int)])
    return numpy.hstack(parts).tobytes()


def make_csv(path, size):
    names = ["id"] + [f"x{n}" for n in range(NUMBERS)] + ["region", "town", "answer"]
    with open(path, "wb") as file:
        file.write((",".join(names) + "\n").encode())
        rows = 0
        while file.tell() < size:
            file.write(block(rows, numpy.random.default_rng(rows)))
            rows += ROWS
    print(f"{path}: {rows} rows, {os.path.getsize(path)} bytes")


def make_images(folder, count):
    from PIL import Image

    rng = numpy.random.default_rng(1)
    for label in range(10):
        os.makedirs(f"{folder}/class{label}", exist_ok=True)
    size = 0
    for number in range(count):
        label = number % 10
        image = rng.integers(0, 256, size=(32, 32, 3), dtype=numpy.uint8) // 2
        y, x = divmod(label, 4)
        image[y * 10 : y * 10 + 8, x * 8 : x * 8 + 8] += 90
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG", compress_level=1)
        size += file.tell()
        with open(f"{folder}/class{label}/{number:07}.png", "wb") as out:
            out.write(file.getvalue())
    print(f"{folder}: {count} images, {size} bytes")


if __name__ == "__main__":
    what, path, amount = sys.argv[1:]
    {"csv": make_csv, "images": make_images}[what](path, int(amount))
