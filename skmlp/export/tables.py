"""What a model file holds of an estimator for tables."""

import numpy as np

from skmlp.core.losses import LINKS
from skmlp.estimators.targets import ClassTargets, RealTargets
from skmlp.export.kinds import (
    Array,
    Count,
    Flag,
    Number,
    OneOf,
    Optional,
    Record,
    Sequence,
    expect,
    one_of,
)
from skmlp.export.networks import (
    ARCHITECTURE,
    BINARIZER,
    check_length,
    check_outputs,
)
from skmlp.export.values import Free, Values
from skmlp.preprocessing import TabularEncoder
from skmlp.preprocessing.categories import Categories
from skmlp.preprocessing.scaling import SmoothClip
from skmlp.tabular.base import Fitted
from skmlp.tabular.classifier import Calibration
from skmlp.tabular.ensemble import Ensemble
from skmlp.tabular.regressor import Conformal
from skmlp.tabular.scales import TargetScale
from skmlp.tabular.tables import DenseTable, SparseTable

_POSITIVE = Number(0)


def _bare(cls, **attributes):
    """An object without its constructor, which would learn from data."""
    value = object.__new__(cls)
    vars(value).update(attributes)
    return value


def _make_categories(**state):
    categories = object.__new__(Categories)
    categories.__setstate__(state)
    return categories


def _check_categories(categories, at):
    fits = len(categories._code_of) == len(categories)
    expect(fits, f"{at}.values", "a category occurs twice")


_CATEGORIES = Record(
    Categories,
    {"values": Values(), "has_rest": Flag()},
    make=_make_categories,
    check=_check_categories,
)


def _make_smooth_clip(**attributes):
    return _bare(SmoothClip, **attributes)


def _make_encoder(_scaled, _indicated, _categories, categorical_features, **others):
    encoder = TabularEncoder(
        categorical_features=categorical_features, categories="codes"
    )
    vars(encoder).update(
        **others,
        _dtype=np.dtype(np.float32),
        _scaled=_scaled,
        _indicated=_indicated,
        n_numbers_=len(_scaled),
        n_indicators_=len(_indicated),
    )
    encoder._arrange_categories(_categories)
    return encoder


def _check_encoder(encoder, at):
    is_categorical = encoder.is_categorical_
    fits = is_categorical.size == encoder.n_features_in_
    expect(fits, f"{at}.is_categorical", "not as many as there are columns")
    n_categorical = np.count_nonzero(is_categorical)
    fits = len(encoder._categories) == n_categorical
    expect(fits, f"{at}.categories", f"{n_categorical} columns have categories")
    n_numbers = is_categorical.size - n_categorical
    for name in "scaled", "indicated":
        chosen = getattr(encoder, f"_{name}")
        fits = (np.diff(chosen, prepend=-1) > 0).all() and (chosen < n_numbers).all()
        expect(fits, f"{at}.{name}", "not in rising order, or of other columns")
    clip = encoder._smooth_clip
    fits = clip.center.size == clip.gain.size == encoder.n_numbers_
    expect(fits, f"{at}.smooth_clip", "not as many as there are numbers")


_ENCODER = Record(
    TabularEncoder,
    {
        "categorical_features": Free(),
        "n_features_in_": Count(1),
        "feature_names_in_": Values(),
        "is_categorical_": Array("?"),
        "_scaled": Array("q"),
        "_indicated": Array("q"),
        "_smooth_clip": Record(
            SmoothClip,
            {"center": Array("d"), "gain": Array("d"), "limit": _POSITIVE},
            make=_make_smooth_clip,
        ),
        "_categories": Sequence(_CATEGORIES, list),
    },
    make=_make_encoder,
    check=_check_encoder,
    optional=frozenset({"feature_names_in_"}),
)


class _Table:
    """A dense table or a sparse one."""

    kinds = {
        "dense": Record(
            DenseTable,
            {"_encoder": _ENCODER},
            make=lambda _encoder: _bare(DenseTable, _encoder=_encoder),
        ),
        "sparse": Record(
            SparseTable,
            {"_scale": Array("d")},
            make=lambda _scale: _bare(SparseTable, _scale=_scale),
        ),
    }

    def dump(self, value, at, tensors):
        name = "sparse" if value.is_sparse else "dense"
        return {name: self.kinds[name].dump(value, f"{at}.{name}", tensors)}

    def load(self, item, at, tensors):
        fits = (
            isinstance(item, dict) and len(item) == 1 and item.keys() <= {*self.kinds}
        )
        expect(fits, at, "neither a dense nor a sparse table")
        ((name, inner),) = item.items()
        return self.kinds[name].load(inner, f"{at}.{name}", tensors)


def _check_ensemble(ensemble, at):
    vectors, shares = ensemble.vectors, ensemble.shares
    check_length(ensemble.architecture, vectors.shape[1], f"{at}.vectors")
    fits = len(shares) == len(vectors) > 0 and abs(shares.sum() - 1) < 1e-6
    expect(fits, f"{at}.shares", "not the shares of these networks")


_ENSEMBLE = Record(
    Ensemble,
    {
        "architecture": ARCHITECTURE,
        "link": OneOf(frozenset(LINKS)),
        "vectors": Array("f", 2),
        "shares": Array("d"),
    },
    check=_check_ensemble,
)
_CALIBRATION = Record(
    Calibration, {"factor": _POSITIVE, "n_rows": Count(), "exclusive": Flag()}
)
_CONFORMAL = Record(
    Conformal,
    {
        "scale": Record(TargetScale, dict.fromkeys(TargetScale._fields, Array("d"))),
        "link": OneOf(frozenset(LINKS)),
        "several": Flag(),
        "scores": Array("fd", 2, missing="inf"),
        "weight": Optional(Array("fd")),
    },
)
_CLASS_TARGETS = Record(
    ClassTargets,
    {
        "binarizer": BINARIZER,
        "loss": one_of("log_loss"),
        "focal_gamma": _POSITIVE,
        "label_smoothing": _POSITIVE,
        "class_weight": Free(),
    },
)
_REAL_TARGETS = Record(
    RealTargets,
    {
        "loss": one_of("squared_error", "quantile", "gaussian_nll"),
        "huber_delta": _POSITIVE,
        "quantile": Free(),
        "tweedie_power": _POSITIVE,
        "nll_beta": _POSITIVE,
    },
)


def _check_fitted(fitted, at):
    table, architecture = fitted.table, fitted.ensemble.architecture
    columns, link = architecture.columns, fitted.ensemble.link
    n_outputs = architecture.sizes[-1]
    if table.is_sparse:
        fits = not columns and table._scale.size == architecture.sizes[0]
    else:
        fits = _columns_fit(columns, table._encoder)
    expect(fits, f"{at}.ensemble", "its columns are not those of the table")
    expect(
        link == fitted.targets.link, f"{at}.ensemble.link", "not that of the targets"
    )
    if isinstance(fitted.targets, ClassTargets):
        targets = fitted.targets
        check_outputs(n_outputs, targets.classes, targets.y_type, f"{at}.targets")
        return
    finish = fitted.finish
    n_means = n_outputs // 2 if link == "gaussian" else n_outputs
    n_scores = 1 if finish.several else n_means
    sizes = {own.size for own in finish.scale}
    fits = sizes <= {n_means} and finish.scores.shape[1] == n_scores
    fits = fits and (finish.weight is None or len(finish.weight) == len(finish.scores))
    expect(fits, f"{at}.finish", "not as many as there are outputs")


def _columns_fit(columns, encoder):
    """Whether these are what the encoder's columns become."""
    n_numbers, n_indicators = encoder.n_numbers_, encoder.n_indicators_
    sizes = encoder.cardinalities_
    if not n_numbers + n_indicators + len(sizes):
        return len(columns) == 1
    of_categories = columns[n_numbers + n_indicators :]
    return (
        len(columns) == n_numbers + n_indicators + len(sizes)
        and all(column.kind == "number" for column in columns[:n_numbers])
        and all(
            column.kind in ("one_hot", "table") and column.size == max(size, 1)
            for column, size in zip(of_categories, sizes)
        )
    )


def fitted_of(targets, finish):
    """The kind of what prediction needs."""
    return Record(
        Fitted,
        {
            "table": _Table(),
            "ensemble": _ENSEMBLE,
            "targets": targets,
            "finish": finish,
        },
        check=_check_fitted,
    )


OF_CLASSIFIER = fitted_of(_CLASS_TARGETS, _CALIBRATION)
OF_REGRESSOR = fitted_of(_REAL_TARGETS, _CONFORMAL)
