"""References to named tuples, which read like tuples."""

import sys
from inspect import signature
from typing import NamedTuple

import numpy as np
import pytest
from builders import DTYPES, as_kernel
from numba.core.errors import TypingError

import skmlp.training.loop  # noqa: F401, defines all kernels
from skmlp.machine.forms import Form
from skmlp.machine.intrinsics import address, call, refer
from skmlp.machine.jit import DISABLED, ENTRY_KERNELS, jit


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


FORM = Form("vector", "index", "scalar", returns="scalar")


@jit(form=FORM)
def scaled_item(values, i, factor):
    return values[i] * factor


def caller(*arguments):
    """A kernel that calls `scaled_item` with these expressions."""
    given = ", ".join(map(str, arguments))
    source = f"def kernel(place, v, i, x):\n    return call(FORM, place, ({given},))"
    names = {"call": call, "FORM": FORM, "np": np}
    exec(source, names)
    return as_kernel(names["kernel"])


@pytest.mark.parametrize("dtype", DTYPES)
def test_call_by_address(dtype):
    place, values = address(scaled_item, dtype), np.arange(3, dtype=dtype)
    assert caller("v", "i", "x")(place, values, 2, 1.5) == 3
    assert caller("v", 2, "x")(place, values, 0, 1.5) == 3


@pytest.mark.skipif(DISABLED, reason="Python looks at types itself")
@pytest.mark.parametrize(
    "arguments",
    [
        ("v", "x", "i"),
        ("v", "i"),
        ("v", "i", "x", "x"),
        ("v", "i", "i"),
        ("v", "i", "np.float32(x)"),
        ("v", "np.uint64(i)", "x"),
        ("v", "i > 0", "x"),
        ("i", "i", "x"),
        ("v.reshape(1, 3)", "i", "x"),
        ("v[::2]", "i", "x"),
    ],
    ids=str,
)
def test_a_call_of_another_form_does_not_compile(arguments):
    values = np.arange(3.0)
    with pytest.raises(TypingError, match="is called with"):
        caller(*arguments)(address(scaled_item, np.float64), values, 2, 1.5)


@pytest.mark.skipif(DISABLED, reason="Python looks at types itself")
def test_read_only_arrays_are_another_form():
    values = np.arange(3.0)
    values.flags.writeable = False
    with pytest.raises(TypingError, match="is called with"):
        caller("v", "i", "x")(address(scaled_item, np.float64), values, 2, 1.5)


@pytest.mark.parametrize("kernel", ENTRY_KERNELS, ids=lambda kernel: kernel.__name__)
def test_kernels_take_as_many_arguments_as_their_form_says(kernel):
    if kernel.form is not None:
        assert len(signature(kernel).parameters) == len(kernel.form.kinds)
