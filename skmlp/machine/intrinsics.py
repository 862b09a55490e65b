"""What Numba's language lacks: bare views, references, calls by address, by_dtype.

With the JIT off (``NUMBA_DISABLE_JIT=1``) each has a plain Python form.
"""

import sys
from functools import cache

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.errors import TypingError
from numba.core.imputils import impl_ret_borrowed, lower_constant
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    infer_getattr,
    intrinsic,
    lower_getattr_generic,
    models,
    overload,
    register_model,
    typeof_impl,
)
from numba.np.numpy_support import as_dtype

from skmlp.machine.forms import Form
from skmlp.machine.jit import DISABLED, STRICT_MATH, jit

_GIVE_WAY = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
_MONOTONIC = 6 if sys.platform == "darwin" else 1  # of clock_gettime


def by_dtype(single, double):
    """One function of a float32 and a float64 version, chosen at compile time."""

    def dispatch(x):
        return single(x) if x.dtype == np.float32 else double(x)

    if not DISABLED:
        options = {"fastmath": STRICT_MATH, "forceinline": True}

        @overload(dispatch, jit_options=options | {"no_cpython_wrapper": True})
        def select(x):
            implementation = single if x == types.float32 else double
            return lambda x: implementation(x)

    return dispatch


def _view(ndim, *, borrowed=False):
    """An intrinsic for a C-contiguous view into an array, without reference count.

    Slicing and reshaping would take and drop a reference at each view, which costs
    both run time in small networks and a large part of the time to compile.
    The array outlives the view: it belongs to the caller of the entry kernel.
    A ``borrowed`` view has the type of a writable one, for kernels that are compiled
    for no other, and must not be written to.
    """

    @intrinsic
    def view(typing_context, vector, start, shape):
        result = types.Array(
            vector.dtype, ndim, "C", readonly=not (vector.mutable or borrowed)
        )

        def generate(context, builder, signature, args):
            # Imported late: it takes longer than skmlp, and only compiling needs it.
            from numba.np.arrayobj import make_array, populate_array

            source = make_array(signature.args[0])(context, builder, args[0])
            start = context.cast(builder, args[1], signature.args[1], types.intp)
            extents = [
                context.cast(builder, extent, kind, types.intp)
                for extent, kind in zip(
                    cgutils.unpack_tuple(builder, args[2]), signature.args[2]
                )
            ]
            strides = [source.itemsize]
            for extent in reversed(extents[1:]):
                strides.insert(0, builder.mul(strides[0], extent))
            out = make_array(signature.return_type)(context, builder)
            populate_array(
                out,
                data=builder.gep(source.data, [start]),
                shape=cgutils.pack_array(builder, extents),
                strides=cgutils.pack_array(builder, strides),
                itemsize=source.itemsize,
                meminfo=None,
            )
            return out._getvalue()

        return result(vector, start, shape), generate

    return view


class _Reference(types.Type):
    """Where a named tuple lies: one pointer, read like the tuple itself.

    Numba passes tuples field by field, and arrays in seven or more of them: most of
    what there was to compile were arguments on their way.
    """

    def __init__(self, target):
        self.dtype = target
        super().__init__(f"Reference({target})")

    def field(self, name):
        """Number and type of a field."""
        place = self.dtype.fields.index(name)
        kind = self.dtype[place]
        nested = isinstance(kind, types.BaseNamedTuple)
        return place, _Reference(kind) if nested else kind


register_model(_Reference)(models.PointerModel)


@infer_getattr
class _Fields(AttributeTemplate):
    key = _Reference

    def generic_resolve(self, reference, name):
        return reference.field(name)[1] if name in reference.dtype.fields else None


@lower_getattr_generic(_Reference)
def _field(context, builder, reference, pointer, name):
    i, kind = reference.field(name)
    place = cgutils.gep_inbounds(builder, pointer, 0, i)
    if isinstance(kind, _Reference):
        return place
    value = context.unpack_value(builder, kind, place)
    return impl_ret_borrowed(context, builder, kind, value)


@intrinsic
def _refer(typing_context, record):
    """Put a named tuple where it can be referred to, as long as the caller runs."""

    def generate(context, builder, signature, args):
        kind = signature.args[0]
        place = cgutils.alloca_once(builder, context.get_data_type(kind))
        context.pack_value(builder, kind, args[0], place)
        return place

    return _Reference(record)(record), generate


class _FormType(types.Opaque):
    """The type of a form, which holds it for the compiler."""

    def __init__(self, form):
        self.form = form
        super().__init__(f"Form({id(form)})")


@typeof_impl.register(Form)
def _typeof_form(form, context):
    return _FormType(form)


register_model(_FormType)(models.OpaqueModel)


@lower_constant(_FormType)
def _no_form(context, builder, kind, form):
    return context.get_dummy_value()


def _signature(form, real):
    """Numba's types of a form's arguments, for this working type."""
    kinds = {
        "matrix": types.Array(real, 2, "C"),
        "vector": types.Array(real, 1, "C"),
        "hyper": types.Array(types.float64, 1, "C"),
        "losses": types.Array(types.float64, 2, "C"),
        "table": types.Array(types.int64, 2, "C"),
        "values": types.Array(real, 1, "C", readonly=True),
        "indices": types.Array(types.int32, 1, "C", readonly=True),
        "places": types.Array(types.int64, 1, "C", readonly=True),
        "scalar": types.float64,
        "index": types.intp,
    }
    dtype = as_dtype(real)
    return tuple(kinds[k] if isinstance(k, str) else k(dtype) for k in form.kinds)


def _check_form(form, given):
    """Refuse to compile a call whose arguments are not those of the form."""
    given = tuple(map(types.unliteral, given))
    reals = (kind.dtype for kind in given if isinstance(kind, types.Array))
    real = next((kind for kind in reals if isinstance(kind, types.Float)), None)
    expected = () if real is None else _signature(form, real)
    if given != expected:
        raise TypingError(
            f"A kernel of the form {form.kinds} is called with {given}, not {expected}."
        )
    return given


@intrinsic(prefer_literal=False)
def _call(typing_context, form, address, arguments):
    """Call a compiled kernel of a form by its address."""
    kinds = _check_form(form.form, tuple(arguments))
    result = types.float64 if form.form.returns == "scalar" else types.none

    def generate(context, builder, signature, args):
        function_type = context.call_conv.get_function_type(result, kinds)
        pointer = builder.inttoptr(args[1], function_type.as_pointer())
        values = cgutils.unpack_tuple(builder, args[2])
        status, returned = context.call_conv.call_function(
            builder, pointer, result, kinds, values
        )
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return returned

    return result(form, address, arguments), generate


_WORD = ir.IntType(64)


def _word(builder, address):
    return builder.inttoptr(address, _WORD.as_pointer())


@intrinsic
def _load(typing_context, address):
    """The number at an address that other threads write to."""

    def generate(context, builder, signature, args):
        return builder.load_atomic(_word(builder, args[0]), "seq_cst", 8)

    return types.int64(types.int64), generate


@intrinsic
def _store(typing_context, address, value):
    """Write the number at an address that other threads read."""

    def generate(context, builder, signature, args):
        builder.store_atomic(args[1], _word(builder, args[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def _add(typing_context, address, value):
    """Add to the number at an address; returns what was there before."""

    def generate(context, builder, signature, args):
        return builder.atomic_rmw("add", _word(builder, args[0]), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def _replace(typing_context, address, old, new):
    """Write a number if the old one is still there; returns whether it was."""

    def generate(context, builder, signature, args):
        place = _word(builder, args[0])
        pair = builder.cmpxchg(place, args[1], args[2], "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(types.int64, types.int64, types.int64), generate


@intrinsic
def _relax(typing_context):
    """Tell the processor that this thread waits."""

    def generate(context, builder, signature, args):
        if context.codegen().magic_tuple()[0].startswith("x86_64"):
            _call_bare(builder, ir.VoidType(), "llvm.x86.sse2.pause")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def _give_way(typing_context):
    """Yield the core to other threads."""

    def generate(context, builder, signature, args):
        _call_bare(builder, ir.IntType(32), _GIVE_WAY)
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def _clock(typing_context):
    """Nanoseconds of a clock that only goes forward."""

    def generate(context, builder, signature, args):
        if sys.platform == "win32":
            kind = ir.FunctionType(_WORD, [])
            name, factor = "GetTickCount64", 1_000_000
            ticks = cgutils.get_or_insert_function(builder.module, kind, name)
            return builder.mul(builder.call(ticks, []), _WORD(factor))
        # struct timespec of 64-bit systems: seconds, then nanoseconds
        time = cgutils.alloca_once(builder, ir.ArrayType(_WORD, 2))
        kind = ir.FunctionType(ir.IntType(32), [ir.IntType(32), time.type])
        name = "clock_gettime"
        read = cgutils.get_or_insert_function(builder.module, kind, name)
        builder.call(read, [ir.IntType(32)(_MONOTONIC), time])
        seconds, rest = cgutils.unpack_tuple(builder, builder.load(time), 2)
        return builder.add(builder.mul(seconds, _WORD(1_000_000_000)), rest)

    return types.int64(), generate


@intrinsic
def _draw_bits(typing_context, function, state):
    """Call a bit generator's ``next_uint32``, a function in C, by its address."""

    def generate(context, builder, signature, args):
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.IntType(32), [pointer])
        function = builder.inttoptr(args[0], kind.as_pointer())
        bits = builder.call(function, [builder.inttoptr(args[1], pointer)])
        return builder.zext(bits, ir.IntType(64))

    return types.int64(types.int64, types.int64), generate


def _call_bare(builder, return_type, name):
    """Call a function of no arguments by its name."""
    kind = ir.FunctionType(return_type, [])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])


if DISABLED:

    def _compiled_only(*arguments):
        raise RuntimeError("threads work together in compiled kernels only")

    load_word = store_word = add_to_word = replace_word = _compiled_only
    relax = give_way = clock = draw_bits = _compiled_only

    def matrix_view(vector, start, shape):
        return flat(vector)[start : start + shape[0] * shape[1]].reshape(shape)

    def vector_view(vector, start, shape):
        return flat(vector)[start : start + shape[0]]

    def refer(record):
        return record

    def call(form, function, arguments):
        return function(*arguments)

    borrowed_matrix = matrix_view

    def flat(array):
        return array.reshape(-1)

else:
    load_word, store_word, add_to_word, replace_word = _load, _store, _add, _replace
    relax, give_way, clock, draw_bits = _relax, _give_way, _clock, _draw_bits
    matrix_view = _view(2)
    borrowed_matrix = _view(2, borrowed=True)
    vector_view = _view(1)
    refer = _refer
    call = _call

    @jit(view=True)
    def flat(array):
        """All elements of a C-contiguous array, as a vector."""
        return vector_view(array, 0, (array.size,))


@cache
def address(kernel, dtype):
    """Address of a kernel, compiled for its form and working type.

    Parameters
    ----------
    kernel : entry kernel with a form
    dtype : dtype
        float32 or float64.

    Returns
    -------
    int, or the kernel itself when the JIT is off
    """
    if DISABLED:
        return kernel
    signature = _signature(kernel.form, numba.from_dtype(np.dtype(dtype)))
    kernel.compile(signature)
    code = kernel.overloads[signature]
    with global_compiler_lock:  # the fork guard holds this lock, but not LLVM's
        return code.library.get_pointer_to_function(code.fndesc.llvm_func_name)


def reference_type(record):
    """The kind, in a form, of a reference to a named tuple like this one."""
    return None if DISABLED else _Reference(numba.typeof(record))
