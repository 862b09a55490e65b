"""
Decision boundaries by depth and width
======================================

What a classifier of two features has learned can be drawn: colours are the predicted
probability, the line is where it is one half. Without a hidden layer the boundary is
straight. Each unit of the first layer adds a bend; further layers bend the bends.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from skmlp import MLPClassifier

X, y = make_moons(200, noise=0.25, random_state=0)
axis = np.linspace(-2.5, 3, 120)
grid = np.stack(np.meshgrid(axis, axis[axis < 2.1]))
points = grid.reshape(2, -1).T


def draw(ax, model, title):
    """Probabilities as colours, the boundary as a line, rows as points."""
    p = model.predict_proba(points)[:, 1].reshape(grid[0].shape)
    ax.contourf(*grid, p, levels=np.linspace(0, 1, 11), cmap="RdBu", alpha=0.7)
    ax.contour(*grid, p, levels=[0.5], colors="black", linewidths=1)
    ax.scatter(*X.T, c=y, s=8, cmap="RdBu", edgecolors="black", linewidths=0.3)
    ax.set(title=title, xticks=[], yticks=[])


# %%
# Rows of the figure: one, two and three hidden layers. Columns: units per layer.
# Small networks are trained best by L-BFGS.

fig, axes = plt.subplots(3, 4, figsize=(10, 7), layout="constrained")
for depth, row in enumerate(axes, start=1):
    for width, ax in zip((1, 2, 4, 32), row):
        model = MLPClassifier(
            (width,) * depth,
            "tanh",
            solver="lbfgs",
            alpha=0.1,
            max_iter=2000,
            random_state=2,
        )
        draw(ax, model.fit(X, y), f"{depth} x {width}: {model.score(X, y):.2f}")

# %%
# The accuracy over each panel is that of the training rows, and hence no argument for
# the largest network. A stronger penalty makes a wide network smooth:

fig, axes = plt.subplots(1, 4, figsize=(10, 2.6), layout="constrained")
for alpha, ax in zip((1e-4, 1e-1, 1, 10), axes):
    model = MLPClassifier(
        (32, 32), "tanh", solver="lbfgs", alpha=alpha, max_iter=2000, random_state=0
    )
    draw(ax, model.fit(X, y), f"alpha={alpha:g}")

plt.show()
