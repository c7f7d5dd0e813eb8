def read_series(path):
    """Series of a path, each steps x channels with NaN for what is missing, and their numbers."""
    if path.suffix in (".npz", ".npy"):
        series = read_arrays(path)
    elif path.name.removesuffix(".gz").endswith(".ts"):
        series = read_ts(path)
    else:
        table, numbers = read_table(path, COLUMNS, COLUMNS)
        cells = numpy.array([[as_number(cell) for cell in table[name]] for name in COLUMNS])
        return list(cells.T[:, :, None]), numbers
    return series, list(range(1, len(series) + 1))


def read_arrays(path):
    """Rows x steps, or rows x channels x steps, or, with more channels than steps, the other way round."""
    array = numpy.load(path)
    if not isinstance(array, numpy.ndarray):
        array = array[next(name for name in ("X", "x", "data", "images", "inputs") if name in array)]
    if array.ndim == 2:
        array = array[:, None, :]
    array = array.transpose(0, 2, 1) if array.shape[1] <= array.shape[2] else array
    return list(numpy.where(numpy.isfinite(array), array, numpy.nan))


def read_ts(path):
    """Lines of a .ts file: a block of values for each channel, and the label if there is one."""
    lines = [line.strip() for line in decoded(path.read_bytes()).split("\n")]
    lines = [line for line in lines if line and line[0] not in "#%"]
    start = next(place for place, line in enumerate(lines) if line.lower().startswith("@data"))
    said = [line.lower().split()[:2] for line in lines[:start]]
    is_labelled = ["@classlabel", "true"] in said or ["@targetlabel", "true"] in said
    series = []
    for line in lines[start + 1 :]:
        blocks = line.split(":")[:-1] if is_labelled else line.split(":")
        channels = [[as_number(value.strip()) for value in block.split(",")] for block in blocks]
        values = numpy.full((max(map(len, channels)), len(channels)), numpy.nan)
        for channel, block in enumerate(channels):
            values[: len(block), channel] = block
        series.append(values)
    return series


def prepared(source):
    """What the network takes, and the number of each series: of a path, or of arrays steps x channels."""
    if isinstance(source, (str, Path)):
        series, numbers = read_series(Path(source))
    else:
        series, numbers = source, list(range(1, len(source) + 1))
    raw, kept = [], []
    for number, values in zip(numbers, series):
        if len(values) > LENGTH:
            reason = f"it has {len(values)} steps, the model takes up to {LENGTH}"
            print(f"row {number} is passed over: {reason}", file=sys.stderr)
            continue
        padded = numpy.full((LENGTH, CHANNELS), numpy.nan, numpy.float32)
        padded[: len(values)] = values
        raw.append(padded)
        kept.append(number)
    raw = numpy.array(raw, numpy.float32).reshape(-1, LENGTH, CHANNELS)
    # What is too large for a network is missing, too.
    is_missing = ~numpy.isfinite(raw)
    scaled = numpy.clip((raw - SERIES_SHIFT) / SERIES_SCALE, -CLIP, CLIP)
    filled = numpy.where(is_missing, numpy.float32(0.0), scaled)
    if TELLS_PRESENCE:
        present = (~is_missing).any(axis=2, keepdims=True).astype(numpy.float32)
        filled = numpy.concatenate([filled, present], axis=2)
    return torch.from_numpy(filled).movedim(-1, 1), kept
