"""Learning-rate schedules, for the parameter ``learning_rate`` of the estimators.

They are small immutable objects, which can be compared, cloned, pickled, and tried in
a grid.  A factor multiplies ``learning_rate_init`` at each step; it depends on the
epochs finished so far, or on the progress, that is, their share of ``max_iter``.

>>> from skmlp import MLPRegressor
>>> from skmlp.schedules import Cosine, Warmup
>>> regr = MLPRegressor(learning_rate=Warmup(Cosine(), fraction=0.05))
"""

from skmlp.training.schedules import (
    Constant,
    Cosine,
    CosLog,
    Exponential,
    FlatCosine,
    InverseScaling,
    OneCycle,
    Plateau,
    Schedule,
    Step,
    Warmup,
)

__all__ = [
    "Constant",
    "CosLog",
    "Cosine",
    "Exponential",
    "FlatCosine",
    "InverseScaling",
    "OneCycle",
    "Plateau",
    "Schedule",
    "Step",
    "Warmup",
]
