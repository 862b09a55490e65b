"""Kernels: forward, backward, loss and optimizer steps over flat vectors."""
