"""Code blocks run, and what is included from the source exists."""

import ast
import re
import warnings
from pathlib import Path

import pytest
from sklearn.exceptions import ConvergenceWarning

ROOT = Path(__file__).resolve().parent.parent
GENERATED = {"_build", "gallery", "generated"}
PAGES = [
    ROOT / "README.md",
    *(
        page
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if not GENERATED & set(page.relative_to(ROOT).parts)
    ),
]
OTHER_BLOCKS = {
    "{include} ../README.md",
    "{include} generated/parameter_tables.md",
    "bash",
    "dockerfile",
    "mermaid",
    "{toctree}",
    "{eval-rst}",
}
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
INCLUDE = re.compile(r"^```\{literalinclude\} (\S+)\n(.*?)^```$", re.M | re.S)
OPTION = re.compile(r"^:(pyobject|start-at|end-at): (.*)$", re.M)
FENCE = re.compile(r"^[ \t>]*(?:`{3,}|~{3,})(.*)$", re.M)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


def blocks(page):
    return BLOCK.findall(page.read_text("utf-8"))


def includes(page):
    """Source, option and its text of each piece of included code."""
    return [
        (page.parent / source, option, text.strip("'"))
        for source, options in INCLUDE.findall(page.read_text("utf-8"))
        for option, text in OPTION.findall(options)
    ]


INCLUDES = [
    pytest.param(*piece, id=f"{page.stem}-{i}")
    for page in PAGES
    for i, piece in enumerate(includes(page))
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_block_escapes(page):
    """Every fence opens Python that is tested here, or what is known not to be."""
    text = page.read_text("utf-8")
    languages = FENCE.findall(text)[::2]
    included = [name for name in languages if name.startswith("{literalinclude}")]
    assert set(languages) - set(included) <= {"python"} | OTHER_BLOCKS
    assert languages.count("python") == len(blocks(page))
    pieces = [option for _, option, _ in includes(page) if option != "end-at"]
    assert len(included) == len(pieces)


@pytest.mark.parametrize(("source", "option", "text"), INCLUDES)
def test_included_code_exists(source, option, text):
    """Once, so that there is no doubt about what is meant."""
    code = source.read_text("utf-8")
    if option == "pyobject":
        found = [getattr(node, "name", None) for node in ast.parse(code).body]
        assert found.count(text) == 1
    else:
        assert sum(text in line for line in code.splitlines()) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_runs(page):
    namespace = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for code in blocks(page):
            exec(compile(code, page.name, "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
