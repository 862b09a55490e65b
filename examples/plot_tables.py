"""
A raw table with gaps and categories
====================================

Rents of a bicycle shop, by weather, weekday, temperature and wind; the thermometer was
out of order now and then, which is not by chance. The table goes into the model as it
is.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance

from skmlp import TabularMLPRegressor

plt.style.use("petroff10")


def draw_days(n, seed):
    """A table of days, and how many bicycles were rented."""
    rng = np.random.default_rng(seed)
    days = pd.DataFrame(
        {
            "weather": rng.choice(["sun", "clouds", "rain"], n, p=[0.4, 0.4, 0.2]),
            "weekday": rng.choice(["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"], n),
            "temperature": rng.normal(14, 8, n),
            "wind": rng.gamma(2, 6, n),
            "ticket": rng.integers(10**6, size=n),  # tells nothing
        }
    )
    warmth = np.exp(-(((days["temperature"] - 22) / 12) ** 2))
    dry = days["weather"].map({"sun": 1.0, "clouds": 0.8, "rain": 0.3})
    weekend = days["weekday"].isin(["Sa", "Su"])
    mean = 150 * dry * warmth * (1 + 0.5 * weekend) / (1 + days["wind"] / 40)
    rented = rng.poisson(mean)
    fails = rng.random(n) < np.where(days["temperature"] < 2, 0.7, 0.05)
    days.loc[fails, "temperature"] = np.nan
    days.loc[rng.random(n) < 0.1, "weather"] = None
    return days, rented


X, y = draw_days(1200, seed=0)
X_new, y_new = draw_days(1200, seed=1)
print(X.head())

model = TabularMLPRegressor(loss="quantile", quantile=[0.1, 0.5, 0.9], random_state=0)
model.fit(X, y)

# %%
# What counts, and what its absence tells: permuting a column costs as much as the
# column is worth. On the right the median and the calibrated 80 % interval of a sunny
# Saturday, over the temperature; the first point has no temperature.

found = permutation_importance(model, X_new, y_new, n_repeats=3, random_state=0)
order = np.argsort(found.importances_mean)

grid = np.linspace(-8, 36, 120)
saturday = pd.DataFrame(
    {
        "weather": "sun",
        "weekday": "Sa",
        "temperature": [np.nan, *grid],
        "wind": 10.0,
        "ticket": 500_000,
    }
)
y_pred, low, high = model.predict(saturday, interval=0.8)

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.barh(X.columns[order], found.importances_mean[order])
left.set(xlabel="loss of D2 when permuted")
right.fill_between(grid, low[1:], high[1:], alpha=0.3, label="80 % interval")
right.plot(grid, y_pred[1:, 1], label="median")
median = y_pred[0, 1]
ends = [[median - low[0]], [high[0] - median]]
right.errorbar([-12], [median], ends, fmt="o", color="C2", label="not measured")
right.set(xlabel="temperature", ylabel="bicycles")
right.legend(loc="upper left")

_, low, high = model.predict(X_new, interval=0.8)
print(f"new days inside: {np.mean((low <= y_new) & (y_new <= high)):.2f}")

plt.show()
