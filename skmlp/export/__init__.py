"""Ways out of the process: model files, and other forms of fitted estimators."""

from skmlp.export.c_header import to_c
from skmlp.export.converters import register_with_skl2onnx
from skmlp.export.onnx_model import to_onnx
from skmlp.export.sklearn_model import to_sklearn

__all__ = ["register_with_skl2onnx", "to_c", "to_onnx", "to_sklearn"]
