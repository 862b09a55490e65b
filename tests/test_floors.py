"""The shape of the package, read from its source."""

import ast
import sys
from pathlib import Path

import pytest

import skmlp

ROOT = Path(skmlp.__file__).resolve().parent
FILES = sorted(ROOT.rglob("*.py"))
FLOORS = {
    floor: number
    for number, floor in enumerate(
        (
            "machine",
            "preprocessing",
            "core",
            "training",
            "estimators",
            "tabular",
            "export",
            "",
            "__main__",
        )
    )
}
LIBRARIES = {
    "machine": {"numpy", "numba", "llvmlite"},
    "preprocessing": {"numpy", "scipy", "sklearn"},
    "core": {"numpy"},
    "training": {"numpy", "scipy"},
    "estimators": {"numpy", "scipy", "sklearn"},
    "tabular": {"numpy", "scipy", "sklearn"},
    "export": {"numpy", "scipy", "sklearn"},
    "": set(),
    "__main__": {"numpy"},
}
EXCEPTIONS = {
    "machine/blas.py": {"threadpoolctl"},
    "machine/threads.py": {"joblib"},
}


def parametrize_files(test):
    names = [path.relative_to(ROOT).as_posix() for path in FILES]
    return pytest.mark.parametrize("path", FILES, ids=names)(test)


def floor_of(path):
    if path.name == "__main__.py":
        return "__main__"
    folder = path.relative_to(ROOT).parent.as_posix()
    return "" if folder == "." else folder


def imported(tree):
    """Dotted names of all modules that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            if node.module == "skmlp":
                yield from (f"skmlp.{alias.name}" for alias in node.names)
            else:
                yield node.module


@parametrize_files
def test_libraries(path):
    allowed = LIBRARIES[floor_of(path)] | EXCEPTIONS.get(
        path.relative_to(ROOT).as_posix(), set()
    )
    tops = {name.split(".")[0] for name in imported(ast.parse(path.read_text()))}
    assert tops - sys.stdlib_module_names - {"skmlp"} <= allowed


@parametrize_files
def test_only_lower_floors(path):
    own = FLOORS[floor_of(path)]
    for name in imported(ast.parse(path.read_text())):
        if name.split(".")[0] == "skmlp":
            parts = name.split(".")
            floor = FLOORS[parts[1] if len(parts) > 1 else ""]
            assert floor < own or (floor == own and floor_of(path)), name


ESTIMATORS = {"classifier", "regressor"}


def docstring_lines(node):
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return first.end_lineno - first.lineno + 1
    return 0


def first_line(function, path):
    """Where counting starts; the parameters of an estimator are scikit-learn's."""
    is_constructor = function.name == "__init__" and path.stem in ESTIMATORS
    return function.body[0].lineno if is_constructor else function.lineno


@parametrize_files
def test_lengths(path):
    source = path.read_text()
    functions = ast.FunctionDef, ast.AsyncFunctionDef
    documented = *functions, ast.ClassDef, ast.Module
    nodes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, documented)]
    for node in nodes:
        if isinstance(node, functions):
            length = (
                node.end_lineno - first_line(node, path) + 1 - docstring_lines(node)
            )
            assert length <= 50, node.name
    assert len(source.splitlines()) - sum(map(docstring_lines, nodes)) <= 400
