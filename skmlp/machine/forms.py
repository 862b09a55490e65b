"""Forms: what kernels that are called by address take and return.

A form is stated once, where such kernels are defined (``@jit(form=...)``). A kernel is
compiled for its form, and every ``call(form, address, arguments)`` is compared with it
when the caller is compiled: kernels check nothing, and an argument of another type
would be read as whatever its bits mean.
"""


class Form:
    """Kinds of arguments, and of the result.

    Parameters
    ----------
    *kinds : str or callable
        "matrix" and "vector" for writable arrays of the working type; "losses" for a
        writable matrix and "hyper" for a writable vector of float64; "table" for a
        writable matrix of int64; "values", "indices" and "places" for read-only vectors
        of the working type, of int32 and of int64; "scalar" for a float64, "index" for
        an integer. A callable takes the working type and returns what `reference_type`
        returns, for a reference to a named tuple.
    returns : "scalar" or None, default=None
    """

    def __init__(self, *kinds, returns=None):
        self.kinds, self.returns = kinds, returns
