"""The public estimators: the only floor that knows scikit-learn."""
