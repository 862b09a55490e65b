"""Tables of the documentation that are made from the package."""

import inspect
import re
from pathlib import Path

from skmlp import MLPClassifier, MLPRegressor
from skmlp.estimators.parameters import GROUPS, OF_CLASSIFIER, OF_REGRESSOR

_ENTRY = re.compile(r"^(\w[\w, ]*) : (.*?)(?=^\w[\w, ]* : |\Z)", re.M | re.S)
_SENTENCE = re.compile(r".*?\n(.*?[.:;])(?:\s|$)", re.S)  # behind the type
_CODE = re.compile(r"(\w+='\w+'(?: or '\w+')*|\w+=\w+|\w+ > \d)")
_SOURCE = re.compile(r" \[\d+\]_")
_TABLES = {MLPRegressor: OF_REGRESSOR, MLPClassifier: OF_CLASSIFIER}


def entries(estimator):
    """What the class docstring says of each parameter, without numbers of sources."""
    text = inspect.getdoc(estimator).split("Parameters\n----------\n")[1]
    text = _SOURCE.sub("", text.split("\n\nAttributes\n")[0])
    text = re.sub(r"\\\n\s+", "", text)  # lists of values that take several lines
    return {
        name: entry.strip()
        for names, entry in _ENTRY.findall(text)
        for name in names.split(", ")
    }


def _first_sentence(entry):
    return " ".join(_SENTENCE.match(entry)[1].split()).rstrip(":;.")


def _conditions(row):
    """With what a parameter has an effect, and with what it makes no sense."""
    texts = []
    for need in row.needs:
        values = f" ({need.values})" if need.values else ""
        texts.append(f"Only with {need.where}{values}.")
    places = dict.fromkeys(clash.where for clash in row.clashes)
    if places:
        texts.append(f"Not with {', '.join(places)}.")
    return _CODE.sub(r"`\1`", " ".join(texts))


def _of_group(group):
    """Rows of a table: parameter, default, what it does."""
    defaults, sentences, rows = {}, {}, {}
    for estimator, table in _TABLES.items():
        entries_of = entries(estimator)
        for name, parameter in inspect.signature(estimator).parameters.items():
            if table[name].group == group:
                defaults.setdefault(name, {})[repr(parameter.default)] = None
                rows.setdefault(name, table[name])
                sentences[name] = _first_sentence(entries_of[name])
    for name, row in rows.items():
        values = " or ".join(f"`{value}`" for value in defaults[name])
        sentence = sentences[name].replace("|", "\\|")
        yield f"`{name}`", values, f"{sentence}. {_conditions(row)}".strip()


def parameter_tables():
    """A table for each group, in Markdown."""
    page = []
    for group in GROUPS:
        page.append(f"## {group}\n\n| Parameter | Default | |\n|---|---|---|\n")
        page += [f"| {' | '.join(cells)} |\n" for cells in _of_group(group)]
        page.append("\n")
    return "".join(page)


def write(app):
    """Called by Sphinx before it looks for pages."""
    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    (folder / "parameter_tables.md").write_text(parameter_tables(), "utf-8")
