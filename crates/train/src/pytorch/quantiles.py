class LongTailed(Number):
    """A column of numbers with long tails: filled where one is missing, then along a line through knots.

    A knot is a raw value and what becomes of it; beyond the ends it stays what it is at the end.
    """

    def __init__(self, name, fill, tells_missing, knots):
        self.name, self.fill, self.tells_missing = name, fill, tells_missing
        self.raw, self.line = zip(*knots)

    def scaled(self, numbers):
        return numpy.interp(numbers, self.raw, self.line)
