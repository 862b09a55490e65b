import numpy as np
import pytest

from skmlp.training.stopping import Checkpoint, Patience, all_finite


class Literal:
    """`_update_no_improvement_count` of scikit-learn's BaseMultilayerPerceptron."""

    def __init__(self, tol, early_stopping):
        self.tol, self.early_stopping = tol, early_stopping
        self._no_improvement_count = 0
        self.best_validation_score_ = -np.inf
        self.best_loss_ = np.inf
        self.saved = False

    def update(self, value):
        self.saved = False
        if self.early_stopping:
            if value < (self.best_validation_score_ + self.tol):
                self._no_improvement_count += 1
            else:
                self._no_improvement_count = 0
            if value > self.best_validation_score_:
                self.best_validation_score_ = value
                self.saved = True
        else:
            if value > self.best_loss_ - self.tol:
                self._no_improvement_count += 1
            else:
                self._no_improvement_count = 0
            if value < self.best_loss_:
                self.best_loss_ = value
                self.saved = True


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("tol", [0.0, 1e-4, 0.1, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_patience_is_the_rule_of_scikit_learn(early_stopping, tol, seed):
    rng = np.random.default_rng(seed)
    values = np.round(rng.random(200), 2)  # so that ties happen
    literal = Literal(tol, early_stopping)
    sign = 1 if early_stopping else -1
    patience = Patience(tol=tol, limit=3, sign=sign, best=-sign * np.inf)
    for value in values:
        literal.update(value)
        assert patience.update(value) == literal.saved
        assert patience.count == literal._no_improvement_count
        assert patience.exhausted == (literal._no_improvement_count > 3)
        best = literal.best_validation_score_ if early_stopping else literal.best_loss_
        assert patience.best == best


def test_patience_goes_on_from_an_earlier_fit():
    patience = Patience(tol=0.0, limit=2, sign=-1, best=0.5, count=2)
    assert not patience.exhausted
    assert not patience.update(0.6)
    assert patience.exhausted
    assert patience.best == 0.5


def test_endless_patience():
    patience = Patience(tol=0.0, limit=np.inf, sign=1, best=1.0)
    for _ in range(100):
        patience.update(0.0)
    assert patience.count == 100
    assert not patience.exhausted


@pytest.mark.parametrize("sign", [1, -1])
def test_nan_is_never_the_best(sign):
    patience = Patience(tol=0.0, limit=2, sign=sign, best=0.5)
    assert not patience.update(np.nan)
    assert patience.best == 0.5


def test_checkpoint():
    params = np.arange(4.0)
    checkpoint, view = Checkpoint(params), params[1:]
    params[:] = 7
    checkpoint.restore(params)
    np.testing.assert_array_equal(params, np.arange(4))
    params[:] = 5
    checkpoint.save(params)
    params[:] = np.nan
    checkpoint.restore(params)
    np.testing.assert_array_equal(view, 5)  # in place: views stay valid


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_all_finite(bad):
    params = np.zeros(5, np.float32)
    assert all_finite(params) is True
    params[3] = bad
    assert all_finite(params) is False
