@torch.no_grad()
def answers(inputs):
    """The predicted value of each row, in the target's own unit."""
    network = load_network()
    outputs = torch.cat([network(batch) for batch in inputs.split(256)])
    return (outputs.double() * TARGET_SCALE + TARGET_MEAN).squeeze(1).numpy()


def predict(source):
    """Values: of a path, or of rows in memory."""
    return answers(prepared(source)[0])


def main(path):
    inputs, places = prepared(path)
    table = csv.writer(sys.stdout, lineterminator="\n")
    # A place is the number of a row; in a folder, its file and its number.
    named = ["file", "row"] if places and isinstance(places[0], tuple) else ["row"]
    table.writerow([*named, TARGET])
    for place, value in zip(places, answers(inputs).tolist()):
        place = place if isinstance(place, tuple) else (place,)
        table.writerow([*place, value])


if __name__ == "__main__":
    main(*sys.argv[1:])
