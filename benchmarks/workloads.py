"""What is trained: shapes, rows, options to choose, estimators of either library."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from common import make_parser, seconds
from scipy import sparse
from sklearn import neural_network
from sklearn.datasets import make_classification, make_regression

import skmlp

LIBRARIES = {"skmlp": skmlp, "scikit-learn": neural_network}


class Work(NamedTuple):
    """One workload."""

    n_rows: int
    n_features: int
    n_classes: int
    hidden: tuple
    batch_size: int
    epochs: int
    task: str = "classification"
    activation: str = "relu"
    dtype: str = "float32"
    alpha: float = 1e-4
    learning_rate: float = 1e-3
    density: float = 1.0

    @property
    def kind(self):
        if self.task == "regression":
            return "regression"
        return "multiclass" if self.n_classes > 2 else "binary"

    @property
    def sizes(self):
        n_outputs = self.n_classes if self.kind == "multiclass" else 1
        return [self.n_features, *self.hidden, n_outputs]

    def at_most(self, n_rows=None, epochs=None):
        """The same with fewer rows and epochs, for a trial run."""
        return self._replace(
            n_rows=min(self.n_rows, n_rows or self.n_rows),
            epochs=min(self.epochs, epochs or self.epochs),
        )

    def __str__(self):
        density = "" if self.density == 1 else f" at {self.density:.2%}"
        return (
            f"{self.n_rows:,} x {self.n_features:,}{density}, {self.n_classes} outputs,"
            f" hidden {'-'.join(map(str, self.hidden))}, batch {self.batch_size},"
            f" {self.epochs} epochs"
        )


WORKLOADS = {
    "W1": Work(1_000, 20, 2, (100,), 200, 100),
    "W2": Work(10_000, 20, 2, (64, 64), 32, 5),
    "W3": Work(10_000, 30, 2, (100,), 200, 20),
    "W4": Work(20_000, 50, 5, (256, 256), 256, 5),
    "W5": Work(20_000, 784, 10, (256, 128), 128, 3),
    "W6": Work(50_000, 100, 10, (512, 512, 512), 512, 2),
    "L1": Work(10_000, 20, 2, (64, 64, 64), 200, 10),
    "L2": Work(20_000, 50, 2, (128, 128, 128), 256, 5),
    "S1": Work(20_000, 5_000, 2, (64,), 200, 3, density=0.01),
    "S2": Work(20_000, 100_000, 2, (64,), 200, 3, density=0.0005),
}
DEFAULT = [name for name in WORKLOADS if name.startswith("W")]


def multiplications(work):
    """Of all products of an epoch, on whole minibatches."""
    per_row = [fan_in * fan_out for fan_in, fan_out in pairwise(work.sizes)]
    return work.n_rows * (3 * sum(per_row) - per_row[0])


def make_work_parser(description, names, **defaults):
    """Options of the scripts that run workloads."""
    parser = make_parser(description, **defaults)
    parser.add_argument("--workloads", default=",".join(names))
    parser.add_argument("--max-rows", type=int, help="fewer rows, for a trial run")
    parser.add_argument("--max-epochs", type=int, help="fewer epochs, for a trial run")
    return parser


def chosen(options):
    """Name -> workload, no larger than the options want it."""
    return {
        name: WORKLOADS[name]
        ._replace(dtype=options.dtype)
        .at_most(options.max_rows, options.max_epochs)
        for name in options.workloads.split(",")
    }


def make_rows(work):
    if work.density < 1:
        random = np.random.default_rng(0)
        shape = work.n_rows, work.n_features
        X = sparse.random(*shape, work.density, "csr", random_state=random)
        y = X @ random.normal(size=work.n_features) > 0
    elif work.task == "regression":
        X, y = make_regression(work.n_rows, work.n_features, random_state=0)
        y = (y - y.mean()) / y.std()
    else:
        X, y = make_classification(
            work.n_rows,
            work.n_features,
            n_informative=work.n_features // 2,
            n_classes=work.n_classes,
            random_state=0,
        )
    return X.astype(work.dtype), y.astype(work.dtype if y.dtype.kind == "f" else int)


def make_model(module, work, **parameters):
    """An estimator that trains for all epochs of the workload."""
    name = "MLPRegressor" if work.task == "regression" else "MLPClassifier"
    defaults = {
        "hidden_layer_sizes": work.hidden,
        "activation": work.activation,
        "alpha": work.alpha,
        "batch_size": min(work.batch_size, work.n_rows),
        "learning_rate_init": work.learning_rate,
        "max_iter": work.epochs,
        "n_iter_no_change": work.epochs + 1,
        "random_state": 0,
    }
    return getattr(module, name)(**(defaults | parameters))


def estimator_fit(module, X, y, work, **parameters):
    """The function that fits and returns the loss, and seconds of a first, tiny fit."""
    few = np.concatenate(
        [np.flatnonzero(y == value)[:2] for value in np.unique(y)[:20]]
    )
    tiny = make_model(module, work.at_most(few.size, epochs=1), **parameters)
    first_seconds, _ = seconds(lambda: tiny.fit(X[few], y[few]))
    return lambda: make_model(module, work, **parameters).fit(X, y).loss_, first_seconds
