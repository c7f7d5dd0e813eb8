# What stands in a file where there is no value.
MISSING = {"", "?", "NA", "N/A", "n/a", "na", "nan", "NaN", "NAN", "null", "NULL", "None"}

# What separates cells where any number of blanks and tabs does, and a cell there: in quotes, or without blanks.
BLANKS = "blanks"
CELL_BETWEEN_BLANKS = r'(?:"[^"]*"?)+[^ \t\r\n]*|[^ \t\r\n]+'


def as_number(cell, decimal="."):
    """A cell as a number; NaN for what is none."""
    if decimal == ",":
        cell = with_point(cell)
    # Python takes digits and underscores that no file means.
    if isinstance(cell, str) and (not cell.isascii() or "_" in cell):
        return numpy.nan
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return numpy.nan
    return number if numpy.isfinite(number) else numpy.nan


def is_number(cell, decimal="."):
    return not math.isnan(as_number(cell, decimal))


def with_point(cell):
    """A number with a comma as one with a point; nothing where points in it do not set thousands apart."""
    whole, comma, fraction = cell.partition(",")
    if "." in whole and not re.fullmatch(r"[+-]*[0-9]{1,3}(\.[0-9]{3})*", whole):
        return ""
    return whole.replace(".", "") + comma.replace(",", ".") + fraction


def read_table(path, names, numbers):
    """Columns by name, those of `numbers` as numbers, and the number of each row.

    Uneven rows are passed over. A file without names has its columns in order, or numbered from column1.
    """
    (header, *records), decimal = read_records(path)
    if not set(names) & set(header):
        records = [header, *records]
        numbered = [f"column{place}" for place in range(1, len(header) + 1)]
        header = names if len(names) == len(header) else numbered
    refuse_lacking(names, header)
    places, rows = [], []
    for place, cells in enumerate(records, 1):
        if len(cells) == len(header):
            places.append(place)
            rows.append(cells)
        else:
            pass_over(place, f"it has {len(cells)} cells, the header {len(header)}")
    table = {name: [cells[place] for cells in rows] for place, name in enumerate(header)}
    for name in numbers:
        table[name] = [as_number(cell, decimal) for cell in table[name]]
    return table, places


def read_records(path):
    """The lines of a file as cells without blanks around them, and the decimal mark of its numbers."""
    raw = Path(path).read_bytes()
    if raw[:4] == b"PAR1":
        raise ValueError("read a Parquet file with pandas, and give its columns to `predict`")
    text = decoded(raw)
    delimiter = DELIMITER or delimiter_of(text)
    records = records_of(text, delimiter)
    if not records:
        raise ValueError(f"{path} is empty: a header and rows are needed")
    return records, DECIMAL or ("," if has_decimal_commas(delimiter, records) else ".")


def records_of(text, delimiter):
    quoting = csv.QUOTE_NONE if is_without_quoting(text, delimiter) else csv.QUOTE_MINIMAL
    text, mark = (squeezed(text), "\t") if delimiter == BLANKS else (text, delimiter)
    csv.field_size_limit(1 << 30)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=mark, quoting=quoting)
    return [[cell.strip() for cell in cells] for cells in lines if cells]


def refuse_lacking(names, header):
    lacking = [name for name in names if name not in header]
    if lacking:
        raise ValueError(f"the table lacks the column(s) {', '.join(lacking)}")


def pass_over(row, reason):
    print(f"row {row} is passed over: {reason}", file=sys.stderr)


def decoded(raw):
    """Text from bytes: unpacked, by a mark at the beginning, as was said, or as UTF-8, otherwise as Latin-1."""
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16")
    if raw[:3] == b"\xef\xbb\xbf":
        return raw[3:].decode("utf-8", "strict" if ENCODING else "replace")
    if ENCODING:
        return raw.decode(ENCODING)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def delimiter_of(text):
    """The mark that splits the first lines into the most equal and the most numerous cells.

    Blanks, if they make a table, and no mark splits lines equally, or tabs leave numbers side by side.
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")[:50] if line.strip()]

    def quality(mark):
        counts = [sum(part.count(mark) for part in line.split('"')[::2]) for line in lines]
        first = counts[0] if counts else 0
        return sum(count == first for count in counts) if first else 0, first

    best = max(",;\t|", key=quality)
    may_be_blanks = all(map(has_numbers_side_by_side, lines)) if best == "\t" else not quality(best)[0]
    return BLANKS if may_be_blanks and are_table_of_blanks(lines) else best


def has_numbers_side_by_side(line):
    """Whether blanks stand between two numbers of a cell, if tabs separate cells: they do so, too, then."""
    return any(sum(map(is_number, cell.split())) > 1 for cell in line.split("\t"))


def are_table_of_blanks(lines):
    """Whether blanks split all lines into equally many cells, of which at least half are numbers or missing."""
    rows = [squeezed(line).split("\t") for line in lines]
    # The first line may name the columns, unless it is the only one.
    cells = [cell for row in rows[1:] or rows for cell in row]
    values = sum(cell in MISSING or is_number(cell, ".") or is_number(cell, ",") for cell in cells)
    widths = {len(row) for row in rows}
    return len(widths) == 1 and min(widths) > 1 and 2 * values >= len(cells)


def squeezed(text):
    """The same lines with one tab between cells that any number of blanks separates, and none around them."""
    # Cells and line ends stay; blanks between two cells become a tab, all others nothing.
    pieces = re.compile(rf"({CELL_BETWEEN_BLANKS})|[ \t]*([\r\n]|\Z)[ \t]*|[ \t]+")
    return pieces.sub(lambda piece: piece[1] or ("\t" if piece[2] is None else piece[2]), text.lstrip(" \t"))


def is_without_quoting(text, delimiter):
    """Whether a quote is part of the text: tabs stand evenly, and not every line has a cell in quotes."""
    lines = [line for line in text.split("\n") if line.strip("\r")]
    is_quoted = re.compile('(^|\t)"[^\t]*"(\t|\r|$)').search
    is_even = len({line.count("\t") for line in lines}) == 1
    return delimiter == "\t" and is_even and not all(map(is_quoted, lines[1:]))


def has_decimal_commas(delimiter, records):
    """Whether commas are decimal marks: there are more of them than points, and they separate no cells.

    Between blanks they may set thousands apart, unless one of them has other than three digits behind it.
    """
    cells = [cell for cells in records[:1000] for cell in cells]

    def fractions(mark):
        return sum(cell.count(mark) == 1 and is_number(cell.replace(mark, ".")) for cell in cells)

    def sets_no_thousands(cell):
        _, comma, fraction = cell.partition(",")
        return comma and len(fraction) != 3 and is_number(cell, ",")

    if delimiter not in (";", BLANKS) or fractions(",") <= fractions("."):
        return False
    return delimiter == ";" or any(sets_no_thousands(cell) for cells in records for cell in cells)
