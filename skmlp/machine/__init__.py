"""What Numba and the processor lack: compilation, products, memory, threads."""
