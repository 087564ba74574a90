"""A detector that takes each image's own levels does not see how bright its lamp was."""

from pathlib import Path

import numpy as np
import pytest
import torch
from grid_scenes import facts

from lsm.vision.data import AnnotatedImage, AnnotatedSet, Objects
from lsm.vision.detect import Detector, FitConfig
from lsm.vision.detect.facts import measure
from lsm.vision.detect.fitting import Augmentation
from lsm.vision.detect.grid import GridConfig
from lsm.vision.detect.levels import Normal

RNG = np.random.default_rng(0)
IMAGE = RNG.random((1, 64, 64)).astype(np.float32)


def test_own_levels_see_no_change_of_lamp_or_gain():
    normal = Normal(facts(), "image")
    plain, dim = torch.from_numpy(IMAGE), torch.from_numpy(0.03 * IMAGE + 0.2)
    # float32: 0.03 of the contrast on a level of 0.2 leaves five digits
    torch.testing.assert_close(normal(plain, plain), normal(dim, dim), atol=1e-4, rtol=0)


def test_a_view_is_measured_against_the_image_that_it_was_cut_from():
    whole = torch.from_numpy(IMAGE)
    for levels in ("set", "image"):
        normal = Normal(facts(), levels)
        assert torch.equal(normal(whole[:, 8:24, 8:24], whole), normal(whole, whole)[:, 8:24, 8:24])


def test_an_even_image_stays_finite():
    even = torch.full((1, 32, 32), 0.5)
    assert torch.equal(Normal(facts(), "image")(even, even), torch.zeros_like(even))


def test_a_detector_with_own_levels_keeps_them_in_its_file(tmp_path: Path):
    image = torch.from_numpy(IMAGE)
    for levels, alike in (("image", True), ("set", False)):
        Detector.of(GridConfig(width=8, levels=levels, least_score=1e-4), facts(), seed=1).save(tmp_path / levels)
        again = Detector.load(tmp_path / levels)
        bright, dim = (again.predict([(light * image).numpy()])[0].score for light in (1.0, 0.25))
        assert len(bright) > 50
        # float32 sums of the normalised pixels
        assert np.allclose(bright[:50], dim[:50], rtol=1e-4) == alike


def test_images_are_drawn_by_their_area_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    """One image of 16 times the area of each of four others is drawn 80 times in a hundred, or 20 times."""
    sides = {"large": 128, "a": 32, "b": 32, "c": 32, "d": 32}
    objects = AnnotatedImage.of("x", IMAGE).objects
    images = [AnnotatedImage.of(name, np.zeros((1, side, side), np.float32), objects) for name, side in sides.items()]
    data = AnnotatedSet(tuple(images), ("kind 0", "kind 1"))
    drawn: list[str] = []

    def seen(self: AnnotatedImage) -> np.ndarray:
        drawn.append(self.name)
        return IMAGE[:, :32, :32].repeat(self.size[0] // 32, 1).repeat(self.size[1] // 32, 2)

    monkeypatch.setattr(AnnotatedImage, "pixels", seen)
    for by_area, share in ((0.0, 0.2), (1.0, 0.8)):
        drawn.clear()
        Detector.of(GridConfig(width=4, depth=0), facts(), seed=1).fit(
            data,
            fit=FitConfig(
                steps=50,
                images_per_step=8,
                by_area=by_area,
                count_share=0.0,
                augmentation=Augmentation(crop_px=32),
            ),
        )
        # 400 draws: a standard deviation of 0.02
        assert abs(np.mean([name == "large" for name in drawn[:400]]) - share) < 0.08


@pytest.mark.parametrize(
    ("factor", "strange"),
    [(1.0, False), (3.0, False), (1 / 3, False), (4095 / 65535, True), (255.0, True), (1023 / 65535, True)],
)
def test_other_numbers_are_strange_and_other_exposures_are_not(factor: float, strange: bool):
    made = torch.from_numpy(IMAGE)
    own = facts().model_copy(update={"mean": (float(made.mean()),), "std": (float(made.std()),)})
    assert Normal(own, "set").strange(factor * made) == strange
    assert not Normal(own, "image").strange(factor * made)


def test_an_image_is_strange_only_where_all_its_channels_are():
    own = facts().model_copy(update={"channels": 3, "mean": (0.5,) * 3, "std": (0.2,) * 3})
    image = torch.full((3, 8, 8), 0.5)
    image[2] = 0.01
    assert not Normal(own, "set").strange(image)
    assert Normal(own, "set").strange(image / 16)


def test_a_set_of_dark_and_bright_images_has_no_strange_ones_among_its_own():
    """Fluorescent nuclei on black and stained ones on white: 60 times as bright, and both learnt from."""
    box = Objects(np.array([[2.0, 2.0, 9.0, 9.0]]), np.zeros(1, dtype=np.int64))
    dark, bright = 0.015 * IMAGE / IMAGE.mean(), 0.9 * np.ones_like(IMAGE)
    data = AnnotatedSet(
        tuple(AnnotatedImage.of(name, pixels, box) for name, pixels in (("d", dark), ("b", bright))), ("cell",)
    )
    normal = Normal(measure(data), "set")
    for own in (dark, bright):
        assert not normal.strange(torch.from_numpy(own))
    assert normal.strange(torch.from_numpy(dark / 16))
    assert normal.strange(torch.from_numpy(255 * bright))
