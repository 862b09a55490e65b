"""Ways out of the process: model files, and other forms of fitted estimators."""
