import copy
import math
import pickle

import numpy as np
import pytest

from skmlp import schedules
from skmlp.schedules import (
    Constant,
    Cosine,
    CosLog,
    Exponential,
    FlatCosine,
    InverseScaling,
    OneCycle,
    Plateau,
    Schedule,
    Step,
    Warmup,
)
from skmlp.training.schedules import (
    SCHEDULES,
    SGD_ONLY,
    Clock,
    as_schedule,
    inverse_scaling,
)

MAX_ITER, N_STEPS = 8, 5
EPOCHS = np.arange(MAX_ITER * N_STEPS) / N_STEPS
PROGRESS = EPOCHS / MAX_ITER


def cosine(first, last, t):
    return first + (last - first) * math.sin(math.pi * t / 2) ** 2


def one_cycle(peak, start, final, t):
    if t < peak:
        return cosine(start, 1, t / peak)
    return cosine(1, final, (t - peak) / (1 - peak))


# (schedule, the same as a function of one step's epochs and progress)
FORMULAS = [
    (Constant(), lambda e, t: 1),
    (Step(), lambda e, t: 1),
    (Step(every=2, factor=0.1), lambda e, t: 0.1 ** (e // 2)),
    (Step(every=0.6, factor=0.9), lambda e, t: 0.9 ** math.floor(e / 0.6)),
    (Exponential(), lambda e, t: 0.97**e),
    (Exponential(0.5), lambda e, t: 2**-e),
    (InverseScaling(), lambda e, t: 1 / math.sqrt(1 + e)),
    (InverseScaling(2), lambda e, t: 1 / (1 + e) ** 2),
    (InverseScaling(0), lambda e, t: 1),
    (Cosine(), lambda e, t: cosine(1, 0, t)),
    (Cosine(final=0.3), lambda e, t: cosine(1, 0.3, t)),
    (OneCycle(), lambda e, t: one_cycle(0.3, 0.04, 4e-6, t)),
    (OneCycle(0.5, 0.1, 0.2), lambda e, t: one_cycle(0.5, 0.1, 0.2, t)),
    (CosLog(), lambda e, t: math.sin(math.pi * math.log2(1 + 15 * t)) ** 2),
    (CosLog(1), lambda e, t: math.sin(math.pi * math.log2(1 + t)) ** 2),
    (FlatCosine(), lambda e, t: cosine(1, 0, max(2 * t - 1, 0))),
    (FlatCosine(0.2), lambda e, t: cosine(1, 0, max((t - 0.2) / 0.8, 0))),
    (Plateau(), lambda e, t: 1),
    (Warmup(), lambda e, t: min(10 * t, 1)),
    (Warmup("cosine", 0.5), lambda e, t: min(2 * t, 1) * cosine(1, 0, t)),
    (Warmup(Step(3), 1), lambda e, t: t * 0.5 ** (e // 3)),
    (Warmup(Warmup(np.cos), 1), lambda e, t: t * min(10 * t, 1) * math.cos(t)),
    (Warmup(np.square, 0.2), lambda e, t: min(5 * t, 1) * t**2),
]
ALL = [schedule for schedule, _ in FORMULAS]
each_schedule = pytest.mark.parametrize("schedule", ALL, ids=str)


@pytest.mark.parametrize(("schedule", "formula"), FORMULAS, ids=map(str, ALL))
def test_closed_form(schedule, formula):
    curve = schedule.curve(MAX_ITER, N_STEPS)
    expected = [formula(e, t) for e, t in zip(EPOCHS, PROGRESS)]
    np.testing.assert_allclose(curve, expected, rtol=1e-12, atol=1e-14)


@each_schedule
def test_factors_are_finite_and_not_negative_in_and_after_the_fit(schedule):
    for epoch in (0, 1, 7, 8, 9, 1000):
        factors = schedule.factors(Clock(epoch, N_STEPS, MAX_ITER, n_plateaus=3))
        assert np.isfinite(factors).all()
        assert np.min(factors) >= 0


@each_schedule
def test_continuity(schedule):
    """With many steps each changes little, except where the rate falls in steps."""
    n_steps = 10_000
    changes = np.abs(np.diff(schedule.curve(8, n_steps)))
    in_steps = "Step" in repr(schedule)
    assert (changes > 70 / (8 * n_steps)).sum() <= (13 if in_steps else 0)


def test_every_class_is_tested_and_every_name_known():
    classes = {getattr(schedules, name) for name in schedules.__all__} - {Schedule}
    assert classes == {type(schedule) for schedule in ALL}
    assert {type(schedule) for schedule in SCHEDULES.values()} <= classes
    for name, schedule in SCHEDULES.items():
        assert as_schedule(name) is schedule
        assert as_schedule(schedule) is schedule


@pytest.mark.parametrize(
    ("schedule", "t", "value"),
    [
        (CosLog(4), [0, 1 / 15, 3 / 15, 7 / 15, 1], 0),
        (CosLog(3), [0, 1 / 7, 3 / 7, 1], 0),
        (Cosine(0.2), [1], 0.2),
        (OneCycle(peak=0.25), [0.25], 1),
        (OneCycle(start=0.3), [0], 0.3),
        (OneCycle(final=0.01), [1], 0.01),
    ],
)
def test_special_points(schedule, t, value):
    class At(Clock):
        progress = np.array(t)

    factors = schedule.factors(At(0, len(t), 1))
    np.testing.assert_allclose(factors, value, atol=1e-15)


def test_clock():
    clock = Clock(n_epochs=3, n_steps=4, max_iter=8)
    np.testing.assert_array_equal(clock.epochs, [3, 3.25, 3.5, 3.75])
    np.testing.assert_array_equal(clock.progress, clock.epochs / 8)
    late = Clock(n_epochs=7, n_steps=2, max_iter=7)
    np.testing.assert_array_equal(late.progress, [1, 1])
    for n_steps in (3, 7, 49, 93):  # fractions never reach the next epoch
        clock = Clock(12345, n_steps, 10**6)
        np.testing.assert_array_equal(np.floor(clock.epochs), 12345)


def test_plateaus():
    schedule = Plateau(factor=0.1)
    clock = Clock(5, 3, 10)
    assert schedule.factors(clock) == 1
    assert schedule.factors(clock._replace(n_plateaus=3)) == pytest.approx(1e-3)
    assert [s.patience for s in (schedule, Warmup(Plateau(patience=2)), Cosine())] == [
        5,
        2,
        None,
    ]
    np.testing.assert_allclose(
        Warmup(schedule, 1).factors(clock._replace(n_plateaus=1)), 0.1 * clock.progress
    )


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (Step, "every"),
        (Step, "factor"),
        (Exponential, "rate"),
        (InverseScaling, "power"),
        (Cosine, "final"),
        (OneCycle, "peak"),
        (OneCycle, "start"),
        (OneCycle, "final"),
        (CosLog, "k"),
        (Plateau, "factor"),
        (Plateau, "patience"),
        (Warmup, "fraction"),
    ],
)
@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf, None, "1", np.ones(2)])
def test_bad_parameter(make, name, value):
    with pytest.raises(ValueError, match=f"{name} of {make.__name__} must be a number"):
        make(**{name: value})


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (Step, {"every": 0}),
        (Step, {"factor": 0}),
        (Step, {"factor": 1.1}),
        (Exponential, {"rate": 0}),
        (Exponential, {"rate": 1.1}),
        (Cosine, {"final": 1.1}),
        (OneCycle, {"peak": 0}),
        (OneCycle, {"peak": 1}),
        (OneCycle, {"start": 2}),
        (CosLog, {"k": 0}),
        (Plateau, {"factor": 0}),
        (Warmup, {"fraction": 0}),
        (Warmup, {"fraction": 1.5}),
    ],
)
def test_parameter_at_the_edge(make, parameters):
    with pytest.raises(ValueError, match=f"of {make.__name__} must be a number in"):
        make(**parameters)


@pytest.mark.parametrize("bad", [*SGD_ONLY, "fast", None, 3, Cosine])
def test_no_schedule(bad):
    for make, name in (as_schedule, "learning_rate"), (Warmup, "schedule of Warmup"):
        with pytest.raises(ValueError, match=rf"{name} must .*'cosine'.* or a func"):
            make(bad)


@pytest.mark.parametrize(
    "function",
    [
        math.cos,
        lambda t: 1 if t < 0.5 else 0.1,
        lambda t: t[:2],
        lambda t: "high",
        lambda t: None,
        lambda: 1,
    ],
)
def test_function_of_no_array(function):
    for make in (as_schedule, Warmup):
        with pytest.raises(ValueError, match=r"must (turn an array|return finite)"):
            make(function)


@pytest.mark.parametrize("value", [-1, np.nan, np.inf])
def test_function_with_bad_values(value):
    with pytest.raises(ValueError, match="must return finite factors >= 0"):
        as_schedule(lambda t: t + value)


def test_functions():
    for function in (np.square, lambda t: t**2, np.vectorize(lambda t: t * t)):
        curve = as_schedule(function).curve(MAX_ITER, N_STEPS)
        np.testing.assert_allclose(curve, PROGRESS**2, rtol=1e-15)
    assert as_schedule(lambda t: 0.5).curve(2).tolist() == [0.5, 0.5]


@each_schedule
def test_schedules_are_values(schedule):
    for twin in (copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
        assert twin == schedule
        assert hash(twin) == hash(schedule)
    assert eval(repr(Step(3, 0.25))) == Step(3, 0.25) != Step(4, 0.25)
    with pytest.raises(AttributeError):
        schedule.factor = 3


@pytest.mark.parametrize("n_seen", [0, 1, 99])
@pytest.mark.parametrize("power_t", [0.0, 0.5, 2])
def test_inverse_scaling(n_seen, power_t):
    rate = inverse_scaling(0.1, n_seen, power_t)
    assert rate == 0.1 / (n_seen + 1) ** power_t
    assert type(rate) is float
