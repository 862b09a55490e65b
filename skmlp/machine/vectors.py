"""Vector registers of the processor at hand, in the language of LLVM."""

import numba
from llvmlite import binding, ir
from numba.core import cgutils


def _features():
    """Features of the processor that Numba may use."""
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


VECTOR_BYTES, TILE_VECTORS = _vectors(_features())
INT32, INT64 = ir.IntType(32), ir.IntType(64)
_LINE_BYTES = 64  # a cache line


class Vectors:
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
        lanes = ir.Constant(ir.VectorType(INT32, self.lanes), list(range(self.lanes)))
        n = self.broadcast(self.builder.trunc(n, INT32))
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
        arguments = place, INT32(self.align), mask, zero
        return self._masked("load", self.type, *arguments)

    def store_part(self, value, start, offset, mask):
        arguments = value, self._at(start, offset), INT32(self.align), mask
        self._masked("store", ir.VoidType(), *arguments)

    def broadcast(self, number):
        undefined = ir.Constant(ir.VectorType(number.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, number, INT32(0))
        return self._shuffle(first, undefined, [0] * self.lanes)

    def _shuffle(self, a, b, places):
        mask = ir.Constant(ir.VectorType(INT32, self.lanes), places)
        return self.builder.shuffle_vector(a, b, mask)

    def exchange(self, a, b, distance):
        """Swap the off-diagonal parts of a pair of rows: a step of a transposition."""
        n = self.lanes
        low = [i if not i & distance else n + i - distance for i in range(n)]
        high = [i + distance if not i & distance else n + i for i in range(n)]
        return self._shuffle(a, b, low), self._shuffle(a, b, high)

    def fetch(self, start, offset, *, level=1, writes=0):
        """Prefetch a line of memory into this level of the cache."""
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, INT32, INT32, INT32])
        function = cgutils.get_or_insert_function(
            self.builder.module, kind, "llvm.prefetch.p0"
        )
        place = self.builder.bitcast(self.builder.gep(start, [offset]), pointer)
        arguments = place, INT32(writes), INT32(4 - level), INT32(1)
        self.builder.call(function, arguments)

    def fetch_row(self, n_vectors, start, offset, *, writes=0):
        """Prefetch all lines of a row of vectors."""
        for at in range(0, n_vectors * self.lanes, _LINE_BYTES // self.align):
            self.fetch(start, INT64(offset + at), writes=writes)

    def multiply_add(self):
        """The function a b + c, fused where the processor can."""
        name = f"llvm.fmuladd.v{self.lanes}f{8 * self.align}"
        kind = ir.FunctionType(self.type, [self.type] * 3)
        return cgutils.get_or_insert_function(self.builder.module, kind, name)
