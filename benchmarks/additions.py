"""What goes beyond scikit-learn, each with what it is compared with."""

from typing import NamedTuple

from skmlp.augmentation import CutMix, GaussianNoise, ImageShift, Mixup, SwapNoise
from skmlp.core.activations import ACTIVATIONS
from skmlp.schedules import Step, Warmup
from skmlp.training.initialization import INITIALIZERS

BASE = {
    "hidden_layer_sizes": (128, 128),
    "batch_size": 128,
    "n_iter_no_change": float("inf"),
}
EPOCHS = {"classification": 40, "regression": 100}  # by when most sets are learnt
DEEP = {"hidden_layer_sizes": (64,) * 8}
POSITIVE = "poisson", "gamma", "tweedie"  # losses that need targets above zero
SCIKIT_LEARN = "identity", "logistic", "tanh", "relu"
STOPPING = {"early_stopping": True}
PENALTY = {"alpha": 0.1}


class Addition(NamedTuple):
    """Keywords on against off, otherwise alike.

    Attributes
    ----------
    on, off : dict
        Parameters on top of ``BASE``.
    kind : str
        Kind of the sets that it is tried on, of `real_data`, or the name of one; all
        if empty.
    scores : tuple of str
        What it is judged by, if not by what is usual for the task.
    """

    on: dict
    off: dict = {}
    kind: str = ""
    scores: tuple = ()


def _loss(name, *scores, kind="regression", **others):
    return Addition({"loss": name, **others}, kind=kind, scores=scores)


_RARE = "accuracy", "log loss", "balanced accuracy", "average precision"
_QUANTILES = 0.1, 0.5, 0.9

ADDITIONS = {
    "nothing (another seed)": Addition({"random_state": 99}),
    # Layers
    **{
        f"activation={name}": Addition({"activation": name})
        for name in ACTIVATIONS
        if name not in SCIKIT_LEARN
    },
    **{f"weight_init={name}": Addition({"weight_init": name}) for name in INITIALIZERS},
    "normalization=batch": Addition({"normalization": "batch"}),
    "normalization=batch, population": Addition(
        {"normalization": "batch", "norm_statistics": "population"}
    ),
    "normalization=layer": Addition({"normalization": "layer"}),
    "8 layers: weight_init=he_uniform": Addition(
        {**DEEP, "weight_init": "he_uniform"}, DEEP
    ),
    "8 layers: selu, lecun_normal": Addition(
        {**DEEP, "activation": "selu", "weight_init": "lecun_normal"}, DEEP
    ),
    "8 layers: normalization=batch": Addition({**DEEP, "normalization": "batch"}, DEEP),
    "8 layers: normalization=layer": Addition({**DEEP, "normalization": "layer"}, DEEP),
    "dropout=0.2": Addition({"dropout": 0.2}),
    "dropout=0.5": Addition({"dropout": 0.5}),
    "input_dropout=0.1": Addition({"input_dropout": 0.1}),
    # Steps
    "solver=adamw, weight_decay=0.1": Addition(
        {"solver": "adamw", "alpha": 0.0, "weight_decay": 0.1}
    ),
    "solver=nadam": Addition({"solver": "nadam"}),
    "solver=amsgrad": Addition({"solver": "amsgrad"}),
    "solver=adagrad, rate 0.01": Addition(
        {"solver": "adagrad", "learning_rate_init": 0.01}
    ),
    "solver=rmsprop": Addition({"solver": "rmsprop"}),
    "solver=lion, rate 0.0001": Addition(
        {"solver": "lion", "learning_rate_init": 1e-4, "beta_2": 0.99}
    ),
    "solver=schedule_free, rate 0.0025": Addition(
        {"solver": "schedule_free", "learning_rate_init": 0.0025}
    ),
    "solver=sgd (Nesterov), rate 0.05": Addition(
        {"solver": "sgd", "learning_rate_init": 0.05}
    ),
    "learning_rate_init=0.004": Addition({"learning_rate_init": 0.004}),
    "learning_rate=Step(10)": Addition({"learning_rate": Step(10)}),
    "learning_rate=exponential": Addition({"learning_rate": "exponential"}),
    "early stopping: learning_rate=plateau": Addition(
        {**STOPPING, "learning_rate": "plateau"}, STOPPING
    ),
    "learning_rate=cosine": Addition({"learning_rate": "cosine"}),
    "learning_rate=one_cycle": Addition({"learning_rate": "one_cycle"}),
    "learning_rate=coslog4": Addition({"learning_rate": "coslog4"}),
    "learning_rate=Warmup": Addition({"learning_rate": Warmup()}),
    **{
        f"learning_rate={name}, rate 0.004": Addition(
            {"learning_rate": name, "learning_rate_init": 0.004}
        )
        for name in ("cosine", "one_cycle", "coslog4")
    },
    "clip_norm=1": Addition({"clip_norm": 1.0}),
    "clip_value=0.1": Addition({"clip_value": 0.1}),
    "ema_decay=0.99": Addition({"ema_decay": 0.99}),
    # Penalties
    "alpha=1": Addition({"alpha": 1.0}),
    "alpha=0.1, l1_ratio=0.5": Addition({**PENALTY, "l1_ratio": 0.5}, PENALTY),
    "alpha=0.1, l1_ratio=1": Addition({**PENALTY, "l1_ratio": 1.0}, PENALTY),
    "weight_decay=1": Addition({"weight_decay": 1.0}),
    "max_norm=2": Addition({"max_norm": 2.0}),
    # Losses
    "loss=focal": _loss("focal", *_RARE, kind="classification"),
    "label_smoothing=0.1": Addition({"label_smoothing": 0.1}, kind="classification"),
    "class_weight=balanced": Addition(
        {"class_weight": "balanced"}, kind="imbalanced", scores=_RARE
    ),
    "loss=absolute_error": _loss("absolute_error"),
    "loss=huber": _loss("huber"),
    "loss=log_cosh": _loss("log_cosh"),
    **{f"loss={name}": _loss(name) for name in POSITIVE},
    "loss=gaussian_nll": _loss("gaussian_nll", "RMSE", "MAE", "likelihood"),
    "early stopping: loss=gaussian_nll": Addition(
        {**STOPPING, "loss": "gaussian_nll"},
        STOPPING,
        kind="regression",
        scores=("RMSE", "MAE", "likelihood"),
    ),
    "early stopping, scoring=loss: gaussian_nll": Addition(
        {**STOPPING, "loss": "gaussian_nll", "scoring": "loss"},
        STOPPING,
        kind="regression",
        scores=("RMSE", "MAE", "likelihood"),
    ),
    "loss=quantile, 0.9": _loss("quantile", "pinball 0.9", quantile=0.9),
    "loss=quantile, 0.1, 0.5, 0.9": _loss(
        "quantile", "pinball 0.1, 0.5, 0.9", quantile=_QUANTILES
    ),
    # Rows
    "GaussianNoise(0.1)": Addition({"augmentation": GaussianNoise(0.1)}),
    "SwapNoise(0.1)": Addition({"augmentation": SwapNoise(0.1)}),
    "Mixup(0.2)": Addition({"augmentation": Mixup(0.2)}),
    "CutMix(0.2)": Addition({"augmentation": CutMix(0.2)}),
    "ImageShift(2), mnist10k": Addition(
        {"augmentation": ImageShift((28, 28), 2)}, kind="mnist10k"
    ),
    "ImageShift(1), digits": Addition(
        {"augmentation": ImageShift((8, 8), 1)}, kind="digits"
    ),
    "dtype=float64": Addition({"dtype": "float64"}),
    "dropout=0.2, one_cycle at 0.004, ema": Addition(
        {
            "dropout": 0.2,
            "learning_rate": "one_cycle",
            "learning_rate_init": 0.004,
            "ema_decay": 0.99,
        }
    ),
}
