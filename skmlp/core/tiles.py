"""Blocks of numbers that stay in vector registers: the innermost step of a product.

``tile((C, c_at, c_row), (A, a_at, a_row, a_step, a_next), (B, b_at, b_row, b_next,
b_pace), n_steps, m, n, add)``
    C <- A B, or C + A B, for at most `TILE_ROWS` x `TILE_VECTORS` vectors of C. It
    begins at ``c_at`` of the array and has m rows, ``c_row`` apart, and n columns.
    Element (i, k) of A lies at ``a_at + i a_row + k a_step``. B, at ``b_at``, has
    ``n_steps`` rows, ``b_row`` apart, of n numbers; they are read as whole vectors, so
    that there must be some memory behind the last. Meanwhile the processor may fetch
    the next tile of A, ``a_next`` further on, and ``b_pace`` numbers per step of what
    lies ``b_next`` behind the beginning of B.
``copy(P, p_at, p_row, B, b_at, b_row, n_rows, n, ahead)``
    Rows of n numbers, rounded up to ``p_row`` by zeros if that is less than a vector.
    Meanwhile the processor fetches what lies ``ahead`` of each.
``copy_columns(P, p_at, B, b_at, b_row, n_rows, n)``
    Tiles of `TILE_ROWS` of n columns, one behind the other, each row by row.
``transpose(P, p_at, p_row, B, b_at, b_row)``
    One square block, as wide as a vector.

Each element of C is the sum over k in this order, wherever in a tile it lies: a
product has the same bits however it is cut into tiles and given to threads.
With the JIT off (``NUMBA_DISABLE_JIT=1``) each has a plain NumPy form.
"""

import numba
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.lib.stride_tricks import as_strided

from skmlp.core.jit import DISABLED, jit


def _features():
    """What the processor can do, as far as Numba is allowed to use it."""
    if numba.config.CPU_FEATURES is not None:
        return set(numba.config.CPU_FEATURES.split(","))
    if numba.config.CPU_NAME == "generic":
        return set()
    try:
        return set(binding.get_host_cpu_features().flatten().split(","))
    except RuntimeError:  # not known on this system
        return set()


def _vectors(features):
    """Bytes of a vector, and how many of them six rows of a tile may have each.

    Sums, a row of B and a factor then fill 32 registers, or 16.
    """
    if "+avx512f" in features:
        return 64, 4
    if "+avx" in features:
        return 32, 2
    return 16, 4 if "+neon" in features else 2


TILE_ROWS = 6
_ROWS_TOGETHER = 16
_LINE_BYTES = 64  # of the cache
VECTOR_BYTES, TILE_VECTORS = _vectors(_features())
_FETCHES = VECTOR_BYTES == 64  # a step of 24 products leaves time for it, one of 12 not
_ROWS_AHEAD = 8  # of B, that memory has time for


class _Vectors:
    """Loads and stores of whole vectors at places counted in numbers."""

    def __init__(self, builder, real, lanes=None):
        self.align = 4 if isinstance(real, ir.FloatType) else 8
        self.builder, self.lanes = builder, lanes or VECTOR_BYTES // self.align
        self.type = ir.VectorType(real, self.lanes)

    def _at(self, start, offset):
        place = self.builder.gep(start, [offset])
        return self.builder.bitcast(place, self.type.as_pointer())

    def load(self, start, offset):
        return self.builder.load(self._at(start, offset), align=self.align)

    def store(self, value, start, offset):
        self.builder.store(value, self._at(start, offset), align=self.align)

    def mask(self, n):
        """For the first n numbers of a vector; n may be negative, or too large."""
        lanes = ir.Constant(ir.VectorType(_INT32, self.lanes), list(range(self.lanes)))
        n = self.broadcast(self.builder.trunc(n, _INT32))
        return self.builder.icmp_signed("<", lanes, n)

    def _masked(self, what, result, *arguments):
        builder, pointer = self.builder, self.type.as_pointer()
        name = f"llvm.masked.{what}.v{self.lanes}f{8 * self.align}.p0"
        kinds = [
            pointer if argument.type == pointer else argument.type
            for argument in arguments
        ]
        function = ir.FunctionType(result, kinds)
        function = cgutils.get_or_insert_function(builder.module, function, name)
        return builder.call(function, arguments)

    def load_part(self, start, offset, mask):
        """Zero where there is nothing."""
        zero, place = ir.Constant(self.type, None), self._at(start, offset)
        arguments = place, _INT32(self.align), mask, zero
        return self._masked("load", self.type, *arguments)

    def store_part(self, value, start, offset, mask):
        arguments = value, self._at(start, offset), _INT32(self.align), mask
        self._masked("store", ir.VoidType(), *arguments)

    def broadcast(self, number):
        undefined = ir.Constant(ir.VectorType(number.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, number, _INT32(0))
        return self._shuffle(first, undefined, [0] * self.lanes)

    def _shuffle(self, a, b, places):
        mask = ir.Constant(ir.VectorType(_INT32, self.lanes), places)
        return self.builder.shuffle_vector(a, b, mask)

    def exchange(self, a, b, distance):
        """Swap the off-diagonal parts of a pair of rows: a step of a transposition."""
        n = self.lanes
        low = [i if not i & distance else n + i - distance for i in range(n)]
        high = [i + distance if not i & distance else n + i for i in range(n)]
        return self._shuffle(a, b, low), self._shuffle(a, b, high)

    def fetch(self, start, offset, *, level=1, writes=0):
        """Ask for a line of memory, to be in this level of the cache."""
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, _INT32, _INT32, _INT32])
        function = cgutils.get_or_insert_function(
            self.builder.module, kind, "llvm.prefetch.p0"
        )
        place = self.builder.bitcast(self.builder.gep(start, [offset]), pointer)
        arguments = place, _INT32(writes), _INT32(4 - level), _INT32(1)
        self.builder.call(function, arguments)

    def fetch_row(self, n_vectors, start, offset, *, writes=0):
        """Ask for all lines of a row of vectors."""
        for at in range(0, n_vectors * self.lanes, _LINE_BYTES // self.align):
            self.fetch(start, _INT64(offset + at), writes=writes)

    def multiply_add(self):
        """The function a b + c, fused where the processor can."""
        name = f"llvm.fmuladd.v{self.lanes}f{8 * self.align}"
        kind = ir.FunctionType(self.type, [self.type] * 3)
        return cgutils.get_or_insert_function(self.builder.module, kind, name)


_INT32, _INT64 = ir.IntType(32), ir.IntType(64)


def _begin(context, builder, kind, array, offset):
    """Address of an array's element."""
    from numba.np.arrayobj import make_array  # importing it takes long

    return builder.gep(make_array(kind)(context, builder, array).data, [offset])


def _tile(n_vectors):
    """An intrinsic for tiles of ``n_vectors`` vectors per row."""

    @intrinsic
    def tile(context, c, a, b, n_steps, m, n, add):
        def generate(context, builder, signature, args):
            kinds = [place.types[0] for place in signature.args[:3]]
            vectors = _Vectors(builder, context.get_value_type(kinds[0].dtype))
            c, a, b = (cgutils.unpack_tuple(builder, place) for place in args[:3])
            n_steps, m, n, add = args[3:]
            c_row, (a_row, a_step, a_next), (b_row, b_next, b_pace) = c[2], a[2:], b[2:]
            c, a, b = (
                _begin(context, builder, kind, array, at)
                for kind, (array, at, *_) in zip(kinds, (c, a, b))
            )
            factors = (a, a_row, a_step), (b, b_row)
            following = builder.gep(a, [a_next]), builder.gep(b, [b_next]), b_pace
            for i in range(TILE_ROWS):
                row = builder.mul(c_row, _INT64(i))
                vectors.fetch_row(n_vectors, builder.gep(c, [row]), 0, writes=1)
            sums = _sums(builder, vectors, n_vectors, *factors, following, n_steps, m)
            whole = builder.and_(
                builder.icmp_signed("==", m, _INT64(TILE_ROWS)),
                builder.icmp_signed("==", n, _INT64(n_vectors * vectors.lanes)),
            )
            adds = builder.icmp_signed("!=", add, _INT64(0))
            with builder.if_else(whole) as (all_of_it, part_of_it):
                with all_of_it:
                    _store_whole(builder, vectors, sums, c, c_row, adds)
                with part_of_it:
                    _store_part(builder, vectors, sums, c, c_row, m, n, adds)
            return context.get_dummy_value()

        return types.none(c, a, b, *(types.intp,) * 4), generate

    return tile


def _sums(builder, vectors, n_vectors, a, b, following, n_steps, m):
    """Rows of vectors: the sums over k of a[i, k] times row k of B.

    Rows beyond m repeat the last one, so that nothing is read that is not there.
    """
    (a, a_row, a_step), (b, b_row), (a_next, b_next, b_pace) = a, b, following
    multiply_add = vectors.multiply_add()
    last = builder.sub(m, _INT64(1))
    rows = [
        builder.select(builder.icmp_signed("<", _INT64(i), m), _INT64(i), last)
        for i in range(TILE_ROWS)
    ]
    offsets = [builder.mul(a_row, i) for i in rows]
    before = builder.block
    body = builder.append_basic_block("sums")
    after = builder.append_basic_block("summed")
    builder.branch(body)
    builder.position_at_end(body)
    starts = _INT64(0), a, b, a_next, b_next
    k, a_k, b_k, a_later, b_later = (builder.phi(start.type) for start in starts)
    sums = [
        [builder.phi(vectors.type) for _ in range(n_vectors)] for _ in range(TILE_ROWS)
    ]
    row = [vectors.load(b_k, _INT64(v * vectors.lanes)) for v in range(n_vectors)]
    a_here = _opaque(builder, a_k)
    if _FETCHES:
        ahead = builder.gep(b_k, [builder.mul(b_row, _INT64(_ROWS_AHEAD))])
        vectors.fetch_row(n_vectors, ahead, 0)
        vectors.fetch(a_later, _INT64(0))
        vectors.fetch(b_later, _INT64(0), level=2)
    added = []
    for offset, parts in zip(offsets, sums):
        factor = vectors.broadcast(builder.load(builder.gep(a_here, [offset])))
        added.append(
            [builder.call(multiply_add, [factor, x, s]) for x, s in zip(row, parts)]
        )
    steps = (
        (k, _INT64(0), builder.add(k, _INT64(1))),
        (a_k, a, builder.gep(a_here, [a_step])),
        (b_k, b, builder.gep(b_k, [b_row])),
        (a_later, a_next, builder.gep(a_later, [_INT64(TILE_ROWS)])),
        (b_later, b_next, builder.gep(b_later, [b_pace])),
        *(
            (s, ir.Constant(vectors.type, None), x)
            for parts, new in zip(sums, added)
            for s, x in zip(parts, new)
        ),
    )
    for phi, first, later in steps:
        phi.add_incoming(first, before)
        phi.add_incoming(later, body)
    builder.cbranch(builder.icmp_signed("<", steps[0][2], n_steps), body, after)
    builder.position_at_end(after)
    return added


def _opaque(builder, pointer):
    """The same pointer, but LLVM cannot know.

    It would keep one for each row otherwise, and spend as many steps on moving them.
    """
    kind = ir.FunctionType(pointer.type, [pointer.type])
    return builder.call(ir.InlineAsm(kind, "", "=r,0"), [pointer])


def _store_whole(builder, vectors, sums, c, c_row, adds):
    places = [
        (value, builder.mul(c_row, _INT64(i)), _INT64(v * vectors.lanes))
        for i, parts in enumerate(sums)
        for v, value in enumerate(parts)
    ]
    with builder.if_else(adds) as (more, anew):
        with more:
            for value, row, column in places:
                start = builder.gep(c, [row])
                value = builder.fadd(value, vectors.load(start, column))
                vectors.store(value, start, column)
        with anew:
            for value, row, column in places:
                vectors.store(value, builder.gep(c, [row]), column)


def _store_part(builder, vectors, sums, c, c_row, m, n, adds):
    """The first m rows and n columns."""
    masks = [
        vectors.mask(builder.sub(n, _INT64(v * vectors.lanes)))
        for v in range(len(sums[0]))
    ]
    for i, parts in enumerate(sums):
        with builder.if_then(builder.icmp_signed("<", _INT64(i), m)):
            start = builder.gep(c, [builder.mul(c_row, _INT64(i))])
            for v, (value, mask) in enumerate(zip(parts, masks)):
                place = _INT64(v * vectors.lanes)
                before = vectors.load_part(start, place, mask)
                before = builder.select(adds, before, ir.Constant(vectors.type, None))
                vectors.store_part(builder.fadd(value, before), start, place, mask)


@intrinsic
def _copy(context, P, p_at, p_row, B, b_at, b_row, n_rows, n, ahead):
    """Copy rows, and fill the last vector of each with zeros."""

    def generate(context, builder, signature, args):
        kinds = signature.args
        vectors = _Vectors(builder, context.get_value_type(kinds[0].dtype))
        p = _begin(context, builder, kinds[0], args[0], args[1])
        b = _begin(context, builder, kinds[3], args[3], args[4])
        p_row, b_row, n_rows, n, ahead = args[2], *args[5:]
        lanes = _INT64(vectors.lanes)
        n_whole = builder.sdiv(n, lanes)
        start = builder.mul(n_whole, lanes)
        rest = builder.sub(n, start)
        mask = vectors.mask(rest)
        room = vectors.mask(builder.sub(p_row, start))
        with cgutils.for_range(builder, n_rows) as rows:
            here = builder.gep(b, [builder.mul(rows.index, b_row)])
            there = builder.gep(p, [builder.mul(rows.index, p_row)])
            with cgutils.for_range(builder, n_whole) as columns:
                place = builder.mul(columns.index, lanes)
                vectors.fetch(here, builder.add(place, ahead))
                vectors.store(vectors.load(here, place), there, place)
            with builder.if_then(builder.icmp_signed(">", rest, _INT64(0))):
                vectors.fetch(here, builder.add(start, ahead))
                part = vectors.load_part(here, start, mask)
                vectors.store_part(part, there, start, room)
        return context.get_dummy_value()

    index = types.intp
    return types.none(P, index, index, B, *(index,) * 5), generate


@intrinsic
def _copy_columns(context, P, p_at, B, b_at, b_row, n_rows, n):
    """Copy columns, as many together as a tile has rows.

    A few rows at a time: the places of a row in all tiles, and those of a tile in all
    rows of B, are so far apart that they displace each other from the cache.
    """

    def generate(context, builder, signature, args):
        kinds = signature.args
        real = context.get_value_type(kinds[0].dtype)
        p = _begin(context, builder, kinds[0], args[0], args[1])
        b = _begin(context, builder, kinds[2], args[2], args[3])
        b_row, n_rows, n = args[4:]
        step, group = _INT64(TILE_ROWS), _INT64(_ROWS_TOGETHER)
        count = cgutils.for_range
        n_whole, rest = builder.sdiv(n, step), builder.srem(n, step)

        def copy_part(row, tile, numbers, offset):
            here = builder.add(builder.mul(row, b_row), builder.mul(tile, step))
            there = builder.mul(builder.add(builder.mul(tile, n_rows), row), step)
            part = numbers.load(b, builder.add(here, offset))
            numbers.store(part, p, builder.add(there, offset))

        whole, single = _Vectors(builder, real, TILE_ROWS), _Vectors(builder, real, 1)
        slices = cgutils.for_range_slice(builder, _INT64(0), n_rows, group)
        with slices as (first, _):
            left = builder.sub(n_rows, first)
            size = builder.select(builder.icmp_signed("<", left, group), left, group)
            with count(builder, n_whole) as tiles, count(builder, size) as rows:
                row = builder.add(first, rows.index)
                copy_part(row, tiles.index, whole, _INT64(0))
        with count(builder, n_rows) as rows, count(builder, rest) as columns:
            copy_part(rows.index, n_whole, single, columns.index)
        return context.get_dummy_value()

    index = types.intp
    return types.none(P, index, B, index, index, index, index), generate


@intrinsic
def _transpose(context, P, p_at, p_row, B, b_at, b_row):
    """Transpose a block in registers."""

    def generate(context, builder, signature, args):
        kinds = signature.args
        vectors = _Vectors(builder, context.get_value_type(kinds[0].dtype))
        p = _begin(context, builder, kinds[0], args[0], args[1])
        b = _begin(context, builder, kinds[3], args[3], args[4])
        n = vectors.lanes
        rows = [vectors.load(b, builder.mul(args[5], _INT64(i))) for i in range(n)]
        distance = 1
        while distance < n:
            for i in range(n):
                if not i & distance:
                    pair = rows[i], rows[i + distance]
                    rows[i], rows[i + distance] = vectors.exchange(*pair, distance)
            distance *= 2
        for i, row in enumerate(rows):
            vectors.store(row, p, builder.mul(args[2], _INT64(i)))
        return context.get_dummy_value()

    index = types.intp
    return types.none(P, index, index, B, index, index), generate


def _rows(array, at, shape, row, step=1):
    """A matrix in an array, from any element on, with any distances."""
    size = array.itemsize
    return as_strided(array.reshape(-1)[at:], shape, (row * size, step * size))


if DISABLED:

    def tile(c, a, b, n_steps, m, n, add):
        (C, c_at, c_row), (A, a_at, a_row, a_step, _), (B, b_at, b_row, _, _) = c, a, b
        out = _rows(C, c_at, (m, n), c_row)
        a = _rows(A, a_at, (m, n_steps), a_row, a_step)
        result = a @ _rows(B, b_at, (n_steps, n), b_row)
        out[:] = out + result if add else result

    def copy(P, p_at, p_row, B, b_at, b_row, n_rows, n, ahead):
        lanes = VECTOR_BYTES // P.itemsize
        width = min(p_row, -(-n // lanes) * lanes)
        out = _rows(P, p_at, (n_rows, width), p_row)
        out[:, :n] = _rows(B, b_at, (n_rows, n), b_row)
        out[:, n:] = 0

    def copy_columns(P, p_at, B, b_at, b_row, n_rows, n):
        for first in range(0, n, TILE_ROWS):
            width = min(TILE_ROWS, n - first)
            out = _rows(P, p_at + first * n_rows, (n_rows, width), TILE_ROWS)
            out[:] = _rows(B, b_at + first, (n_rows, width), b_row)

    def transpose(P, p_at, p_row, B, b_at, b_row):
        shape = (VECTOR_BYTES // P.itemsize,) * 2
        _rows(P, p_at, shape, p_row)[:] = _rows(B, b_at, shape, b_row).T

else:
    copy, copy_columns, transpose = _copy, _copy_columns, _transpose
    _tile_1, _tile_2, _tile_3, _tile_4 = (_tile(n) for n in (1, 2, 3, 4))

    @jit
    def tile(c, a, b, n_steps, m, n, add):
        lanes = VECTOR_BYTES // c[0].itemsize
        if n <= lanes:
            _tile_1(c, a, b, n_steps, m, n, add)
        elif n <= 2 * lanes:
            _tile_2(c, a, b, n_steps, m, n, add)
        elif n <= 3 * lanes:
            _tile_3(c, a, b, n_steps, m, n, add)
        else:
            _tile_4(c, a, b, n_steps, m, n, add)
