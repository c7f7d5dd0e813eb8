def read_texts(path):
    """Texts of a table's column, of a .txt file, or of all such files in a folder by their names."""
    if path.is_dir() or path.suffix == ".txt":
        files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
        places = [(file.name, number) if path.is_dir() else number for number, file in enumerate(files, 1)]
        return [decoded(file.read_bytes()) for file in files], places
    table, numbers = read_table(path, [COLUMN], [])
    return table[COLUMN], numbers


def prepared(source):
    """What the network takes, and the number of each text: of a path, or of texts."""
    if isinstance(source, (str, Path)):
        texts, numbers = read_texts(Path(source))
    else:
        texts, numbers = source, list(range(1, len(source) + 1))
    forms = stored_inputs()["text"]["forms"]
    codes = numpy.full((len(texts), 1, LENGTH), NOTHING, numpy.float32)
    for row, text in enumerate(texts):
        pieces = [] if text.strip() in MISSING else words_of(text)
        for place, form in enumerate(pieces[:LENGTH]):
            codes[row, 0, place] = forms.get(form, UNKNOWN)
    return torch.from_numpy(codes), numbers
