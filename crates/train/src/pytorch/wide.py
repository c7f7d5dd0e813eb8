def read_table_of_series(path):
    """Series of a table with a column for each step, and the number of each; a series ends with its last value."""
    if not COLUMNS:
        raise ValueError(f"{path} is no .ts, .npz or .npy file: the model takes series as such")
    table, numbers = read_table(path, COLUMNS, COLUMNS)
    series = []
    for row in zip(*(table[name] for name in COLUMNS)):
        values = numpy.array([as_single(value) for value in row])
        present = numpy.flatnonzero(~numpy.isnan(values))
        end = present[-1] + 1 if len(present) else 1
        series.append(values[:end, None])
    return short_enough(series, numbers)
