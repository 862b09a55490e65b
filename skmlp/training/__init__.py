"""Training loops: plain Python and NumPy between calls of kernels."""
