"""
Gradients in deep networks
==========================

On its way back the gradient is multiplied in each layer by the slope of the activation
and by the weights. Over many layers it vanishes or explodes, unless something is done.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.preprocessing import scale

from skmlp import MLPClassifier

plt.style.use("petroff10")
X, y = load_digits(return_X_y=True)
X = scale(X)
N_LAYERS = 15

# %%
# A step of plain gradient descent moves the weights by the rate times the gradient: at
# a rate of one, the change of each matrix is its gradient. The first call builds the
# network, at a rate of next to nothing.


def gradient_norms(activation, **params):
    """Norm of the gradient of each weight matrix, the first layer's first."""
    model = MLPClassifier((64,) * N_LAYERS, activation, **params, alpha=0)
    model.set_params(solver="sgd", momentum=0, learning_rate_init=1e-30)
    model.set_params(batch_size=len(X), random_state=0)
    model.partial_fit(X, y, classes=range(10))
    before = [W.copy() for W in model.coefs_]
    model.set_params(learning_rate_init=1.0).partial_fit(X, y)
    return [np.linalg.norm(W - V) for W, V in zip(model.coefs_, before)]


def too_large(fan_in, fan_out, rng):
    """Ten times the variance of He."""
    return rng.normal(0, np.sqrt(20 / fan_in), (fan_in, fan_out))


settings = {
    "logistic": {"activation": "logistic"},
    "relu, weights too large": {"activation": "relu", "weight_init": too_large},
    "tanh, lecun_normal": {"activation": "tanh", "weight_init": "lecun_normal"},
    "relu, he_normal": {"activation": "relu", "weight_init": "he_normal"},
    "logistic, normalized": {"activation": "logistic", "normalization": "batch"},
    "weights too large, clip_norm=1": {
        "activation": "relu",
        "weight_init": too_large,
        "clip_norm": 1.0,
    },
}
fig, ax = plt.subplots(figsize=(9, 4.5), layout="constrained")
for (label, params), marker in zip(settings.items(), "os^vDx"):
    norms = gradient_norms(**params)
    ax.semilogy(range(1, N_LAYERS + 2), norms, marker=marker, ms=4, label=label)
ax.set(xlabel="layer", ylabel="norm of the gradient of its weights")
fig.legend(loc="outside right upper")

plt.show()

# %%
# Read the lines from right to left, the way the gradient goes. With logistic units the
# first layers receive next to nothing. Weights that are too large make all gradients
# enormous, since units grow on the way forward and derivatives on the way back. Weights
# of the right variance, or normalization, keep a network between the two. Clipping does
# not change the proportions, but scales the whole down, so that no step is too long.
