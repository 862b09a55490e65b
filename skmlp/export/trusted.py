"""What a reader of a skops file with these estimators has to trust."""

from skmlp.core.architecture import Architecture
from skmlp.core.columns import Column
from skmlp.estimators.fitted import FittedNetwork
from skmlp.estimators.targets import ClassTargets, RealTargets
from skmlp.export.estimators import FITTED_STATES, OBJECTS
from skmlp.preprocessing import (
    PiecewiseLinearEncoder,
    RobustScaleSmoothClip,
    TabularEncoder,
)
from skmlp.preprocessing.categories import Categories
from skmlp.preprocessing.scaling import SmoothClip
from skmlp.tabular.base import Fitted
from skmlp.tabular.classifier import Calibration
from skmlp.tabular.ensemble import Ensemble
from skmlp.tabular.regressor import Conformal
from skmlp.tabular.scales import TargetScale
from skmlp.tabular.tables import DenseTable, SparseTable
from skmlp.tabular.training import Member
from skmlp.training.model import Carried
from skmlp.training.optimizer_state import OptimizerState
from skmlp.training.stopping import Patience

_TYPES = (
    *FITTED_STATES,
    *OBJECTS,
    *(Architecture, Column, FittedNetwork, Carried, OptimizerState, Patience),
    *(ClassTargets, RealTargets, Calibration, Conformal, TargetScale, Ensemble),
    *(Fitted, Member, DenseTable, SparseTable, Categories, SmoothClip),
    *(TabularEncoder, RobustScaleSmoothClip, PiecewiseLinearEncoder),
)
SKOPS_TRUSTED_TYPES = (
    "numpy.dtype",
    *sorted(f"{own.__module__}.{own.__qualname__}" for own in _TYPES),
)
