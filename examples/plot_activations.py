"""
Activations
===========

The functions of hidden layers, drawn by a network itself: one unit, whose weights are
set to one, predicts what its activation makes of its input.
"""

import matplotlib.pyplot as plt
import numpy as np

from skmlp import MLPRegressor

plt.style.use("petroff10")
z = np.linspace(-4, 4, 401)[:, None]


def function(activation):
    """Its values at z."""
    model = MLPRegressor(hidden_layer_sizes=(1,), activation=activation, max_iter=1)
    model.fit(z, z[:, 0])
    for W, b in zip(model.coefs_, model.intercepts_):
        W[:], b[:] = 1, 0
    return model.predict(z)


groups = {
    "classical": ("identity", "logistic", "tanh", "relu"),
    "relatives of ReLU": ("leaky_relu", "elu", "selu", "softplus"),
    "with a dip": ("gelu", "silu", "mish"),
    "relatives of tanh": ("softsign", "hard_tanh", "hard_sigmoid"),
}
fig, axes = plt.subplots(2, 4, figsize=(11, 5.5), sharex=True, layout="constrained")
for column, (title, names) in zip(axes.T, groups.items()):
    for name, style in zip(names, ("-", "--", ":", "-.")):
        values = function(name)
        column[0].plot(z, values, style, label=name)
        column[1].plot(z, np.gradient(values, z[:, 0]), style)
    column[0].set(title=title, ylim=(-2, 4))
    column[1].set(xlabel="z", ylim=(-0.2, 1.9))
    column[0].legend()
axes[0, 0].set_ylabel("f(z)")
axes[1, 0].set_ylabel("slope f'(z)")

# %%
# Gated layers have two inputs per unit, u and v, and return u g(v). With all weights
# one, u and v are both z.

fig, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
for name, style in zip(("glu", "reglu", "geglu", "swiglu"), ("-", "--", ":", "-.")):
    ax.plot(z, function(name), style, label=name)
ax.set(xlabel="u = v", ylabel="u g(v)", ylim=(-1, 8))
ax.legend()

plt.show()
