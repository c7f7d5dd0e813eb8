def pair_codes(codes):
    """The code of the pair that begins at each character; that of nothing where none is known."""
    known = stored_inputs()["text"]
    first = known["codes"] - len(known["pairs"])
    places = {tuple(pair): first + place for place, pair in enumerate(known["pairs"])}
    seconds = numpy.pad(codes[:, :, 1:], ((0, 0), (0, 0), (0, 1)))
    found = [places.get(pair, NOTHING) for pair in zip(codes.ravel(), seconds.ravel())]
    return numpy.array(found, numpy.float32).reshape(codes.shape)
