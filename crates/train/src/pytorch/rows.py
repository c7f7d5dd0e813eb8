def named(places):
    """Names of the columns that tell rows apart, and the cells of each row below them."""
    # A place is the number of a row; in a folder, its file and its number.
    names = ["file", "row"] if places and isinstance(places[0], tuple) else ["row"]
    return names, [place if isinstance(place, tuple) else (place,) for place in places]
