import copy
import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from skmlp import MLPClassifier
from skmlp.augmentation import (
    Compose,
    CutMix,
    GaussianNoise,
    ImageFlip,
    ImageShift,
    Mixup,
    SwapNoise,
)

AUGMENTATIONS = [
    GaussianNoise(0.3),
    SwapNoise(0.2),
    Mixup(0.4),
    CutMix(1.0),
    ImageShift((3, 4), 1),
    ImageShift((2, 2, 3), 2),
    ImageFlip((3, 4)),
    ImageFlip((2, 2, 3)),
    Compose(SwapNoise(0.1), Mixup(0.2)),
]
each_augmentation = pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=str)


def draw(n_rows=400, dtype=np.float64):
    rng = np.random.default_rng(0)
    Y = np.eye(3)[rng.integers(3, size=n_rows)]
    return rng.standard_normal((n_rows, 12)).astype(dtype), Y.astype(dtype)


def apply(augmentation, X, Y, seed=0):
    return augmentation(X, Y, np.random.RandomState(seed))


@each_augmentation
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_new_arrays_of_the_same_kind(augmentation, dtype):
    X, Y = draw(dtype=dtype)
    before = X.copy(), Y.copy()
    X_new, Y_new = apply(augmentation, X, Y)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(Y, before[1])
    for new, old in (X_new, X), (Y_new, Y):
        assert (new.shape, new.dtype) == (old.shape, dtype)
    assert (X_new != X).any()
    np.testing.assert_allclose(Y_new.sum(axis=1), 1, rtol=1e-6)


@each_augmentation
def test_reproducible_and_a_value(augmentation):
    X, Y = draw()
    expected, _ = apply(augmentation, X, Y)
    for twin in copy.deepcopy(augmentation), pickle.loads(pickle.dumps(augmentation)):
        assert twin == augmentation
        np.testing.assert_array_equal(apply(twin, X, Y)[0], expected)
    assert (apply(augmentation, X, Y, 1)[0] != expected).any()
    assert clone(MLPClassifier(augmentation=augmentation)).augmentation == augmentation


@pytest.mark.parametrize(
    "none",
    [
        GaussianNoise(0),
        SwapNoise(0),
        Mixup(0),
        CutMix(0),
        ImageShift((3, 4), 0),
        Compose(),
    ],
    ids=str,
)
def test_nothing(none):
    X, Y = draw()
    for new, old in zip(apply(none, X, Y), (X, Y)):
        np.testing.assert_array_equal(new, old)


def test_noise_has_its_deviation():
    X, Y = draw()
    assert (apply(GaussianNoise(0.3), X, Y)[0] - X).std() == pytest.approx(
        0.3, rel=0.05
    )


def test_swapped_entries_come_from_their_column():
    X, Y = draw()
    X_new, _ = apply(SwapNoise(0.2), X, Y)
    assert np.mean(X_new != X) == pytest.approx(0.2, abs=0.02)
    for column, new in zip(X.T, X_new.T):
        assert np.isin(new, column).all()


def test_mixup_mixes_targets_as_it_mixes_rows():
    X, Y = draw()
    X = np.hstack([X[:, :9], Y])  # the last three features tell the target
    X_new, Y_new = apply(Mixup(0.5), X, Y)
    np.testing.assert_allclose(X_new[:, 9:], Y_new, atol=1e-12)
    assert (Y_new[Y == 1] >= 0.5 - 1e-12).all()


def test_cutmix_takes_as_much_of_the_target_as_of_the_features():
    X, Y = draw()
    X_new, Y_new = apply(CutMix(1.0), X, Y)
    taken = np.mean(X_new != X, axis=1)
    kept = Y_new[Y == 1]
    assert (kept >= 1 - taken - 1e-12).all()  # the other row may have the same class
    assert np.isclose(kept, 1 - taken).mean() > 0.5


def test_images_move_as_a_whole():
    X = np.arange(24.0).reshape(2, 12)
    images = X.reshape(2, 3, 4)
    flipped, _ = apply(ImageFlip((3, 4)), X, X)
    shifted, _ = apply(ImageShift((3, 4), 1), X, X)
    for image, new in zip(images, flipped.reshape(2, 3, 4)):
        assert (new == image).all() or (new == image[:, ::-1]).all()
    for image, new in zip(images, shifted.reshape(2, 3, 4)):
        padded = np.pad(image, 1)
        windows = [padded[i : i + 3, j : j + 4] for i in range(3) for j in range(3)]
        assert any((new == window).all() for window in windows)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GaussianNoise(-1),
        lambda: SwapNoise(1.5),
        lambda: Mixup(-1),
        lambda: CutMix(-1),
        lambda: ImageShift((3,), 1),
        lambda: ImageShift((3, 4), -1),
        lambda: ImageFlip((1, 2, 3, 4)),
        lambda: Compose(1),
        lambda: apply(ImageFlip((5, 5)), *draw()),
    ],
)
def test_refused(make):
    with pytest.raises(ValueError, match=r"must|pixels"):
        make()


def digits(**options):
    X, y = load_digits(return_X_y=True)
    settings = {"max_iter": 10, "random_state": 0}
    model = MLPClassifier((32,), **settings | options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X / 16, y), X / 16, y


@pytest.mark.parametrize(
    "augmentation",
    [GaussianNoise(0.1), Mixup(0.2), CutMix(0.5), ImageShift((8, 8), 1)],
    ids=str,
)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_training(augmentation, early_stopping):
    options = {"early_stopping": early_stopping, "max_iter": 100}
    options["n_iter_no_change"] = 30
    plain, X, y = digits(**options)
    model, *_ = digits(augmentation=augmentation, **options)
    again, *_ = digits(augmentation=augmentation, **options)
    assert model.loss_curve_ == again.loss_curve_ != plain.loss_curve_
    assert model.score(X, y) > 0.8


@pytest.mark.parametrize("none", [Mixup(0), CutMix(0), Compose()], ids=str)
def test_training_on_rows_as_they_are(none):
    plain, X, _ = digits()
    model, *_ = digits(augmentation=none)
    assert model.loss_curve_ == plain.loss_curve_
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))


def test_each_epoch_anew_and_training_rows_only():
    seen = []

    def watch(X, Y, rng):
        seen.append((X.copy(), Y.copy()))
        return X + rng.uniform(size=X.shape) / 100, Y

    model, X, _ = digits(augmentation=watch, early_stopping=True, batch_size=300)
    assert len(seen) == model.n_iter_ == 10
    assert all(len(rows) == len(X) - 180 for rows, _ in seen)
    np.testing.assert_array_equal(seen[0][0], seen[-1][0])  # from the same rows


@pytest.mark.parametrize(
    "bad",
    [
        lambda X, Y, rng: (X[:-1], Y),
        lambda X, Y, rng: (X, Y[:, :1]),
        lambda X, Y, rng: (X * np.nan, Y),
        lambda X, Y, rng: (X, Y, rng),
    ],
)
def test_results_are_checked(bad):
    with pytest.raises(ValueError, match="augmentation must return X and Y"):
        digits(augmentation=bad)


def test_refused_for_sparse_rows_and_lbfgs():
    X, y = load_digits(return_X_y=True)
    with pytest.raises(ValueError, match="augmentation needs dense X"):
        MLPClassifier(augmentation=Mixup(0.1)).fit(sparse.csr_array(X), y)
    with pytest.raises(ValueError, match="augmentation changes the steps or the loss"):
        MLPClassifier(augmentation=Mixup(0.1), solver="lbfgs").fit(X, y)
