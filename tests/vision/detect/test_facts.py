"""What is measured of a set, by hand-worked images."""

import numpy as np
import pytest

from lsm.errors import ConfigError, InputError, WrongFormat
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Objects
from lsm.vision.detect.facts import DataFacts, measure


def a_set(*pixels: np.ndarray, sides: tuple[float, ...] = (4, 9)) -> AnnotatedSet:
    boxes = np.array([[0, 0, side, side] for side in sides], dtype=np.float64).reshape(-1, 4)
    objects = Objects(boxes, np.arange(len(sides)))
    images = tuple(AnnotatedImage.of(f"image {k}", each, objects) for k, each in enumerate(pixels))
    return AnnotatedSet(images, ("small", "large", "none"))


def test_facts_of_two_images():
    facts = measure(a_set(np.zeros((1, 16, 32)), np.ones((1, 16, 32))))
    assert (facts.channels, facts.height_px, facts.width_px, facts.most_objects) == (1, 16, 32, 2)
    assert (facts.mean, facts.std) == ((0.5,), (0.5,))
    assert facts.side_by_category_px == (4, 9, 6.5)
    assert (facts.box_side_px[0], facts.box_side_px[3]) == pytest.approx((4, 6.5))


def test_forty_channels_and_an_even_image():
    facts = measure(a_set(np.full((40, 16, 16), 0.25)))
    assert len(facts.mean) == 40
    assert all(each > 0 for each in facts.std)


def test_sixteen_bits_are_parts_of_the_largest():
    facts = measure(a_set(np.full((16, 16), 65535, dtype=np.uint16)))
    assert facts.mean == (1.0,)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match="no images"):
        measure(AnnotatedSet((), ("red",)))
    with pytest.raises(InputError, match="No object"):
        measure(a_set(np.zeros((8, 8)), sides=()))
    with pytest.raises(WrongFormat, match="image 1 has 3 channels, image 0 has 1"):
        measure(a_set(np.zeros((1, 8, 8)), np.zeros((3, 8, 8))))
    with pytest.raises(WrongFormat, match="no area"):
        measure(a_set(np.zeros((8, 8)), sides=(0,)))


def test_facts_that_do_not_fit_are_refused():
    table = measure(a_set(np.zeros((8, 8)))).model_dump()
    with pytest.raises(ConfigError, match="one value for each"):
        DataFacts.from_table(table | {"mean": (0.1, 0.2)})
