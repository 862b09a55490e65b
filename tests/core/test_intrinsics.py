"""References to named tuples, which read like tuples; BLAS called by address."""

import sys
from typing import NamedTuple

import numpy as np
import pytest
from builders import DTYPES, as_kernel

from skmlp.core.intrinsics import gemm, gemm_address, refer
from skmlp.core.jit import DISABLED


class Inner(NamedTuple):
    factor: float
    values: np.ndarray


class Same(NamedTuple):
    first: int
    last: int


class Outer(NamedTuple):
    inner: Inner
    span: Same
    matrix: np.ndarray
    scale: float


@as_kernel
def weighted_sum(inner, span):
    result = 0.0
    for i in range(span.first, span.last):
        result += inner.factor * inner.values[i]
    return result


@as_kernel
def through_references(outer, n):
    """As the kernels do: one reference outside of the loop, one for each round."""
    outer, total = refer(outer), 0.0
    for i in range(n):
        span = refer(Same(outer.span.first + i, outer.span.last))
        total += outer.scale * weighted_sum(outer.inner, span)
        outer.matrix[i, 1] = total
    return total


@as_kernel
def no_such_field(outer):
    return refer(outer).inner.width


def make_outer(dtype, n=5):
    values = np.arange(1, n + 1, dtype=dtype)
    return Outer(Inner(0.5, values), Same(1, n), np.zeros((n, 2), dtype), 3.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_fields_of_nested_tuples(dtype):
    outer = make_outer(dtype)
    parts = [3.0 * 0.5 * sum(range(2 + i, 6)) for i in range(3)]
    assert through_references(outer, 3) == sum(parts)
    np.testing.assert_array_equal(outer.matrix[:3, 1], np.cumsum(parts))
    np.testing.assert_array_equal(outer.matrix[:, 0], 0)


@pytest.mark.skipif(DISABLED, reason="nothing is compiled with the JIT off")
def test_references_keep_no_array_alive():
    outer = make_outer("float64")
    through_references(outer, 1)
    before = sys.getrefcount(outer.matrix), sys.getrefcount(outer.inner.values)
    for _ in range(5):
        through_references(outer, 3)
    after = sys.getrefcount(outer.matrix), sys.getrefcount(outer.inner.values)
    assert after == before


@pytest.mark.skipif(DISABLED, reason="nothing is compiled with the JIT off")
def test_a_field_that_is_not_there():
    with pytest.raises(Exception, match="Unknown attribute 'width'"):
        no_such_field(make_outer("float64"))


@as_kernel
def call_gemm(address, C, A, turns_A, B, turns_B, adds):
    gemm(address, C, A, turns_A, B, turns_B, adds)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("turns_A", [0, 1])
@pytest.mark.parametrize("turns_B", [0, 1])
@pytest.mark.parametrize("adds", [0, 1])
@pytest.mark.parametrize("shape", [(5, 3, 7), (1, 4, 1), (6, 1, 2), (40, 20, 30)])
def test_gemm(dtype, turns_A, turns_B, adds, shape):
    """Of integers, so that results are exact; without adding, NaN is overwritten."""
    rng, (m, k, n) = np.random.default_rng(0), shape
    A, B, before = (
        rng.integers(-9, 10, size).astype(dtype) for size in ((m, k), (k, n), (m, n))
    )
    C = before.copy() if adds else np.full_like(before, np.nan)
    left, right = (
        np.ascontiguousarray(factor.T if turns else factor)
        for factor, turns in ((A, turns_A), (B, turns_B))
    )
    call_gemm(gemm_address(np.dtype(dtype)), C, left, turns_A, right, turns_B, adds)
    np.testing.assert_array_equal(C, A @ B + before if adds else A @ B)
