# What the parts of a way of writing dates match; figures may be fewer, and blanks stand before them.
MONTHS = "January February March April May June July August September October November December".split()
SIGNED, UP_TO_TWO = r"\s*([+-][0-9]+|[0-9]{1,4})", r"\s*([0-9]{1,2})"
MONTH = f"((?ai:{'|'.join(MONTHS + [month[:3] for month in MONTHS])}))"
DATE_PARTS = {
    "%Y": SIGNED,
    "%m": UP_TO_TWO,
    "%d": UP_TO_TWO,
    "%H": UP_TO_TWO,
    "%M": UP_TO_TWO,
    "%S": UP_TO_TWO,
    "%b": MONTH,
    "%B": MONTH,
    "%.f": r"(\.[0-9]+)?",
    "%z": r"(\s*(?:[Zz]|[+\-−][0-9]{2}[:\s]*[0-5][0-9]))",
    " ": r"\s*",
}


class DateForm:
    """A way of writing dates."""

    def __init__(self, written):
        self.written = written
        pieces = re.findall(r"%\.f|%.|.", written)
        self.parts = [piece for piece in pieces if piece.startswith("%")]
        self.pattern = re.compile("".join(DATE_PARTS.get(piece) or re.escape(piece) for piece in pieces))

    def seconds(self, cell):
        """Seconds since 1970, UTC; NaN for what is written otherwise."""
        if isinstance(cell, datetime.datetime) and cell == cell:
            cell = cell if cell.tzinfo else cell.replace(tzinfo=datetime.timezone.utc)
            cell = cell.strftime(self.written.replace("%.f", ".%f"))
        cell = str(cell).strip()
        found = self.pattern.fullmatch(cell)
        if not found or not 6 <= len(cell.encode()) <= 40:
            return numpy.nan
        given = dict(zip(self.parts, found.groups()))
        month = given.get("%m") or 1 + [month[:3] for month in MONTHS].index(
            (given.get("%b") or given.get("%B")).title()[:3]
        )
        try:
            time = datetime.datetime(
                int(given["%Y"]),
                int(month),
                int(given.get("%d", 1)),
                int(given.get("%H", 0)),
                int(given.get("%M", 0)),
            )
            offset = offset_of(given.get("%z", "Z").strip())
        except (ValueError, OverflowError):
            return numpy.nan
        # A leap second is the one behind the last of its minute.
        second = int(given.get("%S", 0))
        minutes = (time - datetime.datetime(1970, 1, 1)).total_seconds() - offset
        is_date = YEARS_BEGIN <= minutes + min(second, 59) < YEARS_END and second <= 60
        fraction = float((given.get("%.f") or ".0")[:7])
        return minutes + second + fraction if is_date else numpy.nan


# Seconds of the years 1000 to 2999: others are numbers that happen to look like dates.
YEARS_BEGIN, YEARS_END = -30610224000, 32503680000


def offset_of(zone):
    """Seconds by which a zone is ahead of UTC."""
    if zone in ("Z", "z"):
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23:
        raise ValueError(f"no zone is {hours} hours ahead")
    seconds = 3600 * hours + 60 * minutes
    return seconds if zone[0] == "+" else -seconds
