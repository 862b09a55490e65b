"""
Training by hand
================

``Fit`` trains a network epoch by epoch, without an estimator, and yields a record of
each.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from skmlp.core.architecture import make_architecture
from skmlp.training.fit import Fit
from skmlp.training.inference import predict
from skmlp.training.initialization import initialize_network
from skmlp.training.model import Model
from skmlp.training.rows import TrainingRows, make_data
from skmlp.training.settings import Objective, Settings, Stepping, Stopping

plt.style.use("petroff10")
X, labels = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
random_state = np.random.RandomState(0)
train, test = np.split(random_state.permutation(len(X)), [1200])
data = make_data(X, np.float32, np.eye(10, dtype=np.float32)[labels])
architecture = make_architecture([64, 40, 10], "relu")


def judge(params):
    """(error rate, accuracy) on the test rows."""
    probabilities = predict(architecture, params, data, link="softmax")[test]
    accuracy = np.mean(probabilities.argmax(axis=1) == labels[test])
    return 1 - accuracy, accuracy


# %%
# Two solvers, until the score of the test rows no longer rises.

figure, (losses, scores) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for solver in "adam", "sgd":
    params = initialize_network(architecture, "float32", random_state)
    fit = Fit(
        Model(architecture, params),
        TrainingRows(data, train),
        Objective("log_loss"),
        Settings(Stepping(solver, learning_rate_init=0.01), Stopping(tol=0)),
        judge=judge,
        random_state=random_state,
    )
    records = []
    for record in fit.records():
        records.append(record)
        if record.number - np.argmax([r.score for r in records]) > 20:
            fit.stop("the score no longer rises")
    losses.semilogy([record.loss for record in records], label=solver)
    scores.plot([record.score for record in records], label=solver)
losses.set(xlabel="epoch", ylabel="loss")
scores.set(xlabel="epoch", ylabel="accuracy on the test rows")
scores.legend()
plt.show()
