# Rarer levels share so many values; from the set of one of them to that of the next.
SHARED, STEP = @SHARED@


class ManyLevels(Category):
    """A category of which the rarer levels share values: three of them are 1 for each."""

    def __init__(self, name, levels, tells_missing):
        super().__init__(name, levels, tells_missing)
        stored = next(column["levels"] for column in stored_inputs()["columns"] if column["name"] == name)
        self.rarer = {level: place for place, level in enumerate(stored[len(levels) :])}
        self.known.update(self.rarer)

    def features(self, cells):
        shared = numpy.zeros((len(cells), SHARED))
        for row, cell in enumerate(cells):
            place = self.rarer.get(self.word(cell))
            if place is not None:
                shared[row, shared_places(place)] = 1.0
        return numpy.hstack([super().features(cells), shared])


def shared_places(place):
    """The set of three shared values that is a rarer level's own."""
    rest = place * STEP % math.comb(SHARED, 3)
    last = max(value for value in range(2, SHARED) if math.comb(value, 3) <= rest)
    rest -= math.comb(last, 3)
    middle = max(value for value in range(1, last) if math.comb(value, 2) <= rest)
    return [rest - math.comb(middle, 2), middle, last]
