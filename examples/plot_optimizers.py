"""
Optimizers in a ravine
======================

The loss of a linear model with two features of different scales is a ravine: steep
across, flat along. Its two weights can be drawn as a path, step by step, since
``hidden_layer_sizes=()`` is a linear model, ``weight_init`` may be a function, and
``partial_fit`` on all rows as one minibatch is one step.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.preprocessing import scale

from skmlp import MLPClassifier, MLPRegressor

plt.style.use("petroff10")
rng = np.random.default_rng(0)
X = np.linalg.qr(rng.normal(size=(100, 2)))[0]
X = scale(X) * [1.0, 0.15]
MINIMUM, START = np.array([1.0, 1.0]), np.array([-0.6, -5.0])
y = X @ MINIMUM


def start(fan_in, fan_out, rng):
    """Where all paths begin."""
    return START[:, None]


def path(n_steps=60, **params):
    """The two weights after each step."""
    model = MLPRegressor(hidden_layer_sizes=(), alpha=0, weight_init=start, **params)
    model.set_params(batch_size=len(X), random_state=0)
    weights = [START]
    for _ in range(n_steps):
        weights.append(model.partial_fit(X, y).coefs_[0].ravel().copy())
    return np.array(weights)


settings = {
    "sgd, momentum=0": {"solver": "sgd", "momentum": 0, "learning_rate_init": 1.8},
    "sgd, momentum=0.9": {
        "solver": "sgd",
        "nesterovs_momentum": False,
        "learning_rate_init": 0.3,
    },
    "sgd, Nesterov's momentum": {"solver": "sgd", "learning_rate_init": 0.3},
    "adam": {"solver": "adam", "learning_rate_init": 0.3},
}

# %%
# Plain gradient descent jumps from side to side: a rate that suits the steep direction
# is far too low for the flat one. Momentum damps the one and adds up the other. Adam
# gives each direction a pace of its own. Each path has 60 steps; the star is the
# minimum.

first, second = np.meshgrid(np.linspace(-1, 3, 100), np.linspace(-6, 3, 100))
weights = np.stack([first, second], axis=-1) - MINIMUM
loss = ((weights @ X.T) ** 2).mean(axis=-1) / 2

LEVELS = np.geomspace(1e-3, 5, 12)
fig, axes = plt.subplots(1, 4, figsize=(11, 6.5), sharey=True, layout="constrained")
for (label, params), ax in zip(settings.items(), axes):
    steps = path(**params)
    ax.contour(first, second, loss, levels=LEVELS, colors="gray", linewidths=0.5)
    ax.plot(*steps.T, marker=".", linewidth=1)
    ax.plot(*MINIMUM, marker="*", color="C2", markersize=12)
    distance = np.linalg.norm(steps[-1] - MINIMUM)
    ax.set(title=f"{label}\n{distance:.2f} away at the end", xlabel="first weight")
    ax.set_aspect("equal")
axes[0].set_ylabel("second weight")

# %%
# On a real problem the surface cannot be drawn, but the losses can. Each solver has a
# best rate of its own; drawn is the best of seven.

X, y = load_digits(return_X_y=True)
X = scale(X).astype(np.float32)


def losses(**params):
    """Training loss of each epoch or iteration."""
    model = MLPClassifier((50,), max_iter=15, random_state=0, **params)
    return model.fit(X, y).loss_curve_


fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for label, params in settings.items():
    rates = 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0
    curves = {r: losses(**params | {"learning_rate_init": r}) for r in rates}
    rate = min(rates, key=lambda rate: curves[rate][-1])
    ax.semilogy(curves[rate], label=f"{label}, rate {rate}")
ax.semilogy(losses(solver="lbfgs"), label="lbfgs (iterations on all rows)")
ax.set(xlabel="epoch", ylabel="training loss", xticks=range(0, 15, 2))
ax.legend()

plt.show()
