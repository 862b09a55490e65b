"""Blocks of numbers that stay in vector registers: the innermost step of a product.

``tile((C, c_at, c_row), (A, a_at, a_row, a_step, a_next), (B, b_at, b_row, b_next,
b_pace), n_steps, m, n, add)``
    C <- A B, or C + A B, for at most `TILE_ROWS` x `TILE_VECTORS` vectors of C. It
    begins at ``c_at`` of the array and has m rows, ``c_row`` apart, and n columns.
    Element (i, k) of A lies at ``a_at + i a_row + k a_step``. B, at ``b_at``, has
    ``n_steps`` rows, ``b_row`` apart, of n numbers, unless `READS_IN_PLACE` rounded up
    to whole vectors. Meanwhile the processor may fetch the next tile of A, ``a_next``
    further on, and ``b_pace`` numbers per step of what lies ``b_next`` behind the
    beginning of B.
``copy(P, p_at, p_row, B, b_at, b_row, n_rows, n, ahead)``
    Rows of n numbers, rounded up to ``p_row`` by zeros if that is less than a vector.
    Meanwhile the processor fetches what lies ``ahead`` of each.
``copy_columns(P, p_at, B, b_at, b_row, n_rows, n)``
    Tiles of `TILE_ROWS` of n columns, one behind the other, each row by row.
``transpose(P, p_at, p_row, B, b_at, b_row, n_rows, n)``
    One square block, as wide as a vector, or as much of it as B has rows and columns:
    columns are stored as whole vectors, in which the last row is repeated.

Each element of C is the sum over k in this order, wherever in a tile it lies: a
product has the same bits however it is cut into tiles and given to threads.
With the JIT off (``NUMBA_DISABLE_JIT=1``) each has a plain NumPy form.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.lib.stride_tricks import as_strided

from skmlp.machine.jit import DISABLED, jit
from skmlp.machine.vectors import INT64, TILE_VECTORS, VECTOR_BYTES, Vectors

TILE_ROWS = 6
_FEW_ROWS = 2  # up to which there are special tiles
_ROWS_TOGETHER = 16
READS_IN_PLACE = VECTOR_BYTES > 16  # shorter ones have no masked loads
_FETCHES = VECTOR_BYTES == 64  # 24 products per step hide a prefetch, 12 do not
_ROWS_AHEAD = 8  # of B, prefetched


def _begin(context, builder, kind, array, offset):
    """Address of an array's element."""
    from numba.np.arrayobj import make_array  # imported late, since it takes long

    return builder.gep(make_array(kind)(context, builder, array).data, [offset])


def _tile(n_vectors, n_rows=TILE_ROWS, *, narrow=False):
    """An intrinsic for tiles of ``n_vectors`` vectors per row, or up to so many."""

    @intrinsic
    def tile(context, c, a, b, n_steps, m, n, add):
        def generate(context, builder, signature, args):
            kinds = [place.types[0] for place in signature.args[:3]]
            vectors = Vectors(builder, context.get_value_type(kinds[0].dtype))
            c, a, b = (cgutils.unpack_tuple(builder, place) for place in args[:3])
            n_steps, m, n, add = args[3:]
            c_row, (a_row, a_step, a_next), (b_row, b_next, b_pace) = c[2], a[2:], b[2:]
            c, a, b = (
                _begin(context, builder, kind, array, at)
                for kind, (array, at, *_) in zip(kinds, (c, a, b))
            )
            factors = (a, a_row, a_step), (b, b_row)
            following = builder.gep(a, [a_next]), builder.gep(b, [b_next]), b_pace
            for i in range(n_rows):
                row = builder.mul(c_row, INT64(i))
                vectors.fetch_row(n_vectors, builder.gep(c, [row]), 0, writes=1)
            form = n_rows, n_vectors, 0 if narrow else n_vectors - 1
            sums = _sums(builder, vectors, form, *factors, following, n_steps, m, n)
            adds = builder.icmp_signed("!=", add, INT64(0))
            if narrow:
                _store_part(builder, vectors, sums, c, c_row, m, n, adds)
                return context.get_dummy_value()
            whole = builder.and_(
                builder.icmp_signed("==", m, INT64(n_rows)),
                builder.icmp_signed("==", n, INT64(n_vectors * vectors.lanes)),
            )
            with builder.if_else(whole) as (all_of_it, part_of_it):
                with all_of_it:
                    _store_whole(builder, vectors, sums, c, c_row, adds)
                with part_of_it:
                    _store_part(builder, vectors, sums, c, c_row, m, n, adds)
            return context.get_dummy_value()

        return types.none(c, a, b, *(types.intp,) * 4), generate

    return tile


def _sums(builder, vectors, form, a, b, following, n_steps, m, n):
    """Rows of vectors: the sums over k of a[i, k] times row k of B."""
    n_rows, n_vectors, _ = form
    (a, a_row, a_step), (b, b_row), (a_next, b_next, b_pace) = a, b, following
    multiply_add = vectors.multiply_add()
    offsets = _row_offsets(builder, n_rows, a_row, m)
    load_row = _row_loader(builder, vectors, form, n)
    before = builder.block
    body = builder.append_basic_block("sums")
    after = builder.append_basic_block("summed")
    builder.branch(body)
    builder.position_at_end(body)
    starts = INT64(0), a, b, a_next, b_next
    k, a_k, b_k, a_later, b_later = (builder.phi(start.type) for start in starts)
    sums = [
        [builder.phi(vectors.type) for _ in range(n_vectors)] for _ in range(n_rows)
    ]
    row = load_row(b_k)
    a_here = _opaque(builder, a_k)
    if _FETCHES:
        ahead = builder.gep(b_k, [builder.mul(b_row, INT64(_ROWS_AHEAD))])
        vectors.fetch_row(n_vectors, ahead, 0)
        vectors.fetch(a_later, INT64(0))
        vectors.fetch(b_later, INT64(0), level=2)
    added = []
    for offset, parts in zip(offsets, sums):
        factor = vectors.broadcast(builder.load(builder.gep(a_here, [offset])))
        added.append(
            [builder.call(multiply_add, [factor, x, s]) for x, s in zip(row, parts)]
        )
    steps = (
        (k, INT64(0), builder.add(k, INT64(1))),
        (a_k, a, builder.gep(a_here, [a_step])),
        (b_k, b, builder.gep(b_k, [b_row])),
        (a_later, a_next, builder.gep(a_later, [INT64(TILE_ROWS)])),
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


def _row_loader(builder, vectors, form, n):
    """A function that loads a row of B from where it begins.

    Vectors behind those that are whole for certain are read as far as they go.
    """
    _, n_vectors, n_whole = form
    places = [INT64(v * vectors.lanes) for v in range(n_vectors)]
    masks = [vectors.mask(builder.sub(n, place)) for place in places[n_whole:]]

    def load_row(start):
        if not READS_IN_PLACE:
            return [vectors.load(start, place) for place in places]
        whole = [vectors.load(start, place) for place in places[:n_whole]]
        parts = zip(places[n_whole:], masks)
        return whole + [vectors.load_part(start, *part) for part in parts]

    return load_row


def _row_offsets(builder, count, distance, n_rows):
    """Where rows begin; those beyond n_rows repeat the last one, which is there."""
    last, rows = builder.sub(n_rows, INT64(1)), []
    for i in range(count):
        is_there = builder.icmp_signed("<", INT64(i), n_rows)
        rows.append(builder.select(is_there, INT64(i), last))
    return [builder.mul(distance, row) for row in rows]


def _opaque(builder, pointer):
    """The pointer itself, hidden from LLVM's optimizer.

    It would keep one for each row otherwise, and spend as many steps on moving them.
    """
    kind = ir.FunctionType(pointer.type, [pointer.type])
    return builder.call(ir.InlineAsm(kind, "", "=r,0"), [pointer])


def _store_whole(builder, vectors, sums, c, c_row, adds):
    places = [
        (value, builder.mul(c_row, INT64(i)), INT64(v * vectors.lanes))
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
        vectors.mask(builder.sub(n, INT64(v * vectors.lanes)))
        for v in range(len(sums[0]))
    ]
    for i, parts in enumerate(sums):
        with builder.if_then(builder.icmp_signed("<", INT64(i), m)):
            start = builder.gep(c, [builder.mul(c_row, INT64(i))])
            for v, (value, mask) in enumerate(zip(parts, masks)):
                place = INT64(v * vectors.lanes)
                before = vectors.load_part(start, place, mask)
                before = builder.select(adds, before, ir.Constant(vectors.type, None))
                vectors.store_part(builder.fadd(value, before), start, place, mask)


@intrinsic
def _copy(context, P, p_at, p_row, B, b_at, b_row, n_rows, n, ahead):
    """Copy rows, and fill the last vector of each with zeros."""

    def generate(context, builder, signature, args):
        kinds = signature.args
        vectors = Vectors(builder, context.get_value_type(kinds[0].dtype))
        p = _begin(context, builder, kinds[0], args[0], args[1])
        b = _begin(context, builder, kinds[3], args[3], args[4])
        p_row, b_row, n_rows, n, ahead = args[2], *args[5:]
        lanes = INT64(vectors.lanes)
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
            with builder.if_then(builder.icmp_signed(">", rest, INT64(0))):
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
        step, group = INT64(TILE_ROWS), INT64(_ROWS_TOGETHER)
        count = cgutils.for_range
        n_whole, rest = builder.sdiv(n, step), builder.srem(n, step)

        def copy_part(row, tile, numbers, offset):
            here = builder.add(builder.mul(row, b_row), builder.mul(tile, step))
            there = builder.mul(builder.add(builder.mul(tile, n_rows), row), step)
            part = numbers.load(b, builder.add(here, offset))
            numbers.store(part, p, builder.add(there, offset))

        whole, single = Vectors(builder, real, TILE_ROWS), Vectors(builder, real, 1)
        slices = cgutils.for_range_slice(builder, INT64(0), n_rows, group)
        with slices as (first, _):
            left = builder.sub(n_rows, first)
            size = builder.select(builder.icmp_signed("<", left, group), left, group)
            with count(builder, n_whole) as tiles, count(builder, size) as rows:
                row = builder.add(first, rows.index)
                copy_part(row, tiles.index, whole, INT64(0))
        with count(builder, n_rows) as rows, count(builder, rest) as columns:
            copy_part(rows.index, n_whole, single, columns.index)
        return context.get_dummy_value()

    index = types.intp
    return types.none(P, index, B, index, index, index, index), generate


@intrinsic
def _transpose(context, P, p_at, p_row, B, b_at, b_row, n_rows, n):
    """Transpose a block in registers."""

    def generate(context, builder, signature, args):
        kinds = signature.args
        vectors = Vectors(builder, context.get_value_type(kinds[0].dtype))
        p = _begin(context, builder, kinds[0], args[0], args[1])
        b = _begin(context, builder, kinds[3], args[3], args[4])
        p_row, b_row, n_rows, n = args[2], *args[5:]
        lanes, mask = vectors.lanes, vectors.mask(n)
        offsets = _row_offsets(builder, lanes, b_row, n_rows)
        rows = [vectors.load_part(b, offset, mask) for offset in offsets]
        distance = 1
        while distance < lanes:
            for i in range(lanes):
                if not i & distance:
                    pair = rows[i], rows[i + distance]
                    rows[i], rows[i + distance] = vectors.exchange(*pair, distance)
            distance *= 2
        for i, row in enumerate(rows):
            with builder.if_then(builder.icmp_signed("<", INT64(i), n)):
                vectors.store(row, p, builder.mul(p_row, INT64(i)))
        return context.get_dummy_value()

    index = types.intp
    return types.none(P, index, index, B, *(index,) * 4), generate


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

    def transpose(P, p_at, p_row, B, b_at, b_row, n_rows, n):
        lanes = VECTOR_BYTES // P.itemsize
        n_rows, n = min(n_rows, lanes), min(n, lanes)
        rows = np.minimum(np.arange(lanes), n_rows - 1)
        _rows(P, p_at, (n, lanes), p_row)[:] = _rows(B, b_at, (n_rows, n), b_row)[
            rows
        ].T

else:
    copy, copy_columns, transpose = _copy, _copy_columns, _transpose
    _tile_1, _tile_2, _tile_3, _tile_4 = (_tile(n) for n in (1, 2, 3, 4))
    _narrow_tile = _tile(TILE_VECTORS, _FEW_ROWS, narrow=True)

    @jit
    def tile(c, a, b, n_steps, m, n, add):
        lanes = VECTOR_BYTES // c[0].itemsize
        if READS_IN_PLACE and m <= _FEW_ROWS:
            _narrow_tile(c, a, b, n_steps, m, n, add)
        elif n <= lanes:
            _tile_1(c, a, b, n_steps, m, n, add)
        elif n <= 2 * lanes:
            _tile_2(c, a, b, n_steps, m, n, add)
        elif n <= 3 * lanes:
            _tile_3(c, a, b, n_steps, m, n, add)
        else:
            _tile_4(c, a, b, n_steps, m, n, add)
