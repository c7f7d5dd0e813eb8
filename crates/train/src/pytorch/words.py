class Words:
    """A column of texts: 1 for each known word that stands in the cell, as it is written."""

    def __init__(self, name, words):
        self.name, self.words = name, words
        self.places = next(column["forms"] for column in stored_inputs()["columns"] if column["name"] == name)

    def features(self, cells):
        features = numpy.zeros((len(cells), self.words))
        for row, cell in enumerate(cells):
            for form in words_of(ways_of_writing(cell)[0] or ""):
                if form in self.places:
                    features[row, self.places[form]] = 1.0
        return features
