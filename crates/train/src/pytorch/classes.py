@torch.no_grad()
def answers(inputs):
    """The class that is said of each row, and the probabilities of all classes, in their order."""
    network = load_network()
    outputs = torch.cat([network(batch) for batch in inputs.split(256)])
    probabilities = torch.softmax(outputs.double() / TEMPERATURE, dim=1).numpy()
    said = probabilities.argmax(axis=1)
    if len(CLASSES) == 2:
        said = (probabilities[:, 1] > THRESHOLD).astype(int)
    return [CLASSES[number] for number in said], probabilities


def predict(source):
    """Labels and probabilities: of a path, or of rows in memory."""
    return answers(prepared(source)[0])


def main(path):
    inputs, numbers = prepared(path)
    labels, probabilities = answers(inputs)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["row", "label", *(f"probability of {name}" for name in CLASSES)])
    for number, label, row in zip(numbers, labels, probabilities):
        table.writerow([number, label, *(f"{share:.6f}" for share in row)])


if __name__ == "__main__":
    main(*sys.argv[1:])
