"""C headers, compiled without a warning and run, beside the estimators."""

import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from export.models import NAMES, PLAIN, fit, fitted, make_rows, make_targets
from export.test_onnx import TOLERANCE, in_float32, table_of
from sklearn.exceptions import NotFittedError

from skmlp import MLPClassifier, MLPRegressor
from skmlp.core.activations import ACTIVATIONS
from skmlp.core.losses import LINKS
from skmlp.export import c_code, to_c
from skmlp.export.plan import GATES

COMPILER = shutil.which("cc")
FLAGS = "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1"
pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
_MAIN = """
#include <stdio.h>
#include "net.h"

int main(void)
{
    static float x[NET_N_FEATURES], out[N_OUT];
    while (fread(x, sizeof *x, NET_N_FEATURES, stdin) == NET_N_FEATURES) {
        FUNCTION(x, out);
        fwrite(out, sizeof *out, N_OUT, stdout);
    }
    return 0;
}
"""


def compiled(text, folder, *definitions):
    """The path of a program of the header."""
    (folder / "net.h").write_text(text)
    (folder / "main.c").write_text(_MAIN)
    program = folder / "main"
    command = [COMPILER, *FLAGS, *definitions, "main.c", "-o", "main", "-lm"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program


def run_c(text, folder, function, n_out, rows):
    program = compiled(text, folder, f"-DFUNCTION=net_{function}", f"-DN_OUT={n_out}")
    rows = np.ascontiguousarray(rows, np.float32)
    done = subprocess.run([program], input=rows.tobytes(), capture_output=True)
    assert done.returncode == 0
    return np.frombuffer(done.stdout, np.float32).reshape(len(rows), n_out)


def coded(model, X):
    """Rows of numbers, with codes in the place of categories."""
    if isinstance(X, np.ndarray):
        return X
    out, encoder = pd.DataFrame(index=X.index), model._fitted.table._encoder
    categories = iter(encoder.categories_)
    for (name, column), flag in zip(X.items(), encoder.is_categorical_):
        if flag:
            codes = {value: code for code, value in enumerate(next(categories))}
            column = column.astype(object).map(codes).fillna(-1)
        out[name] = column
    return out.to_numpy(float)


def assert_same(model, X, folder):
    X = in_float32(X)
    text, rows = to_c(model, "net"), coded(model, X)
    y = model.predict(X)
    if not hasattr(model, "predict_proba"):
        expected = y.reshape(len(y), -1)
        if model.loss == "gaussian_nll":
            std = model.predict(X, return_std=True)[1].reshape(len(y), -1)
            expected = np.hstack([expected, std])
        n_out = int(re.search("NET_N_OUT ([0-9]+)", text)[1])
        assert n_out == expected.shape[1]
        got = run_c(text, folder, "predict", n_out, rows)
        size = np.abs(expected).max()
        np.testing.assert_allclose(got / size, expected / size, **TOLERANCE)
        return
    y_prob = model.predict_proba(X)
    got = run_c(text, folder, "predict_proba", y_prob.shape[1], rows)
    np.testing.assert_allclose(got, y_prob, **TOLERANCE)
    multilabel = y.ndim == 2
    labels = run_c(text, folder, "predict", y.shape[1] if multilabel else 1, rows)
    if multilabel:
        close = np.abs(y_prob - 0.5) < 1e-5
        assert ((labels == y) | close).all()
        return
    top = np.sort(y_prob, axis=1)
    close = top[:, -1] - top[:, -2] < 2e-5 if top.shape[1] > 1 else False
    expected = np.searchsorted(model.classes_, y)
    assert ((labels[:, 0] == expected) | close).all()
    assert np.mean(close) < 0.1


def thousand(X):
    places = np.random.default_rng(0).integers(len(X), size=1000)
    return X[places] if isinstance(X, np.ndarray) else X.iloc[places]


@pytest.mark.parametrize("name", NAMES)
def test_same_predictions(name, tmp_path):
    model, X = fitted(name)
    X = thousand(X)
    if name in PLAIN:
        X = make_rows(1000, seed=1)
    assert_same(model, X, tmp_path)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation, tmp_path):
    """Twice normalized, and in a parametric layer if it may be."""
    X = make_rows(200)
    model = MLPRegressor(
        hidden_layer_sizes=(6, 5, 4),
        activation=activation,
        normalization=[None, "batch", "layer"],
        parametric_activation=activation not in (*GATES, "identity"),
        max_iter=3,
        random_state=0,
        batch_size=50,
    )
    fit(model, X, make_targets(X, "multi-output"))
    assert_same(model, np.vstack([X, 30 * X]), tmp_path)


def test_nothing_is_forgotten():
    assert c_code.ACTIVATIONS.keys() | GATES.keys() == ACTIVATIONS.keys()
    assert c_code.LINKS.keys() >= LINKS.keys()


def test_columns_of_all_kinds(tmp_path):
    rng = np.random.default_rng(0)
    model, X = table_of(
        strings=rng.choice(["a*/", "b/*", "ü??/", '"\\'], 60),
        many=pd.Categorical(rng.integers(100, 130, 60)),
        flags=rng.random(60) < 0.5,
        none=pd.Categorical([None] * 60, categories=["x"]),
        gaps=np.where(rng.random(60) < 0.3, np.nan, rng.normal(size=60)),
        seconds=(1_700_000_000 + 1000.0 * rng.integers(0, 500, 60)),
        huge=rng.normal(size=60) * 1e30,
    )
    assert_same(model, X, tmp_path)
    assert_same(model, X.assign(strings="unseen", gaps=np.nan), tmp_path)
    assert '0: "\\"\\\\"' in to_c(model, "net")


def test_columns_that_tell_nothing(tmp_path):
    model, X = table_of(a=np.ones(60), b=np.full(60, np.nan))
    assert_same(model, X, tmp_path)


_LABELS = """
#include <stdio.h>
#include "net.h"

int main(void)
{
    for (int i = 0; i < NET_N_CLASSES; i++)
        printf("FORMAT\\n", net_class(i));
    return 0;
}
"""


@pytest.mark.parametrize(
    ("labels", "letter"),
    [
        (["b", "a", 'ü "x" \\ ??/ %d'], "%s"),
        ([3, -1, 2**40], "%lld"),
        ([True, False], "%lld"),
        (["only"], "%s"),
    ],
    ids=["str", "int", "bool", "one class"],
)
def test_labels(labels, letter, tmp_path):
    X, y = make_rows(60), np.array(labels)[np.arange(60) % len(labels)]
    model = fit(MLPClassifier((3,), max_iter=3, random_state=0), X, y)
    assert_same(model, X, tmp_path)
    (tmp_path / "main.c").write_text(_LABELS.replace("FORMAT", letter))
    command = [COMPILER, *FLAGS, "main.c", "-o", "labels", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "labels"], capture_output=True, check=True)
    expected = [str(own if letter == "%s" else int(own)) for own in model.classes_]
    assert done.stdout.decode().splitlines() == expected


def test_two_models_in_one_program(tmp_path):
    """Names do not clash, and nothing unused is warned of."""
    for name, key in ("one", "binary"), ("other", "table gaussian"):
        (tmp_path / f"{name}.h").write_text(to_c(fitted(key)[0], name))
    source = '#include "one.h"\n#include "other.h"\n#include "one.h"\n'
    (tmp_path / "main.c").write_text(source + "int main(void) { return 0; }\n")
    command = [COMPILER, *FLAGS, "main.c", "-o", "main", "-lm"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["binary", "table multiclass", "gated"])
def test_sizes_are_told(name, tmp_path):
    """Constants take what the comment says, and no state is kept."""
    text = to_c(fitted(name)[0], "net")
    program = compiled(text, tmp_path, "-DFUNCTION=net_predict", "-DN_OUT=1")
    told = int(re.search("Constants: ([0-9]+) bytes", text)[1])
    size = shutil.which("size")
    if size is not None:
        done = subprocess.run([size, "-A", program], capture_output=True, text=True)
        sections = {
            w[0]: int(w[1])
            for w in map(str.split, done.stdout.splitlines())
            if len(w) == 3 and w[1].isdecimal()
        }
        assert told <= sections[".rodata"] <= told + 2000
    assert int(re.search("at most ([0-9]+) bytes", text)[1]) > 0
    assert not re.search(r"\b(malloc|static (?!const|inline))", text)


def test_bad_input():
    model, _ = fitted("binary")
    for name in ("", "1a", "a-b", "a b", None, 3, "ü"):
        with pytest.raises(ValueError, match="name must be an identifier of C"):
            to_c(model, name)
    with pytest.raises(NotFittedError):
        to_c(MLPClassifier(), "net")
