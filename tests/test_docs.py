"""Quoted code is the source's own, and the other code blocks run."""

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
OTHER_BLOCKS = {"bash", "dockerfile", "{toctree}", "{eval-rst}"}
BLOCK = re.compile(
    r"^(?:<!-- quote: (?P<source>\S+) -->\n)?```python\n(?P<code>.*?)^```$", re.M | re.S
)
FENCE = re.compile(r"^[ \t>]*(?:`{3,}|~{3,})(.*)$", re.M)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


def blocks(page):
    return [(m["source"], m["code"]) for m in BLOCK.finditer(page.read_text("utf-8"))]


QUOTES = [
    pytest.param(source, code, id=f"{page.stem}-{i}")
    for page in PAGES
    for i, (source, code) in enumerate(blocks(page))
    if source
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_block_escapes(page):
    """Every fence opens Python that is tested here, or what is known not to be."""
    languages = FENCE.findall(page.read_text("utf-8"))[::2]
    assert set(languages) <= {"python"} | OTHER_BLOCKS
    assert languages.count("python") == len(blocks(page))


@pytest.mark.parametrize(("source", "code"), QUOTES)
def test_quotes_are_verbatim(source, code):
    assert code in (ROOT / source).read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_runs(page):
    namespace = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for source, code in blocks(page):
            if not source:
                exec(compile(code, page.name, "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
