"""Write model files of this version into tests/data: once for each format.

``PYTHONPATH=tests python tests/export/write_data.py``
"""

import json
from pathlib import Path

import pandas as pd
from export.models import fitted

from skmlp import save
from skmlp.export.container import FORMAT

DATA = Path(__file__).parents[1] / "data"


def main():
    names = "normalized", "gaussian", "table multiclass", "table regression"
    for name in names:
        model, X = fitted(name)
        X = X[:5]
        predicted = getattr(model, "predict_proba", model.predict)(X)
        table = pd.DataFrame(X).astype(object)
        path = DATA / f"format{FORMAT}_{name.replace(' ', '_')}.safetensors"
        save(model, path)
        expected = {
            "class": type(model).__name__,
            "dtype": model.predict(X).dtype.str,
            "names": table.columns.tolist(),
            "X": table.where(table.notna(), None).values.tolist(),
            "predicted": predicted.tolist(),
        }
        path.with_suffix(".json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
