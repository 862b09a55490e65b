"""How kernels are compiled: the one decorator, its checked cache, the fork guard.

Only this module, ``intrinsics.py``, ``tiles.py`` and ``vectors.py`` import Numba.
"""

import gc
import pickle
import platform
import tracemalloc
from contextlib import contextmanager
from functools import cache, partial

import numba
import numpy as np
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.serialize import dumps

from skmlp.machine.cache import KernelStore, Stamp, enabled
from skmlp.machine.fork import hold_at_fork
from skmlp.machine.room import with_room
from skmlp.machine.warning import warn

DISABLED = bool(numba.config.DISABLE_JIT)
STRICT_MATH = {"contract"}
FAST_MATH = {"contract", "reassoc", "nsz", "arcp", "afn"}  # NaN and inf stay visible
ENTRY_KERNELS = []  # in order of definition
STAMP = Stamp()  # hash of all kernels' code
_STORE = KernelStore(STAMP.value)
_ENTRY_POINTS = {}


def jit(function=None, *, entry=False, form=None, strict=False, once=False, view=False):
    """Compile ``function`` on its first use with given argument types.

    Parameters
    ----------
    entry : bool, default=False
        Whether it is called from Python.  Entry kernels are kept in the cache; all
        others are compiled into those that use them.
    form : Form, default=None
        What it takes and returns, if it is called by address: it is an entry kernel
        then, with this attribute.
    strict : bool, default=False
        For functions of single numbers.  Keep the order of floating-point operations
        as written, since rounding may be part of the algorithm, and inline however
        long: a loop with a call in it would not be vectorized.
    once : bool, default=False
        For functions that are used in one place and call many others. Put them there
        before compilation: a function is optimized anew, with all that it calls, for
        each one around it.
    view : bool, default=False
        For functions that return an array, or call NumPy's that do: these Numba
        compiles only if it may count references.  Nothing else counts any, which
        costs time in each step and in compilation: whoever calls an entry kernel
        owns the arrays.
    """
    if function is None:
        options = {"entry": entry, "form": form, "strict": strict}
        return lambda function: jit(function, once=once, view=view, **options)
    entry = entry or form is not None
    kernel = numba.njit(
        nogil=True,
        error_model="numpy",
        fastmath=STRICT_MATH if strict else FAST_MATH,
        forceinline=strict,
        no_cpython_wrapper=not entry,
        no_cfunc_wrapper=True,
        inline="always" if once else "never",
        _nrt=view,
    )(function)
    if entry:
        kernel.form = form
        ENTRY_KERNELS.append(kernel)
    if entry and not DISABLED:
        kernel.compile = partial(_where_there_is_room, kernel, kernel.compile)
        if enabled() and STAMP.covers(function.__module__):
            kernel._cache = _CheckedCache(function.__name__)
    return kernel


def entry_point(kernel, key, arguments):
    """The compiled function of an entry kernel for arguments of these types.

    Each time it is called, a kernel itself first looks at the type of every field of
    every argument, which takes a tenth of the time of a small network. ``key`` stands
    for the types: with the same one they must be the same. (Arrays of another dtype
    raise a TypeError.) A plain function, as when the JIT is off, is returned as it is.
    """
    if not hasattr(kernel, "compile"):
        return kernel
    place = kernel, key
    if place not in _ENTRY_POINTS:
        _ENTRY_POINTS[place] = kernel.compile(tuple(map(numba.typeof, arguments)))
    return _ENTRY_POINTS[place]


def _where_there_is_room(kernel, compile, signature):
    """Numba's ``compile``, which calls from Python come to as well."""
    if signature in kernel.overloads or global_compiler_lock.is_locked():
        return compile(signature)  # already compiled, or nested in a compilation
    if tracemalloc.is_tracing() and not _is_saved(kernel, signature):
        _warn_of_tracing()

    def work():
        with global_compiler_lock, _no_collection():
            return compile(signature)

    return with_room(work)


def _is_saved(kernel, signature):
    saved = kernel._cache
    return isinstance(saved, _CheckedCache) and saved.has(signature, kernel.targetctx)


@cache
def _warn_of_tracing():
    """Say so once: what takes seconds otherwise looks as if it hung."""
    warn(
        "tracemalloc is on, and traces the millions of objects that compiling a network"
        " makes: this may take minutes. Switch it on after a first fit, or run"
        " `python -m skmlp warmup` before."
    )


@contextmanager
def _no_collection():
    """Compiling makes millions of objects; to look for garbage among them in between
    takes an eighth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _CheckedCache(NullCache):
    """Numba's view of the kernel store: any trouble is a miss, nothing raises."""

    def __init__(self, name):
        self._name = name

    def _key(self, signature, codegen):
        return repr(
            (
                str(signature),
                codegen.magic_tuple(),
                platform.python_version(),
                numba.__version__,
                np.__version__,
                numba.config.BOUNDSCHECK,
                numba.config.OPT,
            )
        )

    def _load(self, signature, target_context):
        target_context.refresh()
        return _STORE.load(self._name, self._key(signature, target_context.codegen()))

    def has(self, signature, target_context):
        """Whether there is something to load."""
        with global_compiler_lock:
            return self._load(signature, target_context) is not None

    def load_overload(self, sig, target_context):
        try:
            payload = self._load(sig, target_context)
            if payload is None:
                return None
            return CompileResult._rebuild(target_context, *pickle.loads(payload))
        except Exception:
            return None

    def save_overload(self, sig, data):
        try:
            if not data.library.has_dynamic_globals:
                key = self._key(sig, data.codegen)
                _STORE.save(self._name, key, dumps(data._reduce()))
        except Exception:
            return


hold_at_fork(global_compiler_lock)
