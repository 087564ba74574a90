"""Infected cells found at few false positives: counted by hand, and silent where there are too few cells to count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsm.errors import InputError
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Objects
from lsm.vision.detect.detections import Detections
from lsm.vision.field import Alarms, alarms, cells_needed, difference, infected_scores

KINDS = ("red cell", "ring", "schizont", "platelet")


def boxes(*places: float) -> np.ndarray:
    return np.array([[x, 0.0, x + 8.0, 8.0] for x in places]).reshape(-1, 4)


def image(
    name: str, places: list[float], kinds: list[int], *, group: str = "", ignore: list[bool] | None = None
) -> AnnotatedImage:
    marks = np.array(ignore if ignore is not None else [False] * len(places), dtype=bool)
    objects = Objects(boxes(*places), np.array(kinds, dtype=np.int64), None, marks)
    return AnnotatedImage.of(name, np.zeros((8, 200), dtype=np.float32), objects, group=group)


def found(places: list[float], kinds: list[int], scores: list[float]) -> Detections:
    return Detections(boxes(*places), np.array(kinds, dtype=np.int64), np.array(scores))


def counted(detections: list[Detections], *images: AnnotatedImage) -> Alarms:
    data = AnnotatedSet(images, KINDS)
    return alarms(detections, data, infected=["ring", "schizont"], uninfected=["red cell"])


def made(score: list[float], hit: list[bool], slide: list[int], infected: list[int], uninfected: list[int]) -> Alarms:
    return Alarms(
        np.array(score), np.array(hit, dtype=bool), np.array(slide, dtype=np.int64), np.array(infected),
        np.array(uninfected), tuple(f"s{k}" for k in range(len(infected))),
    )  # fmt: skip


def test_hits_false_alarms_and_cells_are_counted_by_slide():
    one = image("a", [0, 20, 40, 60], [0, 1, 2, 3], group="p")
    two = image("b", [0, 20], [0, 0], group="p")
    other = image("c", [0], [1], group="q")
    run = counted(
        [
            # a ring called schizont is an infected cell; a platelet and an empty place are not; red cells do not count
            found([20, 40, 60, 120, 0], [2, 2, 1, 1, 0], [0.9, 0.8, 0.7, 0.6, 0.99]),
            found([21], [1], [0.5]),
            found([0, 1], [1, 1], [0.4, 0.3]),
        ],
        one, two, other,
    )  # fmt: skip
    assert run.names == ("p", "q")
    assert (run.infected.tolist(), run.uninfected.tolist()) == ([2, 1], [3, 0])
    assert run.hit.tolist() == [True, True, False, False, False, True, False]
    assert run.slide.tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert run.score.tolist() == [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]


def test_what_is_to_be_ignored_is_neither_asked_for_nor_false():
    seen = image("a", [0, 20, 40], [1, 0, 1], ignore=[True, True, False])
    run = counted([found([0, 20, 40, 90], [1, 1, 1, 1], [0.9, 0.8, 0.7, 0.6])], seen)
    assert (run.infected.tolist(), run.uninfected.tolist()) == ([1], [0])
    assert run.score.tolist() == [0.7, 0.6]
    assert run.hit.tolist() == [True, False]


def test_a_clump_to_ignore_excuses_all_alarms_in_it_and_no_cell_that_is_asked_for():
    places = np.array([[0.0, 0.0, 60.0, 8.0], [20.0, 0.0, 28.0, 8.0]])
    objects = Objects(places, np.array([3, 1]), None, np.array([True, False]))
    clump = AnnotatedImage.of("a", np.zeros((8, 200), dtype=np.float32), objects)
    run = counted([found([21, 0, 40, 55, 57], [1, 1, 2, 1, 1], [0.9, 0.8, 0.7, 0.6, 0.5])], clump)
    # five of eight columns of the fourth lie in the clump, three of the last
    assert run.score.tolist() == [0.9, 0.5]
    assert run.hit.tolist() == [True, False]


def test_sensitivity_at_a_rate_counts_down_to_the_last_false_positive_that_is_allowed():
    # 3000 uninfected cells allow 3 false positives at 1e-3; the fourth comes after the fourth hit
    run = made(
        [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2],
        [True, False, True, False, True, False, True, False],
        [0, 0, 0, 0, 1, 1, 1, 1],
        [3, 2], [1500, 1500],
    )  # fmt: skip
    scores = infected_scores(run, np.random.default_rng(0), draws=200)
    at, rare = scores.at
    assert at.sensitivity == pytest.approx(4 / 5)
    assert at.low is not None
    assert at.high is not None
    assert 0 <= at.low <= 4 / 5 <= at.high <= 1
    assert (rare.sensitivity, rare.low, rare.needs) == (None, None, 30_000)
    assert str(rare) == "needs 30,000 cells"
    # precision 1, 2/3, 3/5, 4/7 at recall 1/5, 2/5, 3/5, 4/5; none beyond
    assert scores.ap == pytest.approx((1 + 2 / 3 + 3 / 5 + 4 / 7) / 5)
    assert (scores.infected, scores.uninfected, scores.slides) == (5, 3000, 2)


def test_equal_scores_stand_or_fall_together():
    run = made([0.9, 0.5, 0.5, 0.5], [True, True, False, False], [0] * 4, [2], [1000])
    (at,) = infected_scores(run, np.random.default_rng(0), rates=[0.003], draws=1).at
    assert at.sensitivity == 1.0
    two = made([0.9, 0.5, 0.5, 0.5], [True, True, False, False], [0] * 4, [2], [3000])
    (at,) = infected_scores(two, np.random.default_rng(0), rates=[0.001], draws=1).at
    assert at.sensitivity == 1.0
    one = made([0.9] + [0.5] * 5, [True, True] + [False] * 4, [0] * 6, [2], [3000])
    (at,) = infected_scores(one, np.random.default_rng(0), rates=[0.001], draws=1).at
    assert at.sensitivity == 0.5


def test_nothing_found_is_nought_and_a_single_slide_tells_no_interval():
    run = made([], [], [], [4], [10_000])
    scores = infected_scores(run, np.random.default_rng(0))
    assert (scores.ap, scores.at[0].sensitivity) == (0, 0)
    assert (scores.ap_low, scores.ap_high) == (0, 1)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**16))
def test_more_false_positives_allowed_never_find_fewer_cells(seed: int):
    rng = np.random.default_rng(seed)
    n = 40
    run = made(rng.random(n).round(1).tolist(), (rng.random(n) < 0.5).tolist(), rng.integers(0, 3, n).tolist(),
               [20, 20, 20], [3000, 3000, 3000])  # fmt: skip
    rates = (1e-3, 2e-3, 5e-3, 2e-2)
    values = [each.sensitivity for each in infected_scores(run, rng, rates=rates, draws=2).at]
    assert values == sorted(values, key=lambda value: value or 0)
    assert values[-1] == pytest.approx(run.hit.sum() / 60)


def test_the_interval_is_that_of_slides_not_of_cells():
    # half of the slides are found whole, the others not at all: with 8 slides that is 0.5 +- 0.35
    slides, cells = 8, 100
    score = [0.9] * (cells * slides // 2)
    run = made(score, [True] * len(score), [k // cells for k in range(len(score))], [cells] * slides, [1000] * slides)
    (at,) = infected_scores(run, np.random.default_rng(1), rates=[1e-3], draws=1500).at
    assert at.sensitivity == pytest.approx(0.5)
    assert at.low == pytest.approx(0.5 - 1.96 * np.sqrt(0.25 / slides), abs=0.06)
    assert at.high == pytest.approx(0.5 + 1.96 * np.sqrt(0.25 / slides), abs=0.06)


def test_several_trainings_are_averaged_and_compared_on_the_same_draws():
    good = made([0.9, 0.8], [True, True], [0, 1], [1, 1], [2000, 2000])
    poor = made([0.9, 0.8], [True, False], [0, 1], [1, 1], [2000, 2000])
    rng = np.random.default_rng(2)
    assert infected_scores([good, poor], rng, draws=1).at[0].sensitivity == pytest.approx(0.75)
    same = difference([good, poor], [poor, good], rng, rate=1e-3, draws=50)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert same.verdict == "no difference shown"
    ahead = difference(good, poor, rng, draws=50)
    assert ahead.value is not None
    assert ahead.value > 0
    assert difference(good, poor, rng, rate=1e-4).verdict == "not measured"


def test_what_cannot_be_counted_is_refused():
    data = AnnotatedSet((image("a", [0], [1]),), KINDS)
    empty = found([], [], [])
    with pytest.raises(InputError, match="no category 'merozoite'"):
        alarms([empty], data, infected=["merozoite"], uninfected=["red cell"])
    with pytest.raises(InputError, match="0 images were searched, the set has 1"):
        alarms([], data, infected=["ring"], uninfected=["red cell"])
    healthy = made([], [], [], [0], [10])
    with pytest.raises(InputError, match="No infected cell"):
        infected_scores(healthy, np.random.default_rng(0))
    with pytest.raises(InputError, match="not search the same slides"):
        difference(made([], [], [], [1], [10]), made([], [], [], [1], [11]), np.random.default_rng(0))
    with pytest.raises(InputError, match="impossible"):
        cells_needed(0.0)
    assert (cells_needed(1e-3), cells_needed(1e-4)) == (3000, 30_000)
