import itertools
import os
import subprocess
import sys
from contextlib import contextmanager

import naive
import numpy as np
import pytest
from builders import (
    DTYPES,
    flat,
    force_replicas,
    make_problem,
    run_epoch,
    run_time_hyper,
    train_naively,
    zero_moments,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from skmlp.core.activations import ACTIVATIONS
from skmlp.core.losses import LOSSES
from skmlp.core.minibatches import n_blocks, run_blocks
from skmlp.core.optimizers import OPTIMIZERS
from skmlp.machine.jit import DISABLED

_LIKE_ADAM = "adam", "adamw", "nadam", "amsgrad", "schedule_free"
HYPER = {"none": (), "sgd": (0.9, 1), "adagrad": (1e-8,), "rmsprop": (0.9, 1e-8)}
HYPER["lion"] = (0.9, 0.99)
HYPER |= dict.fromkeys(_LIKE_ADAM, (0.9, 0.999, 1e-8))
RATE = {**dict.fromkeys(HYPER, 0.01), "none": 0.0, "sgd": 0.02}

configurations = st.fixed_dictionaries(
    {
        "sizes": st.tuples(
            st.integers(1, 6),
            st.lists(st.integers(1, 7), max_size=3),
            st.integers(1, 4),
        ).map(lambda sizes: (sizes[0], *sizes[1], sizes[2])),
        "activation": st.sampled_from(sorted(ACTIVATIONS)),
        "loss": st.sampled_from(sorted(LOSSES)),
        "n_rows": st.integers(1, 20),
        "as_csr": st.booleans(),
        "weighted": st.booleans(),
        "alpha": st.sampled_from([0.0, 1e-4, 0.5]),
        "seed": st.integers(0, 1000),
    }
)


@contextmanager
def parameters_of_threads(replicas):
    """Whether each thread has parameters of its own, whatever their number."""
    with pytest.MonkeyPatch.context() as patch:
        force_replicas(patch, replicas)
        yield


def train(
    problem,
    orders,
    optimizer,
    *,
    batch_size,
    block_size=None,
    chunk_size=None,
    cut=lambda: (),
    average=None,
    n_threads=1,
    merges=False,
):
    """An epoch of kernels for each order; returns their mean losses.

    ``merges`` gives rows that are left over to the last full minibatch.
    """
    hyper = run_time_hyper(optimizer, HYPER[optimizer])
    twin = naive.OPTIMIZERS[optimizer](*HYPER[optimizer])
    moments, t, losses = zero_moments(optimizer, problem.params), 0, []
    for order in orders:
        n_steps = len(order) // batch_size if merges else -(-len(order) // batch_size)
        rates = [
            RATE[optimizer] * twin.correction(t + i) for i in range(1, n_steps + 1)
        ]
        loss, _ = run_epoch(
            problem,
            order,
            optimizer=optimizer,
            rates=rates,
            base_rates=[RATE[optimizer]] * n_steps,
            n_steps_before=t,
            average=average,
            hyper=hyper,
            moments=moments,
            batch_size=batch_size,
            block_size=block_size,
            chunk_size=chunk_size,
            cuts=cut(),
            n_threads=n_threads,
        )
        t += n_steps
        losses.append(loss)
    return losses


def orders_of(problem, n_epochs=5):
    rng = np.random.default_rng(0)
    return [rng.permutation(problem.n_rows) for _ in range(n_epochs)]


# Lion takes a whole step along a gradient that is zero but for rounding.
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS.keys() - {"lion"}))
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    configuration=configurations,
    batch_size=st.integers(1, 20),
    block_size=st.integers(1, 20),
    chunk_size=st.integers(1, 20),
    replicas=st.booleans(),
    merges=st.booleans(),
)
def test_five_epochs_of_the_naive_twin(
    optimizer, configuration, batch_size, block_size, chunk_size, replicas, merges
):
    if configuration["weighted"] and configuration["n_rows"] == 1:
        configuration["weighted"] = False  # its only weight would be zero
    problem = make_problem(**configuration)
    batch_size = min(batch_size, problem.n_rows)
    expected, coefs, intercepts = train_naively(
        problem,
        orders_of(problem),
        batch_size=batch_size,
        optimizer=naive.OPTIMIZERS[optimizer](*HYPER[optimizer]),
        rate=RATE[optimizer],
        last_batch="merge" if merges else "keep",
    )
    with parameters_of_threads(replicas):
        losses = train(
            problem,
            orders_of(problem),
            optimizer,
            batch_size=batch_size,
            block_size=min(block_size, batch_size),
            chunk_size=min(chunk_size, block_size, batch_size),
            merges=merges,
        )
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    actual_coefs, actual_intercepts = problem.lists()
    for actual, wanted in zip(actual_coefs + actual_intercepts, coefs + intercepts):
        np.testing.assert_allclose(actual, wanted, rtol=1e-6, atol=1e-6)


# Regularizers that act on the step, or on what is stepped from.
STEPWISE = {
    "l1_ratio": 0.5,
    "weight_decay": 3.0,
    "clip_value": 0.05,
    "clip_norm": 0.2,
    "max_norm": 0.4,
    "ema_decay": 0.7,
}
PAIRS = list(itertools.combinations(STEPWISE, 2))[:: 4 if DISABLED else 1]


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS.keys() - {"none"}))
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_pairs_of_regularisers_are_those_of_the_naive_twin(optimizer, pair):
    problem = make_problem(
        (4, 6, 3),
        weighted=True,
        alpha=2.0,
        regularization={name: STEPWISE[name] for name in pair},
    )
    average, (coefs, intercepts) = problem.params.copy(), problem.lists()
    expected_average = coefs + intercepts
    expected, *lists = train_naively(
        problem,
        orders_of(problem),
        batch_size=3,
        optimizer=naive.OPTIMIZERS[optimizer](*HYPER[optimizer]),
        rate=RATE[optimizer],
        average=expected_average if "ema_decay" in pair else None,
    )
    losses = train(
        problem, orders_of(problem), optimizer, batch_size=3, average=average
    )
    np.testing.assert_allclose(losses, expected, rtol=1e-9)
    np.testing.assert_allclose(problem.params, flat(*lists), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(
        average, flat(expected_average, []), rtol=1e-8, atol=1e-10
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("as_csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize(("batch_size", "block_size"), [(5, 5), (5, 2), (23, 4)])
def test_cuts_change_no_bit(optimizer, dtype, as_csr, batch_size, block_size):
    rng = np.random.default_rng(0)
    n_total = n_blocks(23, -(-23 // batch_size), batch_size, block_size)
    results = []
    for cut in (
        tuple,
        lambda: range(1, n_total),
        lambda: rng.integers(n_total + 1, size=3),
    ):
        problem = make_problem(
            (4, 6, 3), n_rows=23, dtype=dtype, as_csr=as_csr, weighted=True
        )
        losses = train(
            problem,
            orders_of(problem, 3),
            optimizer,
            batch_size=batch_size,
            block_size=block_size,
            cut=cut,
        )
        results.append((losses, problem.params.tobytes()))
    assert results[0] == results[1] == results[2]


@pytest.mark.skipif(DISABLED, reason="threads work together in compiled kernels only")
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    configuration=configurations,
    architecture=st.fixed_dictionaries(
        {"dropout": st.sampled_from([0.0, 0.3])},
        optional={"normalization": st.just("layer")},
    ),
    regularization=st.sets(st.sampled_from(sorted(STEPWISE))),
    lengths=st.tuples(*[st.integers(1, 20)] * 3),
    n_threads=st.sampled_from([2, 3, 8]),
    dtype=st.sampled_from(DTYPES),
    replicas=st.booleans(),
    merges=st.booleans(),
)
def test_threads_change_no_bit(
    optimizer,
    configuration,
    architecture,
    regularization,
    lengths,
    n_threads,
    dtype,
    replicas,
    merges,
):
    if configuration["n_rows"] == 1:
        configuration["weighted"] = False  # its only weight would be zero
    batch_size, block_size, chunk_size = np.minimum.accumulate(
        [min(lengths[0], configuration["n_rows"]), *lengths[1:]]
    ).tolist()
    results = []
    for n in 1, n_threads:
        problem = make_problem(
            **configuration,
            **architecture,
            dtype=dtype,
            regularization={name: STEPWISE[name] for name in regularization},
        )
        average = problem.params.copy()
        with parameters_of_threads(replicas):
            losses = train(
                problem,
                orders_of(problem, 2),
                optimizer,
                batch_size=batch_size,
                block_size=block_size,
                chunk_size=chunk_size,
                average=average,
                n_threads=n,
                merges=merges,
            )
        arrays = np.array(losses), problem.params, average
        results.append([array.tobytes() for array in arrays])
    assert results[0] == results[1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("as_csr", [False, True], ids=["dense", "csr"])
def test_data_are_read_only_and_unchanged(dtype, as_csr):
    problem = make_problem((4, 6, 3), dtype=dtype, as_csr=as_csr, weighted=True)
    before = [array.tobytes() for array in problem.data]
    train(problem, orders_of(problem), "adam", batch_size=5, block_size=2)
    assert [array.tobytes() for array in problem.data] == before
    assert not any(array.flags.writeable for array in problem.data)


@pytest.mark.parametrize(
    ("n_rows", "n_steps", "batch_size", "block_size", "expected"),
    [
        (10, 1, 10, 10, 1),
        (10, 2, 5, 5, 2),
        (11, 3, 5, 5, 3),
        (11, 3, 5, 2, 7),
        (11, 2, 5, 6, 2),
        (11, 2, 5, 3, 4),
        (3, 1, 4, 2, 2),
    ],
)
def test_n_blocks(n_rows, n_steps, batch_size, block_size, expected):
    assert n_blocks(n_rows, n_steps, batch_size, block_size) == expected


def test_diverging_training_is_not_hidden():
    problem = make_problem((4, 6, 3), loss="squared_error", activation="identity")
    losses = train(problem, orders_of(problem, 40), "sgd", batch_size=2)
    assert np.isfinite(losses).all()
    problem.params[:] = 1e200
    assert not np.isfinite(train(problem, orders_of(problem, 3), "sgd", batch_size=2))[
        -1
    ]


@pytest.mark.skipif(DISABLED, reason="nothing is compiled with the JIT off")
def test_two_specializations_at_most():
    for dtype in DTYPES:
        for as_csr in False, True:
            for weighted in False, True:
                for sizes in (1, 1), (4, 6, 3):
                    problem = make_problem(
                        sizes, dtype=dtype, as_csr=as_csr, weighted=weighted, n_rows=9
                    )
                    train(problem, orders_of(problem), "adam", batch_size=4)
    assert len(run_blocks.overloads) == 2


ALLOCATIONS = """
import numba
import numpy as np
from skmlp.__main__ import warm_up
from skmlp.machine.jit import ENTRY_KERNELS

warm_up("float32")

def allocates(code):
    return "NRT_Allocate" in code or "NRT_MemInfo_alloc" in code


control = numba.njit(lambda n: np.empty(n).sum())
control(3)
assert all(map(allocates, control.inspect_llvm().values()))
for kernel in ENTRY_KERNELS:
    code = [*kernel.inspect_asm().values(), *kernel.inspect_llvm().values()]
    assert len(code) == 2 and all(code), kernel
    for text in code:
        assert not allocates(text), kernel
print(len(ENTRY_KERNELS), "kernels")
"""


@pytest.mark.skipif(DISABLED, reason="nothing is compiled with the JIT off")
@pytest.mark.skipif(
    os.environ.get("NUMBA_BOUNDSCHECK") == "1",
    reason="error messages of bounds checks allocate",
)
def test_entry_kernels_allocate_nothing():
    """In a process of its own: kernels from the cache carry no code to look at.

    Unoptimized, which is quicker to compile and can only show more.
    """
    folders = os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))
    environment = {
        **os.environ,
        "SKMLP_CACHE": "0",
        "NUMBA_OPT": "0",
        "PYTHONPATH": os.pathsep.join([*sys.path, *folders]),
    }
    done = subprocess.run(
        [sys.executable, "-c", ALLOCATIONS],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    n_kernels = int(done.stdout.removesuffix(" kernels\n"))
    assert n_kernels > 2 * len(ACTIVATIONS) + len(LOSSES)
