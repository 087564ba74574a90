"""Disturbed images: each disturbance does what its unit says, and leaves marks and the original alone."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lsm.errors import ConfigError, InputError
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Objects
from lsm.vision.field.robustness import USUAL, Disturbance, as_markdown, disturbed, robustness

OBJECTS = Objects(np.array([[2.0, 3, 9, 8]]), np.zeros(1, dtype=np.int64))


def one(pixels: np.ndarray) -> AnnotatedSet:
    return AnnotatedSet((AnnotatedImage.of("a", pixels.astype(np.float32), OBJECTS, group="g"),), ("cell",), "drawn")


def worse(pixels: np.ndarray, kind: str, strength: float, seed: int = 0) -> np.ndarray:
    how = Disturbance.model_validate({"kind": kind, "strength": strength})
    return disturbed(one(pixels), how, seed=seed).images[0].pixels()


def test_blur_spreads_a_point_into_a_gaussian_of_this_width():
    point = np.zeros((2, 41, 41))
    point[:, 20, 20] = 1
    blurred = worse(point, "blur", 2.0)
    assert blurred[0].sum() == pytest.approx(1, rel=1e-4)
    place = np.arange(41) - 20
    # the kernel ends at four standard deviations
    assert np.sqrt((blurred[0].sum(axis=0) * place**2).sum()) == pytest.approx(2.0, rel=0.01)
    assert np.array_equal(blurred[0], blurred[1])


def test_a_colour_cast_tilts_the_channels_and_needs_two():
    grey = np.full((3, 4, 4), 0.5)
    assert worse(grey, "colour", 0.2)[:, 0, 0] == pytest.approx([0.6, 0.5, 0.4])
    assert worse(np.full((3, 4, 4), 0.9), "colour", 0.4)[0].max() == 1.0
    with pytest.raises(InputError, match="a is grey and has no colour cast"):
        worse(np.full((1, 4, 4), 0.5), "colour", 0.2)


def test_little_light_has_the_noise_of_so_few_electrons():
    flat = np.full((1, 200, 200), 0.5)
    dim = worse(flat, "light", 200.0)
    # 100 electrons and 3 e of read noise, told by 40,000 pixels to 0.4 %
    assert dim.mean() == pytest.approx(0.5, rel=0.005)
    assert dim.std() == pytest.approx(np.sqrt(100 + 9) / 200, rel=0.02)
    assert np.array_equal(dim, worse(flat, "light", 200.0))
    assert not np.array_equal(dim, worse(flat, "light", 200.0, seed=1))
    with pytest.raises(InputError, match="its light is not known"):
        worse(np.full((1, 8, 8), 40.0), "light", 100.0)


def test_lower_resolution_averages_and_keeps_size_and_place():
    fine = np.indices((24, 36)).sum(axis=0)[None] % 2 * 1.0
    # a chequerboard of single pixels is even grey once two by two are one
    assert worse(fine, "resolution", 2.0) == pytest.approx(np.full((1, 24, 36), 0.5))
    ramp = np.tile(np.arange(36) / 36, (24, 1))[None]
    coarse = worse(ramp, "resolution", 3.0)
    assert coarse.shape == ramp.shape
    # away from the rim, a ramp survives averaging and interpolation
    assert coarse[0, :, 3:-3] == pytest.approx(ramp[0, :, 3:-3], abs=1e-6)
    assert worse(ramp, "resolution", 5.0).shape == ramp.shape


@pytest.mark.parametrize("how", USUAL, ids=str)
def test_marks_stay_and_the_original_is_not_touched(how: Disturbance):
    pixels = np.random.default_rng(1).random((3, 24, 24)).astype(np.float32)
    data = one(pixels.copy())
    result = disturbed(data, how)
    assert result.images[0].objects is OBJECTS
    assert (result.images[0].name, result.images[0].group) == ("a", "g")
    assert result.categories == data.categories
    assert result.origin == f"drawn; {how}"
    assert np.array_equal(data.images[0].pixels(), pixels)
    assert not np.array_equal(result.images[0].pixels(), pixels)
    assert result.images[0].pixels().dtype == np.float32


def test_stronger_is_worse_by_a_score_that_sees_it():
    # grains of every size, so that no coarser pixel fits them
    grains = gaussian_filter(np.random.default_rng(4).random((48, 48)), 1.5, mode="wrap")
    picture = ((grains - grains.min()) / np.ptp(grains))[None].repeat(3, axis=0).astype(np.float32)
    truth = one(picture)

    def likeness(data: AnnotatedSet) -> dict[str, float]:
        return {"likeness": float(np.corrcoef(data.images[0].pixels().ravel(), picture.ravel())[0, 1])}

    rows = robustness(likeness, truth)
    assert len(rows) == 1 + len(USUAL)
    assert rows[0].disturbance is None
    assert rows[0].scores["likeness"] == pytest.approx(1)
    for kind in ("blur", "light", "resolution"):
        values = [
            row.scores["likeness"] for row in rows if row.disturbance is not None and row.disturbance.kind == kind
        ]
        assert values == sorted(values, reverse=True)
        # 50 e with 3 e of read noise are a noise of 0.12 on grains with a spread of 0.17
        assert values[-1] < 0.98
    table = as_markdown(rows)
    assert table.splitlines()[0] == "| disturbance | strength | likeness |"
    assert table.splitlines()[2] == "| none | - | 1.000 |"
    assert len(table.splitlines()) == 2 + len(rows)


@pytest.mark.parametrize(("kind", "strength"), [("light", 0.5), ("resolution", 0.5), ("colour", 1.5), ("blur", -1.0)])
def test_impossible_disturbances_are_refused(kind: str, strength: float):
    with pytest.raises(ConfigError, match="not valid" if strength < 0 else "is impossible"):
        Disturbance.from_table({"kind": kind, "strength": strength})
