"""
Quantile bands and standard deviations
======================================

A prediction with a statement of how far off it may be: as quantiles, which assume
nothing about the distribution of the errors, or as the mean and standard deviation of
normal ones.
"""

import matplotlib.pyplot as plt
import numpy as np

from skmlp import MLPRegressor

plt.style.use("petroff10")
rng = np.random.default_rng(0)


def draw_rows(n):
    """A wave with errors that grow to both sides."""
    x = rng.uniform(-3, 3, (n, 1))
    mean, std = np.sin(1.5 * x[:, 0]), 0.1 + 0.2 * np.abs(x[:, 0])
    return x, mean + std * rng.normal(size=n)


x, y = draw_rows(1500)
x_new, y_new = draw_rows(5000)
grid = np.linspace(-3, 3, 200)[:, None]

settings = {
    "hidden_layer_sizes": (64, 64),
    "activation": "silu",
    "learning_rate": "cosine",
    "learning_rate_init": 0.01,
    "max_iter": 150,
    "n_iter_no_change": np.inf,
    "random_state": 0,
}


def draw(title, centre, low, high, label):
    """Rows, the true mean, a prediction and the band around it."""
    _, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.scatter(x, y, s=4, color="gray", alpha=0.4)
    ax.fill_between(grid[:, 0], low, high, alpha=0.4, label="band")
    ax.plot(grid, centre, color="C2", label=label)
    ax.plot(grid, np.sin(1.5 * grid), "k:", label="true mean")
    ax.set(title=title, xlabel="x", ylabel="y")
    ax.legend()


# %%
# One network with an output per quantile: 80 % of the rows should lie between the
# outer two.

quantiles = MLPRegressor("quantile", quantile=(0.1, 0.5, 0.9), **settings).fit(x, y)
low, _, high = quantiles.predict(x_new).T
share = np.mean((low < y_new) & (y_new < high))
low, median, high = quantiles.predict(grid).T
draw(f"10 % to 90 %: {share:.0%} of new rows inside", median, low, high, "median")

# %%
# With the Gaussian likelihood the network has an output for the mean and one for the
# variance. One standard deviation to both sides should hold 68 % of the rows.

gaussian = MLPRegressor("gaussian_nll", **settings).fit(x, y)
mean, std = gaussian.predict(x_new, return_std=True)
share = np.mean(np.abs(y_new - mean) < std)
mean, std = gaussian.predict(grid, return_std=True)
title = f"Mean ± standard deviation: {share:.0%} of new rows inside"
draw(title, mean, mean - std, mean + std, "mean")

plt.show()

# %%
# The shares are of rows that were not trained on. Bands tend to be too narrow there,
# the more so, the fewer rows there are for the size of the network: check them on rows
# of their own before trusting them.
