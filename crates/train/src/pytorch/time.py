class Time:
    """A column of dates: as seconds since 1970 moved and scaled, and as sine and cosine of each cycle."""

    def __init__(self, name, written, fill, shift, scale, tells_missing, cycles):
        self.name, self.fill, self.shift, self.scale = name, fill, shift, scale
        self.tells_missing, self.cycles = tells_missing, cycles
        self.has_fraction = "%.f" in written
        self.written = written.replace("%.f", "")

    def seconds(self, cell):
        """Seconds since 1970, UTC; NaN for what is written otherwise."""
        if isinstance(cell, datetime.datetime):
            cell = cell.strftime(self.written)
        cell, fraction = str(cell).strip(), 0.0
        found = re.search(r":\d\d(\.\d+)", cell) if self.has_fraction else None
        if found:
            fraction = float(found[1])
            cell = cell[: found.start(1)] + cell[found.end(1) :]
        try:
            time = datetime.datetime.strptime(cell, self.written)
        except ValueError:
            return numpy.nan
        time = time if time.tzinfo else time.replace(tzinfo=datetime.timezone.utc)
        is_date = 1000 <= time.astimezone(datetime.timezone.utc).year <= 2999
        return time.timestamp() + fraction if is_date else numpy.nan

    def features(self, cells):
        seconds = numpy.array([self.seconds(cell) for cell in cells], numpy.float64)
        missing = numpy.isnan(seconds)
        filled = numpy.where(missing, self.fill, seconds)
        features = [numpy.clip((filled - self.shift) / self.scale, -CLIP, CLIP)]
        for begin, length in self.cycles:
            turns = (filled - begin) / length
            angle = (turns - numpy.floor(turns)).astype(numpy.float32) * numpy.float32(2 * numpy.pi)
            features += [numpy.sin(angle), numpy.cos(angle)]
        return numpy.stack(features + [missing] * self.tells_missing, axis=1)
