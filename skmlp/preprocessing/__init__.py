"""Transformers of tables with gaps into what networks learn well from.

`RobustScaleSmoothClip` and `PiecewiseLinearEncoder` take numbers, `TabularEncoder`
takes whole tables of numbers and categories.
"""

from skmlp.preprocessing.encoder import TabularEncoder
from skmlp.preprocessing.piecewise import PiecewiseLinearEncoder
from skmlp.preprocessing.scaling import RobustScaleSmoothClip

__all__ = ["PiecewiseLinearEncoder", "RobustScaleSmoothClip", "TabularEncoder"]
