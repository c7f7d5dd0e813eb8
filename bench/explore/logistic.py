"""Logistic regression of scikit-learn on the digits: the peer that every network has to beat.

The same shares as an exploration (80 % to learn from, 20 % held out, stratified), one row per seed.
"""

import argparse
import statistics

import numpy
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="an NPZ file with X and y")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    asked = parser.parse_args()
    arrays = numpy.load(asked.data)
    inputs = arrays["X"].reshape(len(arrays["X"]), -1).astype(float)
    accuracies = []
    for seed in asked.seeds:
        learn, held, learn_y, held_y = train_test_split(
            inputs, arrays["y"], test_size=0.2, random_state=seed, stratify=arrays["y"])
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        accuracies.append(model.fit(learn, learn_y).score(held, held_y))
        print(f"seed {seed}: {accuracies[-1]:.4f}")
    print(f"mean {statistics.mean(accuracies):.4f}")


if __name__ == "__main__":
    main()
