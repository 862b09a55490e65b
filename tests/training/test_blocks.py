import numpy as np
import pytest
from builders import make_data
from hypothesis import given, settings
from hypothesis import strategies as st

from skmlp.core.architecture import make_architecture
from skmlp.training import blocks
from skmlp.training.blocks import (
    flops_per_row,
    minibatches,
    prediction_block_size,
    training_block_size,
    training_chunk_size,
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


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "keep", "merge", "drop"),
    [
        (401, 200, (3, 401), (2, 401), (2, 400)),
        (400, 200, (2, 400), (2, 400), (2, 400)),
        (399, 200, (2, 399), (1, 399), (1, 200)),
        (150, 200, (1, 150), (1, 150), (1, 150)),
        (5, 1, (5, 5), (5, 5), (5, 5)),
    ],
)
def test_minibatches(n_rows, batch_size, keep, merge, drop):
    assert minibatches(n_rows, batch_size, "keep") == keep
    assert minibatches(n_rows, batch_size, "merge") == merge
    assert minibatches(n_rows, batch_size, "drop") == drop


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
    [(100, 100), (1024, 1024), (1025, 513), (2048, 1024), (2049, 683)],
)
def test_minibatches_of_many_rows_are_cut_into_equal_parts(batch_size, expected):
    architecture = make_architecture([64, 100, 10])
    data = rows_for(architecture.layout())
    assert training_block_size(architecture, data, batch_size) == expected


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    architecture=architectures, block_size=st.integers(1, 1024), as_csr=st.booleans()
)
def test_chunks(architecture, block_size, as_csr):
    """Pairs of equal parts: two threads have the same to do."""
    layout = architecture.layout()
    data = rows_for(layout, as_csr)
    chunk_size = training_chunk_size(architecture, data, block_size)
    assert isinstance(chunk_size, int)
    assert 1 <= chunk_size <= block_size
    n_chunks = -(-block_size // chunk_size)
    assert n_chunks == 1 or chunk_size * n_chunks - block_size < n_chunks
    fewest, enough = np.array(blocks._CHUNK_FLOPS) // flops_per_row(layout, data)
    few, many = blocks._CHUNK_ROWS
    assert chunk_size <= max(fewest, np.clip(enough, few, many), block_size // 4)
    if n_chunks > 1:
        assert block_size > max(fewest, few)


def test_chunks_of_a_network_that_is_large_enough():
    architecture = make_architecture([64, 100, 10])
    data = rows_for(architecture.layout())
    sizes = [
        training_chunk_size(architecture, data, n) for n in (64, 90, 91, 256, 258, 1000)
    ]
    assert sizes == [64, 45, 46, 128, 65, 250]


def test_more_than_two_chunks_are_worth_it_sooner_in_larger_networks():
    sizes = []
    for units in 100, 200, 400:
        architecture = make_architecture([64, units, 10])
        data = rows_for(architecture.layout())
        sizes.append(training_chunk_size(architecture, data, 240))
    assert sizes == [120, 60, 60]


def test_batch_normalization_needs_the_whole_minibatch():
    architecture = make_architecture([64, 100, 10], normalization="batch")
    data = rows_for(architecture.layout())
    assert training_block_size(architecture, data, 10_000) == 10_000
    assert training_chunk_size(architecture, data, 10_000) == 10_000


def test_predictions_keep_to_the_cache():
    narrow = make_architecture([50, 100, 5])
    assert prediction_block_size(narrow, rows_for(narrow.layout()), 10**5) == 384
    wide = make_architecture([512, 512, 1])
    assert prediction_block_size(wide, rows_for(wide.layout()), 10**5) == 63
    huge = make_architecture([50_000, 512, 1])
    assert prediction_block_size(huge, rows_for(huge.layout()), 10**5) == 12


def test_flops_of_sparse_rows_count_what_is_there():
    layout = make_architecture([1000, 10, 1]).layout()
    assert flops_per_row(layout, rows_for(layout)) == 6 * (10_000 + 10) + 1
    assert flops_per_row(layout, rows_for(layout, as_csr=True)) == 6 * (10 + 10) + 1
