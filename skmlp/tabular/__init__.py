"""Multi-layer perceptrons for raw tables of numbers and categories."""
