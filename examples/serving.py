"""A model file behind an HTTP interface, with FastAPI.

``MODEL=model.safetensors uvicorn serving:app``
"""

import os

import numpy as np
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

import skmlp

model = skmlp.load(os.environ["MODEL"])
app = FastAPI()


class Rows(BaseModel):
    """Rows of numbers; null where they are missing."""

    rows: list[list[float | None]]


@app.post("/predict")
def predict(body: Rows):
    """Labels, and the probability of each class."""
    try:
        X = np.array(body.rows, dtype=np.float64)
        y_prob = model.predict_proba(X)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    labels = model.classes_[y_prob.argmax(axis=1)]
    return {"labels": labels.tolist(), "probabilities": y_prob.tolist()}
