# What stands in a file where there is no value.
MISSING = {"", "?", "NA", "N/A", "n/a", "na", "nan", "NaN", "NAN", "null", "NULL", "None"}


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


def read_table(path, names, numbers):
    """Columns by name, those of `numbers` with decimal points, and the number of each row.

    Uneven rows are passed over. A file without names has its columns in order, or numbered from column1.
    """
    raw = Path(path).read_bytes()
    if raw[:4] == b"PAR1":
        raise ValueError("read a Parquet file with pandas, and give its columns to `predict`")
    text = decoded(raw)
    delimiter = delimiter_of(text)
    csv.field_size_limit(1 << 30)
    quoting = csv.QUOTE_NONE if is_without_quoting(text, delimiter) else csv.QUOTE_MINIMAL
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting)
    header, *records = [[cell.strip() for cell in cells] for cells in lines if cells]
    if not set(names) & set(header):
        records = [header, *records]
        numbered = [f"column{place}" for place in range(1, len(header) + 1)]
        header = names if len(names) == len(header) else numbered
    lacking = [name for name in names if name not in header]
    if lacking:
        raise ValueError(f"the table lacks the column(s) {', '.join(lacking)}")
    places, rows = [], []
    for place, cells in enumerate(records, 1):
        if len(cells) == len(header):
            places.append(place)
            rows.append(cells)
        else:
            reason = f"it has {len(cells)} cells, the header {len(header)}"
            print(f"row {place} is passed over: {reason}", file=sys.stderr)
    table = {name: [cells[place] for cells in rows] for place, name in enumerate(header)}
    if delimiter == ";" and has_decimal_commas(records):
        for name in numbers:
            table[name] = [cell.replace(".", "").replace(",", ".") for cell in table[name]]
    return table, places


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


def is_without_quoting(text, delimiter):
    """Whether a quote is part of the text: tabs stand evenly, and not every line has a cell in quotes."""
    lines = [line for line in text.split("\n") if line.strip("\r")]
    is_quoted = re.compile('(^|\t)"[^\t]*"(\t|\r|$)').search
    is_even = len({line.count("\t") for line in lines}) == 1
    return delimiter == "\t" and is_even and not all(map(is_quoted, lines[1:]))


def has_decimal_commas(records):
    cells = [cell for cells in records[:1000] for cell in cells]

    def fractions(mark):
        return sum(cell.count(mark) == 1 and not numpy.isnan(as_number(cell.replace(mark, "."))) for cell in cells)

    return fractions(",") > fractions(".")
