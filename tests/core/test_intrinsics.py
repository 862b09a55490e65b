"""References to named tuples, which read like tuples."""

import sys
from typing import NamedTuple

import numpy as np
import pytest
from builders import DTYPES, as_kernel

from skmlp.core.intrinsics import refer
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
