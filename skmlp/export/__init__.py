"""Ways out of the process: model files, and other forms of fitted estimators."""

from skmlp.export.onnx_model import to_onnx

__all__ = ["to_onnx"]
