class OddRow(Exception):
    """A row that is no step of its series: its number, and what is wrong with it."""


def read_table_of_series(path):
    """Series of a table with a row for each step, and the number of the first row and the id of each.

    A row that is no step costs its series: half of one would be answered as if it were whole.
    """
    (header, *records), decimal = read_records(path)
    refuse_lacking([name for name in (STEP_ID, STEP_TIME, *STEP_CHANNELS) if name is not None], header)
    rows_of = {}
    for number, cells in enumerate(records, 1):
        row, reason = dict(zip(header, cells)), None
        if len(cells) != len(header):
            reason = f"it has {len(cells)} cells, the header {len(header)}"
        if row.get(STEP_ID, "") in MISSING:
            pass_over(number, reason or f"it has no `{STEP_ID}`, so it belongs to no series")
        else:
            rows_of.setdefault(row[STEP_ID], []).append((number, row, reason))
    series, places = [], []
    for name, rows in rows_of.items():
        first = rows[0][0]
        try:
            values = steps_in_order(name, rows, decimal)
        except OddRow as odd:
            number, reason = odd.args
            pass_over(number, f"{reason}; series `{name}` is not answered without it")
            continue
        if len(values) <= LENGTH:
            series.append(values)
            places.append((first, name))
        else:
            pass_over(first, f"series `{name}` has {len(values)} steps, the model takes up to {LENGTH}")
    return series, places


def steps_in_order(name, rows, decimal):
    """Steps x channels of a series; raises the first row that is no step of it."""
    values = numpy.array([channels_of(*step, decimal) for step in rows])
    if STEP_TIME is None:
        return values
    times = []
    for number, row, _ in rows:
        times.append(time_of(row[STEP_TIME], decimal))
        if math.isnan(times[-1]):
            raise OddRow(number, f"`{STEP_TIME}` holds `{row[STEP_TIME]}`, which is no time like the others")
    order = sorted(range(len(rows)), key=times.__getitem__)
    for before, after in zip(order, order[1:]):
        if times[before] == times[after]:
            (earlier, _, _), (number, row, _) = rows[before], rows[after]
            raise OddRow(number, f"series `{name}` has `{row[STEP_TIME]}` in `{STEP_TIME}`, as in row {earlier}")
    return values[order]


def channels_of(number, row, reason, decimal):
    """The values of a step."""
    if reason:
        raise OddRow(number, reason)
    values = [as_single(row[column], decimal) for column in STEP_CHANNELS]
    for column, value in zip(STEP_CHANNELS, values):
        if math.isnan(value) and row[column] not in MISSING:
            raise OddRow(number, f"`{column}` holds `{row[column]}`, which is no number")
    return values


def time_of(cell, decimal):
    """A cell as a time; NaN for what is none."""
    return as_number(cell, decimal)


def named(places):
    """Names of the columns that tell series apart, and the cells of each below them."""
    # Series of a table have the number of their first row and an id, those of other files a number alone.
    return ["row", "series"], [place if isinstance(place, tuple) else (place, "") for place in places]
