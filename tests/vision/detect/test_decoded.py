"""Pixels that are kept between views are those of the file, and never more than so many bytes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lsm.vision.data import NO_OBJECTS, AnnotatedImage, AnnotatedSet, read_pixels
from lsm.vision.detect.decoded import Decoded
from lsm.vision.detect.facts import DataFacts
from lsm.vision.detect.levels import Levels, Normal

RNG = np.random.default_rng(0)
FACTS = DataFacts(
    categories=("cell",),
    channels=1,
    mean=(0.5,),
    std=(0.2,),
    box_side_px=(9.0,) * 7,
    side_by_category_px=(9.0,),
    most_objects=1,
    height_px=20,
    width_px=30,
)


@pytest.fixture
def data(tmp_path: Path) -> AnnotatedSet:
    Image.fromarray(RNG.integers(0, 256, (20, 30), dtype=np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(RNG.integers(0, 65536, (20, 30), dtype=np.uint16)).save(tmp_path / "b.png")
    np.save(tmp_path / "c.npy", RNG.normal(size=(20, 30)).astype(np.float32))
    files = [tmp_path / name for name in ("a.png", "b.png", "c.npy")]
    held = [AnnotatedImage(file.name, file, (20, 30), NO_OBJECTS) for file in files]
    return AnnotatedSet((*held, AnnotatedImage.of("d", RNG.random((20, 30)))), ("cell",))


@pytest.mark.parametrize("levels", ["set", "image"])
def test_what_is_kept_is_what_the_file_holds(data: AnnotatedSet, levels: Levels):
    normal = Normal(FACTS, levels)
    kept = Decoded(data, normal)
    for _ in range(2):
        for number, image in enumerate(data.images):
            pixels = kept.pixels(number)
            assert torch.equal(pixels, torch.from_numpy(image.pixels()))
            view = pixels[:, 3:9, 4:12]
            assert torch.equal(kept.normal(number, view, pixels), normal(view, pixels))
        # one, two and four bytes a pixel; what is in memory is not kept again
        assert kept.bytes == 600 * (1 + 2 + 4)


def test_a_file_is_decoded_once(data: AnnotatedSet, monkeypatch: pytest.MonkeyPatch):
    read: list[str] = []

    def counted(path: Path) -> np.ndarray:
        read.append(path.name)
        return read_pixels(path)

    monkeypatch.setattr("lsm.vision.data.objects.read_pixels", counted)
    kept = Decoded(data, Normal(FACTS, "image"))
    for number in (0, 1, 2, 0, 1, 2, 3):
        kept.pixels(number)
    assert read == ["a.png", "b.png", "c.npy"]


def test_what_was_used_longest_ago_makes_room(data: AnnotatedSet):
    kept = Decoded(data, Normal(FACTS, "set"), most_bytes=3000)
    held = []
    for number in (0, 1, 0, 2, 0, 1):
        kept.pixels(number)
        held.append(kept.bytes)
    # 600, 1200 and 2400 bytes: the third drives out the second, and the second then the third
    assert held == [600, 1800, 1800, 3000, 3000, 1800]
    small = Decoded(data, Normal(FACTS, "set"), most_bytes=10)
    assert small.pixels(0).shape == (1, 20, 30)
    assert small.bytes == 0
