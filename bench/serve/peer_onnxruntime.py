"""ONNX Runtime behind a Python server: what most people put an exported model behind.

    python peer_onnxruntime.py VARIANT MODEL.onnx PORT WORKERS

`fastapi` is the usual way: a pydantic model for the body, a function in the thread pool, JSON by the
framework. `starlette` is the leanest that Python offers: the body by orjson straight into an array, no
validation, the answer by orjson. Both run in uvicorn with uvloop and httptools, one worker per core, and
ONNX Runtime with one thread per worker, which was faster here than one worker with more threads. Neither
names bad rows, limits sizes or counts anything; it is a server as in the tutorials.
"""

import os
import sys

import numpy
import onnxruntime
import orjson
import uvicorn


class Asked:
    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0]
        self.shape = [-1, *self.input.shape[1:]]

    def __call__(self, rows):
        images = numpy.asarray(rows, numpy.uint8).reshape(self.shape)
        return self.session.run(["label", "probabilities"], {self.input.name: images})


def fastapi_app(asked):
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Rows(BaseModel):
        rows: list[list[int]]

    app = FastAPI()

    @app.post("/predict")
    def predict(body: Rows):
        labels, probabilities = asked(body.rows)
        return {"rows": [{"label": str(label), "probabilities": shares}
                         for label, shares in zip(labels, probabilities.tolist())]}

    return app


def starlette_app(asked):
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    async def predict(request):
        labels, probabilities = asked(orjson.loads(await request.body())["rows"])
        said = {"rows": [{"label": str(label), "probabilities": shares}
                         for label, shares in zip(labels, probabilities.tolist())]}
        return Response(orjson.dumps(said), media_type="application/json")

    return Starlette(routes=[Route("/predict", predict, methods=["POST"])])


VARIANTS = {"fastapi": fastapi_app, "starlette": starlette_app}


def app():
    """Made once in each worker."""
    return VARIANTS[os.environ["PEER_VARIANT"]](Asked(os.environ["PEER_MODEL"]))


if __name__ == "__main__":
    variant, model, port, workers = sys.argv[1:]
    os.environ["PEER_VARIANT"], os.environ["PEER_MODEL"] = variant, model
    uvicorn.run("peer_onnxruntime:app", factory=True, host="127.0.0.1", port=int(port),
                workers=int(workers), loop="uvloop", http="httptools", access_log=False,
                log_level="warning")
