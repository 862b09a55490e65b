"""``python -m skmlp export``."""

import onnx
import pytest
from export.models import fitted

from skmlp import save
from skmlp.__main__ import main
from skmlp.export import to_c, to_onnx


@pytest.fixture
def saved(tmp_path):
    model, _ = fitted("table multiclass")
    save(model, tmp_path / "model.safetensors")
    return model, tmp_path / "model.safetensors"


def test_onnx(saved, tmp_path):
    model, path = saved
    out = tmp_path / "out.onnx"
    assert main(["export", str(path), "--to", "onnx", "-o", str(out)]) == 0
    assert onnx.load(out) == to_onnx(model)


@pytest.mark.parametrize(
    ("file", "options", "name"),
    [
        ("my-model.h", [], "my_model"),
        ("1.h", [], "_1"),
        ("net.h", ["--name", "mine"], "mine"),
    ],
)
def test_c(saved, tmp_path, file, options, name):
    model, path = saved
    out = tmp_path / file
    assert main(["export", str(path), "--to", "c", "-o", str(out), *options]) == 0
    assert out.read_text() == to_c(model, name)


def test_errors(saved, tmp_path, capsys):
    _, path = saved
    out = tmp_path / "out"
    for arguments, message in (
        ([str(tmp_path / "none"), "--to", "c"], "No such file"),
        ([str(path), "--to", "c", "--name", "a b"], "identifier of C"),
    ):
        assert main(["export", *arguments, "-o", str(out)]) == 1
        assert message in capsys.readouterr().err
    assert not out.exists()
    path.write_bytes(path.read_bytes()[:-1])
    assert main(["export", str(path), "--to", "c", "-o", str(out)]) == 1
    assert "no valid model" in capsys.readouterr().err
    assert not out.exists()
