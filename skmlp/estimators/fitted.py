"""What prediction needs, in one object that never changes as a whole."""

from typing import Any, NamedTuple

import numpy as np

from skmlp.core.architecture import Architecture
from skmlp.core.losses import LINKS
from skmlp.training.inference import predict

_OF_HIDDEN_LAYERS = {"relu": lambda raw: np.maximum(raw, 0), "tanh": np.tanh}
KNOWN_LINKS = frozenset((*LINKS, *_OF_HIDDEN_LAYERS))


class FittedNetwork(NamedTuple):
    """A trained network. Another fit makes another one.

    Attributes
    ----------
    architecture : Architecture
    params : ndarray of shape (n_total,)
        Users may write into views of it, which changes values only.
    link : str
        From the raw prediction to what is predicted.
    classes : ndarray of shape (n_classes,) or None
    y_type : str or None
        Kind of the targets of a classifier, as scikit-learn names it.
    """

    architecture: Architecture
    params: np.ndarray
    link: str = "identity"
    classes: Any = None
    y_type: str | None = None

    @property
    def n_features(self):
        return self.architecture.sizes[0]

    @property
    def n_outputs(self):
        return self.architecture.sizes[-1]

    @property
    def shown_link(self):
        """The link, with what else there is beyond ``coefs_`` and ``intercepts_``:
        other tools, which read these and find no such link, must not go on."""
        architecture = self.architecture
        others = {
            "normalization": any(architecture.normalizations),
            "parametric_activation": architecture.parametric,
            "scale_input": architecture.scaled_input,
        }
        used = [name for name, is_used in others.items() if is_used]
        return f"{self.link}, with {' and '.join(used)}" if used else self.link

    @property
    def multilabel(self):
        return self.y_type.startswith("multilabel")

    def predict(self, data, link=None):
        """link(raw prediction) of rows that have its number of features."""
        link = self.link if link is None else link
        if link in _OF_HIDDEN_LAYERS:  # an encoder cut out of another network
            return _OF_HIDDEN_LAYERS[link](self.predict(data, "identity"))
        return predict(self.architecture, self.params, data, link=link)

    def hidden_units(self, data, layer):
        """Units of a layer, counted from the input."""
        return predict(self.architecture, self.params, data, layer=layer)
