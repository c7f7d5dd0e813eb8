def read_texts(path):
    """Texts of a table's column, of a .txt file, or of all such files in a folder by their names."""
    if path.is_dir() or (path.suffix == ".txt" and not is_table(path)):
        files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
        places = [(file.name, number) if path.is_dir() else number for number, file in enumerate(files, 1)]
        return [decoded(file.read_bytes()) for file in files], places
    table, numbers = read_table(path, [COLUMN], [])
    return table[COLUMN], numbers


def is_table(path):
    """Whether a .txt file is no text: its first line has the column, or, as others, the place of one without name."""
    text = decoded(path.read_bytes())
    delimiter = DELIMITER or delimiter_of(text)
    records = records_of(text, delimiter)
    first = next(filter(any, records), [])
    if COLUMN in first:
        return sum(map(any, records)) > 1
    numbered = [f"column{place}" for place in range(1, len(first) + 1)]
    is_even = len(records) > 1 and all(len(cells) == len(first) for cells in records)
    return len(first) > 1 and COLUMN in numbered and (delimiter == "\t" or is_even)


def prepared(source):
    """What the network takes, and the number of each text: of a path, or of texts."""
    if isinstance(source, (str, Path)):
        texts, numbers = read_texts(Path(source))
    else:
        texts, numbers = source, list(range(1, len(source) + 1))
    forms = stored_inputs()["text"]["forms"]
    codes = numpy.full((len(texts), 1, LENGTH), NOTHING, numpy.float32)
    for row, text in enumerate(texts):
        pieces = [] if text.strip(" \t\n\f\r") in MISSING else words_of(text)
        for place, form in enumerate(pieces[:LENGTH]):
            codes[row, 0, place] = forms.get(form, UNKNOWN)
    return torch.from_numpy(codes), numbers
