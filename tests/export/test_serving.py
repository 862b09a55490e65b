"""The serving example, and models that are loaded before a fork."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from export.models import fitted
from fastapi.testclient import TestClient

from skmlp import save

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def client(tmp_path, monkeypatch):
    model, X = fitted("table numbers")
    save(model, tmp_path / "model.safetensors")
    monkeypatch.setenv("MODEL", str(tmp_path / "model.safetensors"))
    spec = importlib.util.spec_from_file_location("serving", EXAMPLES / "serving.py")
    serving = importlib.util.module_from_spec(spec)
    # FastAPI looks annotations up where they are defined.
    monkeypatch.setitem(sys.modules, "serving", serving)
    spec.loader.exec_module(serving)
    return TestClient(serving.app), model, X


def test_answers(client):
    client, model, X = client
    X = X[:5].copy()
    X[0, 0] = np.nan
    rows = [[None if x != x else x for x in row] for row in X.tolist()]
    answer = client.post("/predict", json={"rows": rows})
    assert answer.status_code == 200
    assert answer.json()["labels"] == model.predict(X).tolist()
    np.testing.assert_array_equal(
        answer.json()["probabilities"], model.predict_proba(X)
    )


@pytest.mark.parametrize(
    ("rows", "words"),
    [([[1.0]], "features"), ([], "array"), ([[1.0, 2.0], [1.0]], "shape")],
)
def test_bad_requests(client, rows, words):
    answer = client[0].post("/predict", json={"rows": rows})
    assert answer.status_code == 422
    assert words in answer.text
    assert client[0].post("/predict", json={"rows": "x"}).status_code == 422


_PRELOAD = """
import multiprocessing, sys, warnings
import numpy as np
import skmlp

warnings.simplefilter("ignore")  # Python's, of forks beside threads
model = skmlp.load(sys.argv[1])
X = np.random.default_rng(0).normal(size=(20_000, model.n_features_in_))
expected = model.predict_proba(X)  # in several threads


def worker(i):
    return all(np.array_equal(model.predict_proba(X), expected) for _ in range(3))


with multiprocessing.get_context("fork").Pool(3) as pool:
    print(all(pool.map(worker, range(6))), worker(0))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX's")
@pytest.mark.parametrize("name", ["normalized", "table numbers"])
def test_preload_then_fork(name, tmp_path):
    model, _ = fitted(name)
    save(model, tmp_path / "model.safetensors")
    command = [sys.executable, "-c", _PRELOAD, str(tmp_path / "model.safetensors")]
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.stdout == "True True\n", done.stderr
