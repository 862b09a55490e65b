"""Every gate that y passes, y_val passes."""

from contextlib import nullcontext

import numpy as np
import pytest

from skmlp import MLPClassifier, MLPRegressor

N = 24
rng = np.random.default_rng(0)
X = rng.normal(size=(N, 4))
DAYS = np.arange(N).astype("datetime64[D]")
CODES = np.arange(N) % 3
TARGETS = {
    "one": X[:, 0] + 5,
    "two": np.abs(X[:, :2]) + 1,
    "three": np.abs(X[:, :3]) + 1,
    "four": np.abs(X) + 1,
    "negative": -1 - np.abs(X[:, 0]),
    "zero": np.zeros(N),
    "short": X[1:, 0] + 5,
    "cube": np.ones((N, 2, 2)),
    "nan": np.full(N, np.nan),
    "none": np.full(N, None),
    "infinite": np.full(N, np.inf),
    "complex": X[:, 0] + 1j,
    "words": np.array(["a", "b", "c"])[CODES],
    "days": DAYS,
    "durations": DAYS - DAYS[0],
    "codes": CODES,
    "others": CODES + 1,
    "labels": (X[:, :3] > 0).astype(int),
    "two labels": (X[:, :2] > 0).astype(int),
    "four labels": (X > 0).astype(int),
    "multi-output": np.stack([CODES, CODES + 1, CODES], axis=1),
    "object words": np.array(["a", "b", "c"], object)[CODES],
}
WIDTHS = "one", "two", "three", "four"
UNFIT = "short", "cube", "nan", "none", "infinite", "complex", "days", "durations"
CASES = [
    *(
        (MLPRegressor, {"loss": loss}, y, y_val)
        for loss in ("squared_error", "absolute_error", "gaussian_nll", "poisson")
        for y in ("one", "two")
        for y_val in WIDTHS
        if y != y_val
    ),
    *(
        (MLPRegressor, {"loss": "quantile", "quantile": [0.1, 0.9]}, "one", y_val)
        for y_val in WIDTHS[1:]
    ),
    *((MLPRegressor, {}, "one", y_val) for y_val in (*UNFIT, "words")),
    (MLPRegressor, {"loss": "poisson"}, "one", "negative"),
    (MLPRegressor, {"loss": "gamma"}, "one", "zero"),
    *((MLPClassifier, {}, "codes", y_val) for y_val in (*UNFIT, "words", "one")),
    *(
        (MLPClassifier, {}, y, y_val)
        for y, y_val in [
            ("codes", "others"),
            ("codes", "labels"),
            ("codes", "object words"),
            ("codes", "multi-output"),
            ("words", "codes"),
            ("object words", "codes"),
            ("labels", "codes"),
            ("labels", "words"),
            ("labels", "two labels"),
            ("labels", "four labels"),
            ("labels", "three"),
            ("labels", "multi-output"),
        ]
    ),
]


@pytest.mark.parametrize(("estimator", "options", "y", "y_val"), CASES)
def test_targets_that_do_not_fit(estimator, options, y, y_val):
    model = estimator(hidden_layer_sizes=(3,), **options)
    with pytest.raises((ValueError, TypeError), match=r"X_val|y_val"):
        model.fit(X, TARGETS[y], X_val=X, y_val=TARGETS[y_val])
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize("y", ["labels", "codes"])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_targets_of_another_kind_later(y, method):
    model = MLPClassifier((3,), max_iter=1, warm_start=True, random_state=0)
    fits = method == "fit"
    with pytest.warns(UserWarning, match="reached") if fits else nullcontext():
        getattr(model, method)(X, TARGETS[y], **({} if fits else {"classes": range(3)}))
    other = "codes" if y == "labels" else "labels"
    with pytest.raises(ValueError, match=r"of the kind|same classes"):
        getattr(model, method)(X, TARGETS[other])
