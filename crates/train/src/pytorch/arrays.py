# What an array of inputs may be called where a file holds several; the first of these counts.
INPUT_NAMES = @NAMES@


def inputs_in(path):
    """The array of an NPY file, or that of the inputs in an NPZ file."""
    arrays = numpy.load(path)
    if isinstance(arrays, numpy.ndarray):
        return arrays
    name = next((name for name in INPUT_NAMES if name in arrays), None)
    if name is None:
        raise ValueError(f"{path} has no array named one of {', '.join(INPUT_NAMES)}: it has {', '.join(arrays)}")
    return arrays[name]
