# From here on single precision rounds a number to infinity: half a step beyond the largest that it has.
SINGLE_END = (2 - 2.0**-24) * 2.0**127

# What stands in a .ts file where there is no value.
MISSING_IN_TS = {"?", "NaN", "nan", ""}


def read_series(path):
    """Series of a path, each steps x channels with NaN for what is missing, and the place of each."""
    if path.suffix in (".npz", ".npy"):
        series = read_arrays(path)
        return short_enough(series, range(1, len(series) + 1))
    if path.name.removesuffix(".gz").endswith(".ts"):
        return short_enough(*read_ts(path))
    return read_table_of_series(path)


def short_enough(series, numbers):
    """Those that the model can take, and their numbers."""
    kept, places = [], []
    for number, values in zip(numbers, series):
        if len(values) <= LENGTH:
            kept.append(values)
            places.append(number)
        else:
            pass_over(number, f"it has {len(values)} steps, the model takes up to {LENGTH}")
    return kept, places


def as_single(cell, decimal="."):
    """A cell as a number; NaN for what is none, or too large for a network."""
    number = as_number(cell, decimal)
    return number if abs(number) < SINGLE_END else numpy.nan


def read_arrays(path):
    """Rows x steps, or rows x channels x steps, or rows x steps x channels, as the model has so many."""
    array = inputs_in(path)
    if array.ndim == 2:
        # Columns of an array are called by their places, and some may have been left out.
        places = [int(name[1:]) for name in COLUMNS if re.fullmatch("x[0-9]+", name)]
        has_others = 0 < len(places) == len(COLUMNS) < array.shape[1] and max(places) < array.shape[1]
        array = (array[:, places] if has_others else array)[:, :, None]
    elif array.ndim != 3:
        raise ValueError(f"an array of shape {array.shape} is no list of series: rows, channels and steps are")
    elif are_channels_first(*array.shape[1:]):
        array = array.transpose(0, 2, 1)
    return list(numpy.where(numpy.isfinite(array), array, numpy.nan))


def are_channels_first(first, second):
    """Whether the first of these extents is that of the channels; where neither fits, the smaller one is."""
    if (first == CHANNELS) != (second == CHANNELS):
        return first == CHANNELS
    if first == CHANNELS and CHANNELS not in (1, LENGTH):
        raise ValueError(
            f"{first} x {second} does not tell channels from steps: add a step that is not a number behind the "
            "others, which counts as missing"
        )
    return first <= second


def read_ts(path):
    """Series of a .ts file, and the number of each among the lines of data; one that is none costs no other."""
    lines = enumerate(map(str.strip, decoded(path.read_bytes()).split("\n")), 1)
    lines = [(number, line) for number, line in lines if line and line[0] not in "#%"]
    start = next((place for place, (_, line) in enumerate(lines) if line.split()[0].lower() == "@data"), None)
    if start is None:
        raise ValueError(f"{path} has no @data: a .ts file has its series behind that")
    declared = {line.split()[0].lower(): line.split()[1:] for _, line in lines[:start]}
    series, numbers = [], []
    for number, (place, line) in enumerate(lines[start + 1 :], 1):
        try:
            values = series_of(line, declared)
            check_alike(values, series[0] if series else values, declared)
        except ValueError as odd:
            pass_over(number, f"line {place}: {odd}")
            continue
        series.append(values)
        numbers.append(number)
    if not series:
        raise ValueError(f"{path} has no series behind @data that can be read")
    return series, numbers


def series_of(line, declared):
    """Steps x channels of a line: a block of values for each channel, and the label if there is one."""
    blocks = line.split(":")
    if is_true(declared, "@classlabel") or is_true(declared, "@targetlabel"):
        if len(blocks) < 2:
            raise ValueError("it has no label behind a colon, and labels are declared")
        check_label(blocks.pop().strip(), declared)
    dimensions = declared.get("@dimensions", declared.get("@dimension", []))
    if dimensions and dimensions[0].isdigit() and len(blocks) != int(dimensions[0]):
        raise ValueError(f"it has {len(blocks)} channel(s), and @dimensions is {dimensions[0]}")
    channels = [[value_in_ts(word.strip()) for word in block.split(",")] for block in blocks]
    values = numpy.full((max(map(len, channels)), len(channels)), numpy.nan)
    for channel, block in enumerate(channels):
        values[: len(block), channel] = block
    return values


def is_true(declared, keyword):
    return [word.lower() for word in declared.get(keyword, [])[:1]] == ["true"]


def check_label(label, declared):
    classes = declared.get("@classlabel", [])[1:]
    if is_true(declared, "@targetlabel"):
        try:
            float(label)
        except ValueError:
            raise ValueError(f"its target `{label}` is no number") from None
    elif classes and label not in classes:
        raise ValueError(f"its label `{label}` is not among the declared ones ({', '.join(classes)})")


def value_in_ts(word):
    value = as_single(word)
    if math.isnan(value) and word not in MISSING_IN_TS:
        raise ValueError(f"`{word}` is no usable number")
    return value


def check_alike(values, first, declared):
    """Series of a file have as many channels as its first, and as many steps where that is declared."""
    if values.shape[1] != first.shape[1]:
        raise ValueError(f"it has {values.shape[1]} channel(s), the lines before {first.shape[1]}")
    if is_true(declared, "@equallength") and len(values) != len(first):
        raise ValueError(f"it has {len(values)} steps, the first has {len(first)}, and @equalLength is true")


def prepared(source):
    """What the network takes, and the place of each series: of a path, or of arrays steps x channels."""
    if isinstance(source, (str, Path)):
        series, places = read_series(Path(source))
    else:
        series, places = short_enough(source, range(1, len(source) + 1))
    raw = numpy.full((len(series), LENGTH, CHANNELS), numpy.nan, numpy.float32)
    # What is too large for a network is missing, too.
    with numpy.errstate(over="ignore"):
        for row, values in zip(raw, series):
            if numpy.shape(values)[1:] != (CHANNELS,):
                raise ValueError(f"a series is {numpy.shape(values)}, those of the model are steps x {CHANNELS}")
            row[: len(values)] = values
    is_missing = ~numpy.isfinite(raw)
    scaled = numpy.clip((raw - SERIES_SHIFT) / SERIES_SCALE, -CLIP, CLIP)
    filled = numpy.where(is_missing, numpy.float32(0.0), scaled)
    if TELLS_PRESENCE:
        present = (~is_missing).any(axis=2, keepdims=True).astype(numpy.float32)
        filled = numpy.concatenate([filled, present], axis=2)
    return torch.from_numpy(filled).movedim(-1, 1), places
