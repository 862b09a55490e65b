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

plt.style.use("petroff10")
X, y = make_moons(200, noise=0.25, random_state=0)
axis = np.linspace(-2.5, 3, 120)
grid = np.stack(np.meshgrid(axis, axis[axis < 2.1]))
points = grid.reshape(2, -1).T


def draw(ax, model, title):
    """Probabilities as colours, the boundary as a line, rows as points."""
    p = model.predict_proba(points)[:, 1].reshape(grid[0].shape)
    filled = ax.contourf(*grid, p, levels=np.linspace(0, 1, 11), cmap="RdBu", alpha=0.6)
    ax.contour(*grid, p, levels=[0.5], colors="black", linewidths=1)
    for label, marker, color in ((0, "o", "darkred"), (1, "^", "navy")):
        ax.scatter(*X[y == label].T, s=12, marker=marker, color=color, linewidths=0)
    ax.set(title=title, xticks=[], yticks=[])
    return filled


def explain(fig, axes, filled):
    """What the colours mean."""
    label = "probability of the triangles"
    fig.colorbar(filled, ax=axes, shrink=0.8, ticks=[0, 0.5, 1], label=label)


# %%
# Rows of the figure: one, two and three hidden layers. Columns: units per layer. Over
# each panel the share of the training rows that is classified correctly.
# Small networks are trained best by L-BFGS.

fig, axes = plt.subplots(3, 4, figsize=(11, 7), layout="constrained")
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
        score = model.fit(X, y).score(X, y)
        filled = draw(ax, model, f"{depth} x {width} units: {score:.1%}")
explain(fig, axes, filled)

# %%
# A share of training rows is no argument for the largest network, which has learnt them
# by heart. A stronger penalty makes a wide network smooth:

fig, axes = plt.subplots(1, 4, figsize=(11, 2.6), layout="constrained")
for alpha, ax in zip((1e-4, 1e-1, 1, 10), axes):
    model = MLPClassifier(
        (32, 32), "tanh", solver="lbfgs", alpha=alpha, max_iter=2000, random_state=0
    )
    filled = draw(ax, model.fit(X, y), f"alpha={alpha:g}")
explain(fig, axes, filled)

plt.show()
