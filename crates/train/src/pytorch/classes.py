@torch.no_grad()
def answers(inputs):
    """The class that is said of each row, and the probabilities of all classes, in their order."""
    network = load_network()
    outputs = torch.cat([network(batch) for batch in inputs.split(256)])
    outputs = outputs.double() / TEMPERATURE
    if len(CLASSES) == 2:
        outputs[:, 1] += OFFSET
    probabilities = torch.softmax(outputs, dim=1).numpy()
    said = probabilities.argmax(axis=1)
    if len(CLASSES) == 2:
        said = (probabilities[:, 1] > THRESHOLD).astype(int)
    return [CLASSES[number] for number in said], probabilities


def predict(source):
    """Labels and probabilities: of a path, or of rows in memory."""
    return answers(prepared(source)[0])


def main(path):
    inputs, places = prepared(path)
    labels, probabilities = answers(inputs)
    table = csv.writer(sys.stdout, lineterminator="\n")
    names, rows = named(places)
    table.writerow([*names, "label", *(f"probability of {name}" for name in CLASSES)])
    for row, label, shares in zip(rows, labels, probabilities):
        table.writerow([*row, label, *(f"{share:.6f}" for share in shares)])


if __name__ == "__main__":
    main(*sys.argv[1:])
