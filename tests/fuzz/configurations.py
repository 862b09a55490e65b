"""Random configurations, each from a seed and a number alone, and what must agree."""

import pickle
import warnings
from contextlib import contextmanager

import guards
import naive
import numpy as np
import pandas as pd
from scipy import sparse

from skmlp import MLPClassifier, MLPRegressor
from skmlp.core import workspace as workspaces
from skmlp.core.activations import ACTIVATIONS
from skmlp.core.optimizers import OPTIMIZERS
from skmlp.machine import threads
from skmlp.training import blocks
from skmlp.training.initialization import INITIALIZERS

SOLVERS = ["lbfgs", *(name for name in OPTIMIZERS if name != "none")]
REGRESSION = [
    "squared_error", "absolute_error", "huber", "log_cosh", "quantile",
    "gaussian_nll", "poisson", "gamma", "tweedie",
]  # fmt: skip


class Configuration:
    """One estimator, rows for it, and how the work is cut."""

    def __init__(self, seed, number):
        self.name = f"seed={seed} number={number}"
        self.stall = (-1, 1e-5, 8e-3)[number % 3]  # until runs end early
        self.rng = rng = np.random.default_rng((seed, number))
        self.is_classifier = bool(rng.integers(2))
        self.dtype = (np.float32, np.float64)[rng.integers(2)]
        self.n_rows, self.n_features = (
            int(rng.integers(12, 300)),
            int(rng.integers(1, 131)),
        )
        self.as_csr = bool(rng.random() < 0.3)
        self.params = self._draw_params()
        self.X, self.y = self._draw_rows()
        self.weight = None
        if rng.random() < 0.4:
            self.weight = rng.random(self.n_rows) * (rng.random(self.n_rows) < 0.8)
            self.weight[:6] = 1
        self.n_threads = int(rng.choice([2, 2, 3, 3, 4, 8]))
        self.run_blocks = int(rng.choice([5, 20, 10**6]))
        self.replicas = (None, True, False)[rng.integers(3)]
        self.training_rows = int(rng.integers(1, 65)), int(rng.integers(65, 200))
        self.chunk_rows = int(rng.integers(1, 40)), int(rng.integers(40, 90))
        self.prediction_rows = int(rng.integers(1, 12)), int(rng.integers(12, 90))
        self.guard = (None, None, "end", "beginning")[rng.integers(4)]
        self.way = ("fit", "warm", "partial")[rng.integers(3)]

    def _draw_params(self):
        rng, depth = self.rng, int(self.rng.integers(0, 5))
        each = lambda values: [values[i] for i in rng.integers(len(values), size=depth)]  # noqa: E731
        params = {
            "hidden_layer_sizes": [int(n) for n in rng.integers(1, 131, depth)],
            "activation": each(list(ACTIVATIONS)),
            "solver": SOLVERS[rng.integers(len(SOLVERS))],
            "batch_size": int(rng.integers(1, self.n_rows + 1)),
            "last_batch": ("keep", "merge", "drop")[rng.integers(3)],
            "alpha": float(rng.choice([0, 1e-4, 0.1])),
            "learning_rate_init": 1e-3,
            "weight_init": ["auto", *INITIALIZERS][rng.integers(1 + len(INITIALIZERS))],
            "shuffle": bool(rng.integers(2)),
            "max_iter": 2,
            "random_state": int(rng.integers(1000)),
        }
        if rng.random() < 0.5:
            params["normalization"] = each([None, "layer", "batch"])
        if rng.random() < 0.3:
            params["dropout"] = each([0.0, 0.2, 0.6])
        if rng.random() < 0.3:
            params["early_stopping"] = True
        for name, value in {
            "l1_ratio": 0.5, "weight_decay": 0.1, "max_norm": 1.0, "clip_norm": 0.1,
            "clip_value": 0.05, "ema_decay": 0.9, "norm_statistics": "population",
        }.items():  # fmt: skip
            if rng.random() < 0.15:
                params[name] = value
        if params["batch_size"] < 20:  # or a fit takes seconds
            self.n_rows = min(self.n_rows, 60)
        if self.is_classifier:
            params["loss"] = ("log_loss", "focal")[rng.integers(2)]
            if rng.random() < 0.2:
                params["label_smoothing"] = 0.1
        else:
            params["loss"] = REGRESSION[rng.integers(len(REGRESSION))]
        return params

    def _draw_rows(self):
        rng = self.rng
        X = rng.standard_normal((self.n_rows, self.n_features)).astype(self.dtype)
        if self.as_csr:
            X[rng.random(X.shape) < 0.7] = 0
        if not self.is_classifier:
            n_targets = int(rng.integers(1, 4))
            Y = 0.5 + rng.random((self.n_rows, n_targets))
            return X, Y[:, 0] if n_targets == 1 else Y
        n_classes = int(rng.choice([2, 3, 7]))
        if rng.random() < 0.2 and "label_smoothing" not in self.params:
            return X, rng.integers(2, size=(self.n_rows, n_classes))
        y = rng.integers(n_classes, size=self.n_rows)
        y[:n_classes] = range(n_classes)
        return X, y

    def estimator(self):
        return (MLPClassifier if self.is_classifier else MLPRegressor)(**self.params)

    @contextmanager
    def forced(self, n_threads):
        """As many threads, on work that is cut as drawn; memory between guards."""
        places = {
            (threads, "n_threads"): lambda: n_threads,
            (threads, "_FLOPS_FOR_A_THREAD"): 1e-9,
            (threads, "_ARRIVAL_SECONDS"): 30,
            (threads, "_RETURN_SECONDS"): 30,
            (threads, "_PATIENCE_SECONDS"): 30,
            (threads, "_STALL_SECONDS"): self.stall,
            (threads.Pace, "choose"): lambda pace, most: (most, self.run_blocks),
            (blocks, "_TRAINING_FLOPS"): 0,
            (blocks, "_TRAINING_ROWS"): self.training_rows,
            (blocks, "_CHUNK_FLOPS"): (0, 0),
            (blocks, "_CHUNK_ROWS"): self.chunk_rows,
            (blocks, "_PREDICTION_BYTES"): 0,
            (blocks, "_PREDICTION_ROWS"): self.prediction_rows,
        }
        if self.replicas is not None:
            few = np.inf if self.replicas else 0
            places[workspaces, "_FEW_GRADIENTS"] = few
        before = {place: getattr(*place) for place in places}
        for place, value in places.items():
            setattr(*place, value)
        workspaces._plan.cache_clear()
        if self.guard is not None:
            guards.install(at_end=self.guard == "end")
        try:
            yield
        finally:
            guards.remove()
            for place, value in before.items():
                setattr(*place, value)
            workspaces._plan.cache_clear()

    def rows(self):
        return sparse.csr_array(self.X) if self.as_csr else self.X

    def trained(self, X, n_threads):
        """A fitted estimator, or the error that says why there is none."""
        model, weight = self.estimator(), self.weight
        with self.forced(n_threads), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                if self.way == "partial" and hasattr(model, "partial_fit"):
                    classes = {}
                    if self.is_classifier and self.y.ndim == 1:
                        classes = {"classes": np.unique(self.y)}
                    model.partial_fit(X, self.y, weight, **classes)
                    model = pickle.loads(pickle.dumps(model))
                    return model.partial_fit(X, self.y, weight)
                model.fit(X, self.y, weight)
                if self.way == "warm":
                    model.set_params(warm_start=True).fit(X, self.y, weight)
                return model
            except ValueError as error:
                return str(error)

    def predictions(self, model, X, n_threads):
        """Of all methods."""
        with self.forced(n_threads):
            methods = [model.predict]
            if self.is_classifier:
                methods += [model.predict_proba, model.predict_log_proba]
            results = [method(X) for method in methods]
            n_hidden = model.n_layers_ - 2
            layers = range(n_hidden)
            return results + [model.hidden_activations(X, layer=i) for i in layers]

    def containers(self):
        """The same rows otherwise."""
        X = self.X
        padded = np.zeros((2 * len(X), X.shape[1]), X.dtype)
        padded[::2] = X
        frozen = X.copy()
        frozen.flags.writeable = False
        every = [np.asfortranarray(X), padded[::2], frozen, pd.DataFrame(X)]
        return every[self.rng.integers(len(every))]

    def check(self):
        """Raise an AssertionError where two ways disagree; whether there was a fit."""
        X = self.rows()
        alone = self.trained(X, 1)
        together = self.trained(X, self.n_threads)
        if isinstance(alone, str):
            assert alone == together
            return False
        expected = [*self._numbers(alone), *self.predictions(alone, X, 1)]
        predicted = self.predictions(together, X, self.n_threads)
        _assert_same(expected, [*self._numbers(together), *predicted], "threads")
        again = pickle.loads(pickle.dumps(alone))
        expected = self.predictions(alone, self.X, 1)
        predicted = self.predictions(again, self.X, self.n_threads)
        _assert_same(expected, predicted, "pickle")
        if not self.as_csr:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                other = self.containers()
                model = self.trained(other, self.n_threads)
                _assert_same(self._numbers(alone), self._numbers(model), "container")
                _assert_same(expected, self.predictions(model, other, 2), "container")
        self._check_sparse(alone, expected)
        self._check_naive(alone)
        return True

    @staticmethod
    def _numbers(model):
        return [*model.coefs_, *model.intercepts_, np.array(model.loss_curve_)]

    def _check_sparse(self, model, dense):
        single = self.dtype == np.float32
        rtol = 5e-3 if single else 1e-8
        rows = self.predictions(model, sparse.csr_array(self.X), self.n_threads)
        first = 1 if self.is_classifier else 0  # labels may change at a tie
        for a, b in zip(dense[first:], rows[first:]):
            np.testing.assert_allclose(
                a, b, rtol=rtol, atol=rtol * (1 + np.abs(a).max()), err_msg="sparse"
            )

    def _check_naive(self, model):
        names = set(self.params["activation"])
        is_plain = not self.params.get("normalization") and len(names) <= 1
        known = set(getattr(naive, "ACTIVATIONS", names))
        if not is_plain or self.dtype == np.float32 or not names <= known:
            return
        link = model.out_activation_
        if self.is_classifier or link not in ("identity", "exp"):
            return
        (activation,) = names or {"identity"}
        actual = self.predictions(model, self.X, self.n_threads)[0]
        lists = list(model.coefs_), list(model.intercepts_)
        expected = naive.predict(*lists, self.X, activation, link)
        np.testing.assert_allclose(
            actual, expected.reshape(actual.shape), rtol=1e-7, atol=1e-9
        )


def _assert_same(first, second, what):
    assert len(first) == len(second), what
    for i, (a, b) in enumerate(zip(first, second)):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), f"{what}, array {i}"
