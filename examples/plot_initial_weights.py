"""
Initial weights
===============

Why weights are not zero at first, and how large they should be.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.preprocessing import scale

from skmlp import MLPClassifier

plt.style.use("petroff10")
X, y = load_digits(return_X_y=True)
X = scale(X)

# %%
# Why not zeros
# -------------
# From zeros nothing but the last biases can move. From weights that are all equal, the
# units of a layer stay equal: eight of them do the work of one. (The line of zeros ends
# where patience does.)


def equal(fan_in, fan_out, rng):
    """Small, but the same for all units."""
    return np.full((fan_in, fan_out), 0.05)


fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for weight_init in ("zeros", equal, "glorot_normal"):
    model = MLPClassifier((8,), "tanh", weight_init=weight_init, max_iter=60)
    model.set_params(learning_rate_init=0.01, random_state=0).fit(X, y)
    name = weight_init if isinstance(weight_init, str) else weight_init.__name__
    ax.plot(model.loss_curve_, label=name)
    print(f"{name}: {model.score(X, y):.2f} right")
ax.set(xlabel="epoch", ylabel="training loss")
ax.legend()

# %%
# How large
# ---------
# The spread of the units in twenty layers, at a start that is drawn but not trained (a
# step at a rate of nearly zero). Each layer multiplies it by some factor. With ReLU
# and He's variance of 2 / fan_in this factor is about one; with half of that, which
# LeCun's and orthogonal matrices have, the signal fades away; with four times as much
# it blows up. Tanh is near the identity around zero and forgives more, but large
# weights drive its units into saturation, where the slope is next to zero.


def large(fan_in, fan_out, rng):
    """Four times the variance of He."""
    return rng.normal(0, np.sqrt(8 / fan_in), (fan_in, fan_out))


def spread(weight_init, activation, function):
    """Standard deviation of the units of each layer."""
    model = MLPClassifier((100,) * 20, activation, weight_init=weight_init)
    model.set_params(solver="sgd", learning_rate_init=1e-15, random_state=0)
    model.partial_fit(X, y, classes=range(10))
    A, spreads = X, [X.std()]
    for W, b in zip(model.coefs_[:-1], model.intercepts_[:-1]):
        A = function(A @ W + b)
        spreads.append(A.std())
    return spreads


def relu(z):
    return np.maximum(z, 0)


fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
axes[0].set_yscale("log")
for activation, function, ax in zip(("relu", "tanh"), (relu, np.tanh), axes):
    for weight_init in ("he_normal", "lecun_normal", "orthogonal", large):
        label = weight_init if isinstance(weight_init, str) else "4 x he_normal"
        ax.plot(spread(weight_init, activation, function), label=label)
    ax.set(title=activation, xlabel="layer", xticks=range(0, 21, 5))
axes[1].set_ylim(0, 1.05)
axes[0].set_ylabel("standard deviation of the units")
axes[0].legend()

plt.show()
