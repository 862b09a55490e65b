import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from skmlp.machine.memory import LINE, empty_arrays, empty_like, whole_lines

forms = st.lists(
    st.tuples(
        st.lists(st.integers(0, 40), min_size=1, max_size=2).map(tuple),
        st.sampled_from([np.float32, np.float64, np.int64]),
    ),
    min_size=1,
    max_size=5,
).map(tuple)


@settings(deadline=None, derandomize=True)
@given(forms=forms)
def test_no_line_belongs_to_two_arrays(forms):
    """Nor to anything else: all memory belongs to one array below them."""
    arrays = empty_arrays(forms)
    assert [(array.shape, array.dtype) for array in arrays] == [*forms]
    lines = []
    for array in arrays:
        first = array.ctypes.data
        assert first % LINE == 0
        lines += range(first, first + array.nbytes, LINE)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        below = array.base
        assert below.ctypes.data <= first
        end = first + -(-array.nbytes // LINE) * LINE
        assert end <= below.ctypes.data + below.nbytes
    assert len(lines) == len(set(lines))
    for array, other in zip(arrays, empty_like(arrays)):
        assert (array.shape, array.dtype) == (other.shape, other.dtype)
        assert not np.shares_memory(array, other)


def test_whole_lines():
    assert [whole_lines(n, 4) for n in (0, 1, 32, 33)] == [0, 32, 32, 64]
    assert [whole_lines(n, 8) for n in (0, 1, 16, 17)] == [0, 16, 16, 32]
