class Number:
    """A column of numbers: filled where one is missing, moved, scaled, clipped."""

    def __init__(self, name, fill, shift, scale, tells_missing):
        self.name, self.fill, self.shift, self.scale = name, fill, shift, scale
        self.tells_missing = tells_missing

    def features(self, cells):
        numbers = numpy.array([as_number(cell) for cell in cells], numpy.float64)
        missing = numpy.isnan(numbers)
        scaled = self.scaled(numpy.where(missing, self.fill, numbers))
        return numpy.stack([scaled, missing] if self.tells_missing else [scaled], axis=1)

    def scaled(self, numbers):
        return numpy.clip((numbers - self.shift) / self.scale, -CLIP, CLIP)


class Category:
    """A column of words: 1 for the cell's own word, 0 for the others and for words never seen."""

    def __init__(self, name, levels, tells_missing):
        self.name, self.tells_missing = name, tells_missing
        self.places = {level: place for place, level in enumerate(levels)}
        if tells_missing:
            self.places[None] = len(levels)

    def features(self, cells):
        features = numpy.zeros((len(cells), len(self.places)))
        for row, cell in enumerate(cells):
            place = self.places.get(as_word(cell))
            if place is not None:
                features[row, place] = 1.0
        return features


@MORE@


def as_word(cell):
    """A cell as a word; None for what is missing."""
    word = str(cell).strip()
    is_missing = word in MISSING or (not isinstance(cell, str) and word in {"<NA>", "NaT"})
    return None if is_missing else word


def read_arrays(path):
    """The columns x0, x1 and so on of an array of rows and columns."""
    array = numpy.load(path)
    if not isinstance(array, numpy.ndarray):
        array = array[next(name for name in ("X", "x", "data", "images", "inputs") if name in array)]
    columns = {f"x{place}": array[:, place] for place in range(array.shape[1])}
    return columns, list(range(1, len(array) + 1))


def prepared(source):
    """What the network takes, and the number of each row: of a file, or of columns by name."""
    names = [column.name for column in COLUMNS]
    if not isinstance(source, (str, Path)):
        table, places = source, list(range(1, len(source[names[0]]) + 1))
    elif str(source).endswith((".npz", ".npy")):
        table, places = read_arrays(source)
    else:
        numbers = [column.name for column in COLUMNS if isinstance(column, Number)]
        table, places = read_table(source, names, numbers)
    features = [column.features(list(table[column.name])) for column in COLUMNS]
    return torch.from_numpy(numpy.concatenate(features, axis=1).astype(numpy.float32)), places
