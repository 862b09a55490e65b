"""
Averages of the weights
=======================

At a constant learning rate the weights wander about a minimum instead of settling in
it. A moving average of them (``ema_decay``) does settle, without a lower rate.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_regression
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

from skmlp import MLPRegressor

plt.style.use("petroff10")
X, y = make_regression(2000, n_features=10, noise=10, random_state=0)
y = scale(y + 30 * np.sin(X[:, 0] * X[:, 1]))
X, X_test, y, y_test = train_test_split(X, y, random_state=0)

# %%
# Both networks see the same rows in the same order at the same rate; the average is a
# spectator, which does not change where training goes. The lines of ``ema_decay`` are
# what validation and prediction use.


def errors(n_epochs=60, **params):
    """Mean squared error on other rows after each epoch."""
    model = MLPRegressor(hidden_layer_sizes=(50,), batch_size=20, random_state=0)
    model.set_params(learning_rate_init=0.01, **params)
    return [
        mean_squared_error(y_test, model.partial_fit(X, y).predict(X_test))
        for _ in range(n_epochs)
    ]


fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(errors(), label="weights of the last step", linewidth=1)
for ema_decay, style in ((0.9, "-"), (0.99, "--"), (0.999, ":")):
    ax.plot(errors(ema_decay=ema_decay), style, label=f"ema_decay={ema_decay}")
ax.set(xlabel="epoch", ylabel="mean squared error on other rows", ylim=(0, 0.02))
ax.legend()

plt.show()

# %%
# A decay of d averages over about 1 / (1 - d) steps; an epoch has 75 of them here. Too
# short an average keeps some of the noise, too long a one lags behind in the beginning
# (although the decay starts low, so that the random weights are soon forgotten).
