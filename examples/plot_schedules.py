"""
Schedules
=========

A learning rate begins high, to travel, and ends low, to settle. What lies between is
the schedule's business.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.preprocessing import scale

from skmlp import MLPClassifier
from skmlp.schedules import (
    Constant,
    Cosine,
    CosLog,
    Exponential,
    InverseScaling,
    OneCycle,
    Step,
    Warmup,
)

plt.style.use("petroff10")
schedules = [
    Constant(),
    Step(every=10),
    Exponential(0.92),
    InverseScaling(),
    Cosine(),
    OneCycle(),
    CosLog(),
    Warmup(Cosine(), fraction=0.1),
]

# %%
# ``curve`` tells the factors of all steps of a fit, here of 40 epochs. (``Plateau``
# cannot be drawn: it waits for what training does.)

N_EPOCHS = 40
fig, axes = plt.subplots(
    2, 4, figsize=(11, 5), sharex=True, sharey=True, layout="constrained"
)
fig.supxlabel("epoch")
fig.supylabel("factor of learning_rate_init")
for schedule, ax in zip(schedules, axes.ravel()):
    curve = schedule.curve(N_EPOCHS, n_steps=10)
    ax.plot(np.arange(curve.size) / 10, curve)
    ax.set(title=type(schedule).__name__, ylim=(0, 1.05))
axes[1, 3].set_title("Warmup of Cosine")

# %%
# Their effect, at a rate that is rather high: constant rates go on jumping about the
# minimum, falling ones come to rest. Schedules that end at ``max_iter`` must be allowed
# to get there, hence the endless patience.

X, y = load_digits(return_X_y=True)
X = scale(X).astype(np.float32)
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
styles = {Constant(): "-", Step(every=10): "--", Cosine(): ":", OneCycle(): "-."}
for schedule, style in styles.items():
    model = MLPClassifier(
        (32,),
        learning_rate=schedule,
        learning_rate_init=0.03,
        batch_size=32,
        max_iter=N_EPOCHS,
        n_iter_no_change=np.inf,
        alpha=1.0,
        random_state=0,
    ).fit(X, y)
    ax.plot(model.loss_curve_, style, label=type(schedule).__name__)
ax.set(xlabel="epoch", ylabel="training loss, penalty included", ylim=(0.5, 1))
ax.legend()

plt.show()
