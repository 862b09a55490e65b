"""Mermaid diagrams as pictures: a reader of the site needs no network and no script.

Each fence is replaced by the picture drawn from it, named by a hash of its text.
``npx @mermaid-js/mermaid-cli -i page.mmd -o docs/images/diagram_<hash>.svg`` draws one.
"""

import re
from hashlib import sha256
from pathlib import Path

from sphinx.util import logging

_FENCE = re.compile(r"^```mermaid\n(.*?)^```$", re.M | re.S)


def name_of(text):
    """Name of the picture of a diagram."""
    return f"diagram_{sha256(text.encode()).hexdigest()[:8]}.svg"


def show(app, docname, source):
    """Called by Sphinx with the text of each page."""

    def picture(fence):
        path = f"images/{name_of(fence[1])}"
        if not (Path(app.srcdir) / path).exists():
            message = "%s has a Mermaid diagram without a picture: draw %s"
            logging.getLogger(__name__).warning(message, docname, path)
        return f"![Diagram]({path})"

    source[0] = _FENCE.sub(picture, source[0])
