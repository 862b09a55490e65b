"""What the networks for tables are made of, and how they are trained.

Most of it is RealMLP's recipe (Holzmüller, Grinsztajn and Steinwart, 2024), counted in
steps in the place of epochs; the waves are those of TabPack (2026). ``RECIPES`` has the
places on the curve of error over time that ``quality`` names.
"""

from dataclasses import dataclass, replace
from typing import Any

from skmlp.core.activations import ACTIVATIONS
from skmlp.training.schedules import CosLog, FlatCosine

ENCODINGS = "waves", "pieces"
_USUAL_ROWS = 7500
_FEWER_STEPS, _MORE_STEPS = 0.35, 4.0
_RATE, _DECLINE = CosLog(4), FlatCosine()


@dataclass(frozen=True)
class Recipe:
    """Settings of the training of members, and of the choice among their checkpoints.

    Attributes
    ----------
    hidden_layer_sizes : tuple of int
    activation : str
    parametric : bool
        Whether units mix their activation with the identity.
    encodings : tuple of str
        What numbers may be encoded by. If there are two, a pilot chooses.
    n_pieces, n_waves : int
        Of each column of numbers.
    most_pieces, most_waves : int
        Of all columns together.
    wave_scale : float
        Standard deviation of their first frequencies, in turns per unit.
    most_one_hot, table_width : int
        A column with at most so many categories has a unit for each; one with more, so
        many trained units.
    learning_rate_init : float
        Of weights, times 1 / sqrt(fan_in).
    learning_rate : Schedule
    beta_2 : float
    n_steps : int
        Of each member; in ``RECIPES``, for some thousands of rows.
    batch_size : int
    n_checkpoints : int
        Weights to choose from, at equal distances.
    n_members : int
        Networks to choose from.
    n_models : int
        Checkpoints of each that may be chosen, at most.
    dropout, weight_decay : float
    decline : Schedule
        Of both.
    """

    hidden_layer_sizes: tuple = (256, 256, 256)
    activation: str = "selu"
    parametric: bool = True
    encodings: tuple = ENCODINGS
    n_pieces: int = 48
    most_pieces: int = 1024
    n_waves: int = 8
    most_waves: int = 1024
    wave_scale: float = 0.2
    most_one_hot: int = 8
    table_width: int = 8
    learning_rate_init: float = 0.04
    learning_rate: Any = _RATE
    beta_2: float = 0.95
    n_steps: int = 1500
    batch_size: int = 128
    n_checkpoints: int = 24
    n_members: int = 3
    n_models: int = 2
    dropout: float = 0.15
    weight_decay: float = 0.02
    decline: Any = _DECLINE


_CLASSIFIER = Recipe()
_REGRESSOR = Recipe(activation="mish", learning_rate_init=0.07)
_QUALITIES = {
    "fast": {
        "hidden_layer_sizes": (256, 256),
        "n_steps": 1450,
        "n_members": 1,
        "n_models": 3,
        "n_pieces": 24,
    },
    "default": {},
    "best": {
        "n_steps": 2000,
        "batch_size": 256,
        "n_members": 5,
        "n_models": 3,
    },
}
RECIPES = {
    (kind, quality): replace(recipe, **own)
    for kind, recipe in (("classifier", _CLASSIFIER), ("regressor", _REGRESSOR))
    for quality, own in _QUALITIES.items()
}
QUALITIES = tuple(_QUALITIES)


def make_recipe(kind, quality, n_rows, **given):
    """The recipe of a quality for a number of rows.

    What is given and not None takes the place of its settings. Its own number of steps
    grows with the square root of the number of rows.
    """
    recipe = RECIPES[kind, quality]
    factor = min(max((n_rows / _USUAL_ROWS) ** 0.5, _FEWER_STEPS), _MORE_STEPS)
    recipe = replace(recipe, n_steps=round(factor * recipe.n_steps))
    given = {name: value for name, value in given.items() if value is not None}
    recipe = replace(recipe, **given)
    has_slope = ACTIVATIONS[recipe.activation].slope is not None
    return replace(recipe, parametric=recipe.parametric and has_slope)
