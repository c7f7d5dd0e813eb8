"""Auto-Keras as a peer of lehr; peers.py starts it.

It has no time limit of its own and is killed when the time is over. Until then, the model is written down after each
epoch that is better on the validation rows than all before, whichever trial it belongs to.
"""

import json
import os
import shutil

import autokeras as ak
import keras
import numpy as np
import tensorflow as tf
from autokeras.pipeline import load_pipeline

from peers import CORES, serve, wait_for_start

TRIALS_MAX = 1_000_000


class KeepBest(keras.callbacks.Callback):
    """Auto-Keras copies its callbacks for each trial, so what must last stands in the class."""

    best = (-1.0, 0.0)
    folder = None

    def on_epoch_end(self, epoch, logs=None):
        quality = (logs["val_accuracy"], -logs["val_loss"])
        if quality <= KeepBest.best:
            return
        KeepBest.best = quality
        running = max(KeepBest.folder.glob("search/*/trial_*/pipeline"), key=os.path.getmtime)
        self.model.save(KeepBest.folder / "next.keras")
        shutil.copy(running, KeepBest.folder / "pipeline")
        os.replace(KeepBest.folder / "next.keras", KeepBest.folder / "best.keras")
        (KeepBest.folder / "validation").write_text(f"{quality[0]:.4f}")


def classifier(system, arrays, options):
    if arrays["numeric"].size:
        names = [str(number) for number in range(arrays["numeric"].size)]
        kinds = {name: "numerical" if numeric else "categorical" for name, numeric in zip(names, arrays["numeric"])}
        return ak.StructuredDataClassifier(column_names=names, column_types=kinds, **options)
    if system == "autokeras":
        return ak.ImageClassifier(**options)
    inputs = ak.ImageInput()
    outputs = ak.ClassificationHead()(ak.ImageBlock(block_type="vanilla")(inputs))
    return ak.AutoModel(inputs, outputs, **options)


def search(folder, system, seed, seconds, worker):
    tf.config.threading.set_intra_op_parallelism_threads(CORES)
    tf.config.threading.set_inter_op_parallelism_threads(CORES)
    keras.utils.set_random_seed(seed)
    arrays = dict(np.load(folder / "peers.npz"))
    KeepBest.folder = folder
    wait_for_start()
    options = {"directory": folder / "search", "max_trials": TRIALS_MAX, "objective": "val_accuracy", "seed": seed}
    classifier(system, arrays, options).fit(
        arrays["X"], arrays["y"], validation_data=(arrays["X_validation"], arrays["y_validation"]),
        callbacks=[KeepBest()], verbose=0)


def predict(folder):
    trials = [json.loads(file.read_text()) for file in folder.glob("search/*/trial_*/trial.json")]
    states = [trial["status"] for trial in trials]
    finished = states.count("COMPLETED")
    running = states.count("RUNNING")
    note = f"{finished} whole, {len(states) - finished - running} failed, {running} running"
    if not (folder / "best.keras").exists():
        return [], finished, f"{note}; no epoch ended in time"
    note = f"validation {(folder / 'validation').read_text()}; {note}"
    pipeline = load_pipeline(folder / "pipeline")
    model = keras.models.load_model(folder / "best.keras", custom_objects=ak.CUSTOM_OBJECTS, compile=False)
    inputs = np.load(folder / "peers.npz")["X_test"]
    outputs = model.predict(pipeline.transform_x(inputs), batch_size=32, verbose=0)
    return pipeline.postprocess(outputs).ravel().astype(str).astype(float), finished, note


if __name__ == "__main__":
    serve(search, predict)
