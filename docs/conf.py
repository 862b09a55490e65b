"""Configuration of Sphinx: ``python -m sphinx -W --keep-going docs docs/_build``."""

import sys
import warnings
from pathlib import Path

import scipy.linalg  # noqa: F401 - its BLAS must be loaded to be limited
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import skmlp

sys.path.insert(0, str(Path(__file__).parent))
import diagrams
import tables

# The examples stop early on purpose.
warnings.simplefilter("ignore", ConvergenceWarning)
# They are small: two threads on a busy machine take three times as long as one.
threadpool_limits(1, user_api="blas")

project = "skmlp"
author = "skmlp developers"
copyright = f"the {author}"
version = release = skmlp.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "templates", "generated/parameter_tables.md"]
templates_path = ["templates"]
default_role = "literal"
suppress_warnings = [
    "ref.ref",  # docstrings of scikit-learn refer to its own pages
]
extlinks = {"arxiv": ("https://arxiv.org/abs/%s", "arXiv:%s")}

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

numpydoc_show_class_members = False
autodoc_typehints = "none"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"[\\/]plot_",
    "ignore_pattern": r"quickstart|serving",
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("skmlp",),
    "backreferences_dir": "generated/backreferences",
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "abort_on_example_error": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "skmlp"
html_theme_options = {
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
    "footer_start": [],
    "footer_end": [],
}
html_show_sourcelink = False
_SINGLE_PAGES = "parameters", "differences", "trust", "performance", "architecture"
html_sidebars = {name: [] for name in _SINGLE_PAGES}


def setup(app):
    """Pages that are made from the package, and pictures."""
    app.connect("builder-inited", tables.write)
    app.connect("source-read", diagrams.show)
