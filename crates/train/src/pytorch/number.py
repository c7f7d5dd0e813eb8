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
    inputs, numbers = prepared(path)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["row", TARGET])
    for number, value in zip(numbers, answers(inputs).tolist()):
        table.writerow([number, value])


if __name__ == "__main__":
    main(*sys.argv[1:])
