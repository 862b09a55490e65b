"""
Loss curves, in training and on other rows
==========================================

``loss_curve_`` holds the loss of each epoch. Beside the loss on rows that are not
trained on, it tells whether a network is too weak, trained too little, or learning
its rows by heart.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from skmlp import MLPClassifier

plt.style.use("petroff10")
X, y = make_classification(
    600, n_features=20, n_informative=6, flip_y=0.15, random_state=0
)
X, X_val, y, y_val = train_test_split(X, y, random_state=0)

# %%
# Epochs one by one
# -----------------
# ``partial_fit`` trains for one epoch, so that anything can be measured in between:
# n calls on the same rows give what ``fit`` gives with ``max_iter=n``.


def losses(n_epochs=100, **params):
    """Loss on the training rows and on the others after each epoch."""
    model = MLPClassifier(**params, random_state=0)
    training, validation = [], []
    for _ in range(n_epochs):
        model.partial_fit(X, y, classes=[0, 1])
        training.append(log_loss(y, model.predict_proba(X)))
        validation.append(log_loss(y_val, model.predict_proba(X_val)))
    return training, validation


settings = {
    "too small: 1 unit": {"hidden_layer_sizes": (1,), "learning_rate_init": 1e-2},
    "a rate too low": {"learning_rate_init": 1e-5},
    "learning by heart": {"hidden_layer_sizes": (200,), "learning_rate_init": 1e-2},
    "the same with alpha=10": {
        "hidden_layer_sizes": (200,),
        "learning_rate_init": 1e-2,
        "alpha": 10,
    },
}
fig, axes = plt.subplots(1, 4, figsize=(11, 3), sharey=True, layout="constrained")
for (title, params), ax in zip(settings.items(), axes):
    training, validation = losses(**params)
    ax.plot(training, ":", label="training rows")
    ax.plot(validation, label="other rows")
    ax.set(title=title, xlabel="epoch", ylim=(0, 1.2))
axes[0].set_ylabel("log-loss")
axes[0].legend()

# %%
# Early stopping
# --------------
# With ``early_stopping=True`` the estimator sets rows aside itself, and keeps the
# weights of the best score on them.

model = MLPClassifier(
    (200,),
    learning_rate_init=1e-2,
    early_stopping=True,
    validation_fraction=0.2,
    random_state=0,
).fit(X, y)
scores, best = model.validation_scores_, model.best_iter_ - 1

fig, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
axes[0].plot(model.loss_curve_, ":", label="loss_curve_")
axes[0].plot(model.validation_loss_curve_, label="validation_loss_curve_")
axes[0].set(title="losses", ylabel="log-loss", ylim=0)
axes[1].plot(scores, color="C1")
axes[1].set(title="validation_scores_", ylabel="accuracy on rows set aside")
for ax in axes:
    ax.axvline(best, color="gray", linestyle="--", label="weights kept")
    ax.set(xlabel="epoch", xticks=range(0, len(scores), 5))
axes[0].legend()
print(f"Accuracy on {len(y_val)} new rows: {model.score(X_val, y_val):.2f}")

plt.show()
