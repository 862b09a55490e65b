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

rng = np.random.default_rng(0)
x = rng.uniform(-3, 3, (1500, 1))
mean, std = np.sin(1.5 * x[:, 0]), 0.1 + 0.2 * np.abs(x[:, 0])
y = mean + std * rng.normal(size=len(x))
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
    ax.plot(grid, np.sin(1.5 * grid), "k:", label="true mean")
    ax.plot(grid, centre, "C3", label=label)
    ax.set(title=title, xlabel="x", ylabel="y")
    ax.legend()


# %%
# One network with an output per quantile: 80 % of the rows should lie between the
# outer two.

quantiles = MLPRegressor("quantile", quantile=(0.1, 0.5, 0.9), **settings).fit(x, y)
low, _, high = quantiles.predict(x).T
share = np.mean((low < y) & (y < high))
low, median, high = quantiles.predict(grid).T
draw(f"10 % to 90 %: {share:.0%} of the rows inside", median, low, high, "median")

# %%
# With the Gaussian likelihood the network has an output for the mean and one for the
# variance. One standard deviation to both sides should hold 68 % of the rows.

gaussian = MLPRegressor("gaussian_nll", **settings).fit(x, y)
mean, std = gaussian.predict(x, return_std=True)
share = np.mean(np.abs(y - mean) < std)
mean, std = gaussian.predict(grid, return_std=True)
title = f"Mean ± standard deviation: {share:.0%} of the rows inside"
draw(title, mean, mean - std, mean + std, "mean")

plt.show()

# %%
# These shares are of the training rows. On new rows bands are somewhat too narrow, the
# more so, the fewer rows there are for the size of the network.
