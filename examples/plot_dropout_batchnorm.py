"""
Dropout and batch normalization on digits
=========================================

Few rows and many weights: 300 noisy images of digits, and a network that could learn
them by heart. Dropout is made for that. Normalization is made for something else, deep
networks that hardly learn at all.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from skmlp import MLPClassifier

plt.style.use("petroff10")
X, y = load_digits(return_X_y=True)
rng = np.random.default_rng(0)
X = (X / 16 + rng.normal(0, 0.25, X.shape)).astype(np.float32)
X, X_test, y, y_test = train_test_split(
    X, y, train_size=300, stratify=y, random_state=0
)


def curves(n_epochs, **params):
    """Log-loss on the training rows and on the others after each epoch."""
    model = MLPClassifier(**params, batch_size=50, random_state=0)
    rows = []
    for _ in range(n_epochs):
        model.partial_fit(X, y, classes=range(10))
        rows.append(
            [
                log_loss(y, model.predict_proba(X)),
                log_loss(y_test, model.predict_proba(X_test)),
            ]
        )
    return np.array(rows)


def draw(ax, settings, n_epochs, **shared):
    """A line for other rows and a dotted one for training rows."""
    for i, (label, params) in enumerate(settings.items()):
        training, test = curves(n_epochs, **shared, **params).T
        ax.plot(test, color=f"C{i}", label=label)
        ax.plot(training, color=f"C{i}", linestyle=":")
    ax.plot([], color="black", label="other rows")
    ax.plot([], color="black", linestyle=":", label="training rows")
    ax.set(xlabel="epoch", ylabel="log-loss")
    ax.legend()


# %%
# Dropout
# -------
# One wide layer. Without dropout the loss on the training rows (dotted) falls to
# zero, that on other rows (solid) comes to a halt. With dropout the former falls more
# slowly and the latter further.

settings = {
    "no dropout": {},
    "dropout=0.25": {"dropout": 0.25},
    "dropout=0.5": {"dropout": 0.5},
}
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
draw(ax, settings, 100, hidden_layer_sizes=(256,))
ax.set_ylim(0, 1)

# %%
# Normalization
# -------------
# Six layers of logistic units, whose gradients vanish on the way to the first layers.
# Normalized over the minibatch, or over the units of a layer, they learn.

settings = {
    "no normalization": {},
    'normalization="batch"': {"normalization": "batch"},
    'normalization="layer"': {"normalization": "layer"},
}
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
draw(ax, settings, 60, hidden_layer_sizes=(64,) * 6, activation="logistic")
ax.set_ylim(0, 2.5)

plt.show()
