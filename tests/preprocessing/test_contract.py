"""scikit-learn's own contract checks."""

import pytest
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    check_set_output_transform,
    check_set_output_transform_pandas,
    check_set_output_transform_polars,
    check_transformer_get_feature_names_out,
    check_transformer_get_feature_names_out_pandas,
    parametrize_with_checks,
)

from skmlp.preprocessing import (
    PiecewiseLinearEncoder,
    RobustScaleSmoothClip,
    TabularEncoder,
)

pytestmark = pytest.mark.filterwarnings("ignore:X (has|does not have).* feature names")

TRANSFORMERS = [
    RobustScaleSmoothClip(),
    PiecewiseLinearEncoder(),
    TabularEncoder(),
    TabularEncoder(categories="codes", categorical_features=[0]),
    TabularEncoder(categorical_features=[0], max_categories=3),
    TabularEncoder(categorical_features=None, missing_indicator=False),
]


@parametrize_with_checks(TRANSFORMERS)
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)
@pytest.mark.parametrize(
    "check",
    [
        check_dataframe_column_names_consistency,
        check_param_validation,
        check_set_output_transform,
        check_set_output_transform_pandas,
        check_set_output_transform_polars,
        check_transformer_get_feature_names_out,
        check_transformer_get_feature_names_out_pandas,
    ],
)
def test_further_checks(transformer, check):
    check(type(transformer).__name__, transformer)
