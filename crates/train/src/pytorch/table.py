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
        self.known = set(self.places)

    def word(self, cell):
        """The first way of writing a cell that is known, if there is one."""
        ways = ways_of_writing(cell)
        return next((word for word in ways if word in self.known), ways[0])

    def features(self, cells):
        features = numpy.zeros((len(cells), len(self.places)))
        for row, cell in enumerate(cells):
            place = self.places.get(self.word(cell))
            if place is not None:
                features[row, place] = 1.0
        return features


@MORE@


def ways_of_writing(cell):
    """The words by which a file may have a cell, or None for one that is missing: a program has more than words."""
    word = str(cell).strip()
    if word in MISSING or (not isinstance(cell, str) and word in {"<NA>", "NaT"}):
        return [None]
    if isinstance(cell, (bool, numpy.bool_)):
        return [word, word.lower(), word.upper()]
    # A column of whole numbers of which some are missing becomes one of fractions.
    if isinstance(cell, (float, numpy.floating)) and float(cell).is_integer():
        return [word, str(int(cell))]
    return [word]


def read_arrays(path):
    """The columns x0, x1 and so on of an array of rows and columns."""
    array = inputs_in(path)
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
