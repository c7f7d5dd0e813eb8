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
    names, rows = named(places)
    table.writerow([*names, TARGET])
    for row, value in zip(rows, answers(inputs).tolist()):
        table.writerow([*row, value])


if __name__ == "__main__":
    main(*sys.argv[1:])
