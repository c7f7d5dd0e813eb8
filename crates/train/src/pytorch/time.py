class Time:
    """A column of dates: as seconds since 1970 moved and scaled, and as sine and cosine of each cycle."""

    def __init__(self, name, written, fill, shift, scale, tells_missing, cycles):
        self.name, self.fill, self.shift, self.scale = name, fill, shift, scale
        self.tells_missing, self.cycles = tells_missing, cycles
        self.form = DateForm(written)

    def features(self, cells):
        seconds = numpy.array([self.form.seconds(cell) for cell in cells], numpy.float64)
        missing = numpy.isnan(seconds)
        filled = numpy.where(missing, self.fill, seconds)
        features = [numpy.clip((filled - self.shift) / self.scale, -CLIP, CLIP)]
        for begin, length in self.cycles:
            turns = (filled - begin) / length
            angle = (turns - numpy.floor(turns)).astype(numpy.float32) * numpy.float32(2 * numpy.pi)
            features += [numpy.sin(angle), numpy.cos(angle)]
        return numpy.stack(features + [missing] * self.tells_missing, axis=1)
