import numpy as np
import pytest
from builders import make_data
from hypothesis import given, settings
from hypothesis import strategies as st

from skmlp.core.architecture import make_architecture
from skmlp.training import blocks
from skmlp.training.blocks import (
    flops_per_row,
    prediction_block_size,
    training_block_size,
)

architectures = st.lists(st.integers(1, 3000), min_size=2, max_size=5).map(
    make_architecture
)


def rows_for(layout, as_csr=False, n_rows=3):
    X = np.zeros((n_rows, layout.sizes[0]))
    X[:, 0] = 1
    return make_data(X, np.zeros((n_rows, layout.sizes[-1])), as_csr=as_csr)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    architecture=architectures, batch_size=st.integers(1, 10**6), as_csr=st.booleans()
)
def test_training(architecture, batch_size, as_csr):
    layout = architecture.layout()
    data = rows_for(layout, as_csr)
    block_size = training_block_size(architecture, data, batch_size)
    fewest, most = blocks._TRAINING_ROWS
    assert isinstance(block_size, int)
    assert 1 <= block_size <= min(batch_size, most)
    n_parts = -(-batch_size // block_size)
    assert batch_size > (n_parts - 1) * block_size  # no empty part
    limit = blocks._TRAINING_FLOPS / flops_per_row(layout, data)
    assert block_size <= max(fewest, limit)
    assert block_size >= min(batch_size, fewest) // 2


@settings(deadline=None, derandomize=True, max_examples=300)
@given(architecture=architectures, n_rows=st.integers(1, 10**6), as_csr=st.booleans())
def test_prediction(architecture, n_rows, as_csr):
    layout = architecture.layout()
    data = rows_for(layout, as_csr)
    block_size = prediction_block_size(architecture, data, n_rows)
    fewest, most = blocks._PREDICTION_ROWS
    assert min(fewest, n_rows) <= block_size <= min(most, n_rows)
    if block_size > fewest:
        units = sum(layout.sizes[1:] if as_csr else layout.sizes)
        assert block_size * units * 8 <= blocks._PREDICTION_BYTES


@pytest.mark.parametrize(
    ("batch_size", "expected"),
    [(100, 100), (156, 156), (157, 79), (312, 156), (313, 313)],
)
def test_minibatches_just_above_a_small_product_are_halved(batch_size, expected):
    architecture = make_architecture([64, 100, 10])
    data = rows_for(architecture.layout())
    assert training_block_size(architecture, data, batch_size) == expected


def test_batch_normalisation_needs_the_whole_minibatch():
    architecture = make_architecture([64, 100, 10], normalization="batch")
    data = rows_for(architecture.layout())
    assert training_block_size(architecture, data, 10_000) == 10_000


def test_predictions_keep_to_small_products():
    narrow = make_architecture([50, 100, 5])
    assert prediction_block_size(narrow, rows_for(narrow.layout()), 10**5) == 200
    wide = make_architecture([512, 512, 1])
    # A small product would have three rows only.
    assert prediction_block_size(wide, rows_for(wide.layout()), 10**5) > 3


def test_flops_of_sparse_rows_count_what_is_there():
    layout = make_architecture([1000, 10, 1]).layout()
    assert flops_per_row(layout, rows_for(layout)) == 6 * (10_000 + 10) + 1
    assert flops_per_row(layout, rows_for(layout, as_csr=True)) == 6 * (10 + 10) + 1
