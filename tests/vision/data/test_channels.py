"""Greys and colours in one set, and categories under other names."""

import numpy as np
import pytest

from lsm.errors import InputError, WrongFormat
from lsm.vision.data import NO_OBJECTS, AnnotatedImage, AnnotatedSet, Objects


def a_set(*channels: int) -> AnnotatedSet:
    made = (np.stack([np.full((4, 6), 0.1 * (c + 1)) for c in range(n)]) for n in channels)
    return AnnotatedSet(tuple(AnnotatedImage.of(f"{k}", each, NO_OBJECTS) for k, each in enumerate(made)), ("cell",))


def test_one_channel_is_repeated_and_three_stay():
    grey, colour = a_set(1, 3).with_channels(3).images
    assert np.allclose(grey.pixels()[:, 0, 0], [0.1, 0.1, 0.1])
    assert np.allclose(colour.pixels()[:, 0, 0], [0.1, 0.2, 0.3])


def test_three_are_averaged_to_one():
    assert np.allclose(a_set(3).with_channels(1).images[0].pixels(), np.full((1, 4, 6), 0.2))


def test_two_cannot_be_three():
    with pytest.raises(WrongFormat, match="has 2 channels, 3 are asked for"):
        a_set(2).with_channels(3).images[0].pixels()


def test_categories_of_one_name_become_one():
    objects = Objects(np.array([[0.0, 0, 2, 2]] * 3), np.array([0, 1, 2]))
    data = AnnotatedSet((AnnotatedImage.of("a", np.zeros((4, 4)), objects),), ("ring", "white", "schizont"))
    found = data.renamed({"ring": "infected", "schizont": "infected"})
    assert found.categories == ("infected", "white")
    assert found.counts() == {"infected": 2, "white": 1}
    with pytest.raises(InputError, match="no category blue"):
        data.renamed({"blue": "infected"})
