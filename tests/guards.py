"""Memory between unreadable pages, full of NaN, in the place of the package's own.

With ``SKMLP_GUARD=1`` (or ``2``, for arrays at the beginning of their pages instead of
at the end) all tests run on it: whatever is read or written outside of an array is a
crash, and whatever is read before it is written shows. Linux only.
"""

import ctypes
import mmap
import sys

import numpy as np

from skmlp.core import minibatches, workspace
from skmlp.machine import memory

PAGE = mmap.PAGESIZE
_PROT_NONE = 0
_original = {
    function.__name__: function
    for function in (
        memory.empty_arrays,
        memory.empty_like,
        workspace.make_workspace,
        workspace.replica_of,
        workspace._places,
    )
}


def is_possible():
    return sys.platform == "linux"


def empty_between_pages(shape, dtype, at_end):
    """An array of NaN (or -77) whose neighbours cannot be read."""
    dtype = np.dtype(dtype)
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    n_lines = -(-n_bytes // memory.LINE) * memory.LINE
    inner = -(-n_lines // PAGE) * PAGE
    pages = mmap.mmap(-1, inner + 2 * PAGE)
    whole = np.frombuffer(pages, np.uint8)
    protect(whole, 0, PAGE)
    protect(whole, PAGE + inner, PAGE)
    start = PAGE + (inner - n_lines if at_end else 0)
    array = whole[start : start + n_bytes].view(dtype).reshape(shape)
    array[...] = np.nan if dtype.kind == "f" else -77
    return array


def protect(array, start, length):
    """Make bytes of a page-aligned array unreadable."""
    address = ctypes.c_void_p(array.ctypes.data + start)
    status = ctypes.CDLL(None).mprotect(address, ctypes.c_size_t(length), _PROT_NONE)
    assert status == 0, "mprotect"


def _spread(starts, size, itemsize, at_end):
    """Where parts that lie behind each other begin if each has pages of its own, and
    (start, length) of the gaps, in bytes."""
    edges = np.unique(np.append(starts.ravel(), size))
    moved, gaps, place = {}, [], 0
    for first, last in zip(edges, np.append(edges[1:], size)):
        length = int(last - first) * itemsize
        inner = -(-length // PAGE) * PAGE
        shift = inner - length if at_end else 0
        moved[int(first)] = (place + shift) // itemsize
        gaps.append((place + inner, PAGE))
        place += inner + PAGE
    new = np.vectorize(lambda start: moved[int(start)], otypes=[np.int64])(starts)
    return new, place // itemsize, gaps


def install(at_end=True):
    """Let the package take its memory from here."""

    def empty_arrays(forms):
        return [empty_between_pages(shape, dtype, at_end) for shape, dtype in forms]

    def empty_like(arrays):
        return empty_arrays([(array.shape, array.dtype) for array in arrays])

    def places(architecture, team_size, block_size, itemsize, sparse, training):
        form = block_size, itemsize, sparse, training
        starts, widths, size = _original["_places"](architecture, team_size, *form)
        starts, size, _ = _spread(starts, size, itemsize, at_end)
        return starts, widths, size

    def guarded(made, architecture, *form):
        _, _, gaps = _gaps(architecture, *form)
        for start, length in gaps:
            protect(made.memory, start, length)
        return made

    def _gaps(architecture, team_size, block_size, itemsize, sparse, training):
        form = block_size, itemsize, sparse, training
        starts, _, size = _original["_places"](architecture, team_size, *form)
        return _spread(starts, size, itemsize, at_end)

    forms = {}

    def make_workspace(architecture, block_size, dtype, **options):
        made = _original["make_workspace"](architecture, block_size, dtype, **options)
        team_size, itemsize = options.get("team_size", 1), np.dtype(dtype).itemsize
        form = team_size, block_size, itemsize, options["sparse"], options["training"]
        forms[made.memory.size, made.starts.tobytes()] = architecture, *form
        return guarded(made, architecture, *form)

    def replica_of(shared):
        form = forms[shared.memory.size, shared.starts.tobytes()]
        return guarded(_original["replica_of"](shared), *form)

    new = {
        "empty_arrays": empty_arrays,
        "empty_like": empty_like,
        "make_workspace": make_workspace,
        "replica_of": replica_of,
        "_places": places,
    }
    _put(new)


def remove():
    """Let it take its own."""
    _put(_original)


def _put(functions):
    workspace._plan.cache_clear()
    for name, module in list(sys.modules.items()):
        if name.startswith("skmlp.") and name != "skmlp.machine.team":
            for function in functions:
                if function in vars(module):
                    setattr(module, function, functions[function])


assert minibatches.replica_of is workspace.replica_of
