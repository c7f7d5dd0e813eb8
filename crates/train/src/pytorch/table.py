# Largest value, in scales, that reaches the network: one wild cell must not drown a row.
CLIP = 10.0

# What stands in a file where there is no value.
MISSING = {"", "?", "NA", "N/A", "n/a", "na", "nan", "NaN", "NAN", "null", "NULL", "None"}


class Number:
    """A column of numbers: filled where one is missing, moved, scaled, clipped."""

    def __init__(self, name, fill, shift, scale, tells_missing):
        self.name, self.fill, self.shift, self.scale = name, fill, shift, scale
        self.tells_missing = tells_missing

    def features(self, cells):
        numbers = numpy.array([as_number(cell) for cell in cells], numpy.float64)
        missing = numpy.isnan(numbers)
        filled = numpy.where(missing, self.fill, numbers)
        scaled = numpy.clip((filled - self.shift) / self.scale, -CLIP, CLIP)
        return numpy.stack([scaled, missing] if self.tells_missing else [scaled], axis=1)


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


def as_number(cell):
    """A cell as a number; NaN for what is none."""
    # Python takes digits and underscores that no file means.
    if isinstance(cell, str) and (not cell.isascii() or "_" in cell):
        return numpy.nan
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return numpy.nan
    return number if numpy.isfinite(number) else numpy.nan


def as_word(cell):
    """A cell as a word; None for what is missing."""
    word = str(cell).strip()
    is_missing = word in MISSING or (not isinstance(cell, str) and word in {"<NA>", "NaT"})
    return None if is_missing else word


def read_table(path):
    """The columns of a delimited file by name, and the number of each row; uneven rows are passed over."""
    raw = Path(path).read_bytes()
    if raw[:4] == b"PAR1":
        raise ValueError("read a Parquet file with pandas, and give its columns to `predict`")
    text = decoded(raw)
    delimiter = delimiter_of(text)
    csv.field_size_limit(1 << 30)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header, *records = [[cell.strip() for cell in cells] for cells in lines if cells]
    numbers, rows = [], []
    for number, cells in enumerate(records, 1):
        if len(cells) == len(header):
            numbers.append(number)
            rows.append(cells)
        else:
            reason = f"it has {len(cells)} cells, the header {len(header)}"
            print(f"row {number} is passed over: {reason}", file=sys.stderr)
    table = {name: [cells[place] for cells in rows] for place, name in enumerate(header)}
    if delimiter == ";" and has_decimal_commas(records):
        for column in COLUMNS:
            if isinstance(column, Number):
                cells = table.get(column.name, [])
                table[column.name] = [cell.replace(".", "").replace(",", ".") for cell in cells]
    return table, numbers


def decoded(raw):
    """Text from bytes: unpacked, UTF-8 or UTF-16 by their marks, otherwise UTF-8, otherwise Latin-1."""
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def delimiter_of(text):
    """The mark that splits the first lines into the most equal and the most numerous cells."""
    lines = [line for line in text.split("\n")[:50] if line.strip("\r")]

    def quality(mark):
        counts = [sum(part.count(mark) for part in line.split('"')[::2]) for line in lines]
        first = counts[0] if counts else 0
        return sum(count == first for count in counts) if first else 0, first

    return max(",;\t|", key=quality)


def has_decimal_commas(records):
    cells = [cell for cells in records[:1000] for cell in cells]

    def fractions(mark):
        return sum(cell.count(mark) == 1 and not numpy.isnan(as_number(cell.replace(mark, "."))) for cell in cells)

    return fractions(",") > fractions(".")


def read_arrays(path):
    """The columns x0, x1 and so on of an array of rows and columns."""
    array = numpy.load(path)
    if not isinstance(array, numpy.ndarray):
        array = array[next(name for name in ("X", "x", "data", "images", "inputs") if name in array)]
    columns = {f"x{place}": array[:, place] for place in range(array.shape[1])}
    return columns, list(range(1, len(array) + 1))


def prepared(source):
    """What the network takes, and the number of each row: of a file, or of columns by name."""
    if isinstance(source, (str, Path)):
        is_array = str(source).endswith((".npz", ".npy"))
        table, numbers = read_arrays(source) if is_array else read_table(source)
    else:
        table, numbers = source, list(range(1, len(source[COLUMNS[0].name]) + 1))
    lacking = [column.name for column in COLUMNS if column.name not in table]
    if lacking:
        raise ValueError(f"the table lacks the column(s) {', '.join(lacking)}")
    features = [column.features(list(table[column.name])) for column in COLUMNS]
    return torch.from_numpy(numpy.concatenate(features, axis=1).astype(numpy.float32)), numbers
