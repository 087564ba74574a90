"""A detector learns, counts, is kept in one file and goes on after a break; here with the smallest network there is."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lsm.errors import ConfigError, FileMissing, InputError, LsmError, ModelMismatch, WrongFormat
from lsm.sensing import clock
from lsm.sensing.bundle import contents_digest
from lsm.sensing.progress import Silent
from lsm.vision.data import NO_OBJECTS, AnnotatedImage, AnnotatedSet, Mask, Objects
from lsm.vision.detect import Detections, Detector, FitConfig, learning, model_of
from lsm.vision.detect.grid import GridConfig
from lsm.vision.field import counting_thresholds

SMALL = GridConfig(width=8)
SHORT = FitConfig(steps=6, images_per_step=2, checkpoint_every=2)


def squares(images: int, *, channels: int = 1, seed: int = 0) -> AnnotatedSet:
    """Bright squares of two sizes on noise."""
    rng = np.random.default_rng(seed)

    def one(k: int) -> AnnotatedImage:
        pixels = (0.1 * rng.random((channels, 64, 64))).astype(np.float32)
        boxes, kinds = [], []
        for place in rng.permutation(4)[:3]:
            kind = int(rng.integers(2))
            side = (10, 16)[kind]
            x, y = 32 * (place % 2) + rng.integers(0, 33 - side), 32 * (place // 2) + rng.integers(0, 33 - side)
            pixels[:, y : y + side, x : x + side] += 0.7
            boxes.append([x, y, x + side, y + side])
            kinds.append(kind)
        return AnnotatedImage.of(f"image {k}", pixels, Objects(np.array(boxes, dtype=np.float64), np.array(kinds)))

    return AnnotatedSet(tuple(one(k) for k in range(images)), ("small", "large"))


@pytest.fixture(scope="module")
def taught() -> Detector:
    data = squares(24)
    detector = Detector.of(SMALL, data, seed=1)
    record = detector.fit(data, fit=FitConfig(steps=120, images_per_step=4, learning_rate=5e-3))
    assert (record.counted_on, record.counted_on_learnt) == (2, False)
    return detector


def test_it_finds_what_it_never_saw(taught: Detector):
    # chance would be near 0; 120 steps of a network of 5,000 weights reach more than 0.8
    assert taught.evaluate(squares(12, seed=1)).map_50 > 0.5


def test_thresholds_count_right_where_they_were_set():
    data = squares(8)
    detector = Detector.of(SMALL, data, seed=1)
    record = detector.fit(data, fit=FitConfig(steps=80, images_per_step=4, learning_rate=5e-3))
    assert (record.counted_on, record.counted_on_learnt) == (8, True)
    for row in detector.evaluate(data).categories.values():
        assert row.counted_percent == pytest.approx(100)


def test_thresholds_count_nothing_that_lies_in_objects_to_ignore(monkeypatch: pytest.MonkeyPatch):
    """Five finds in a crowd are the strongest; of the others the second is the last that is an object."""
    boxes = np.array([[0.0, 0.0, 30.0, 30.0], [40.0, 0.0, 50.0, 10.0], [40.0, 20.0, 50.0, 30.0]])
    objects = Objects(boxes, np.zeros(3, dtype=np.int64), None, np.array([True, False, False]))
    rng = np.random.default_rng(0)
    image = AnnotatedImage.of("crowd", rng.random((1, 64, 64)).astype(np.float32), objects)
    data = AnnotatedSet((image,), ("small", "large"))
    inside = np.array([[x, 5.0, x + 10, 15.0] for x in (0.0, 5.0, 10.0, 15.0, 20.0)])
    places = np.concatenate([inside, boxes[1:], [[0.0, 50.0, 10.0, 60.0]]])
    found = Detections(places, np.zeros(8, dtype=np.int64), np.array([0.9] * 5 + [0.8, 0.7, 0.3]))
    detector = Detector.of(SMALL, data)
    monkeypatch.setattr(detector, "predict", lambda _: [found])
    assert counting_thresholds(detector, data)[0] == 0.7
    detector.fit(data, fit=FitConfig(steps=1, images_per_step=1))
    assert detector.thresholds[0] == pytest.approx(0.5)


def test_groups_are_not_divided():
    images = tuple(replace(image, group=f"slide {k // 2}") for k, image in enumerate(squares(24).images))
    data = AnnotatedSet(images, ("small", "large"))
    record = Detector.of(SMALL, data).fit(data, fit=FitConfig(steps=1, images_per_step=1, count_share=0.25))
    assert (record.counted_on, record.counted_on_learnt) == (6, False)


def test_detections_come_strongest_first_and_by_threshold(taught: Detector):
    found = taught.predict([squares(1, seed=2).images[0].pixels()])[0]
    assert (np.diff(found.score) <= 0).all()
    assert len(found.above(taught.thresholds)) <= len(found)


def test_images_of_different_sizes_are_searched_together(taught: Detector):
    image = squares(1, seed=2).images[0].pixels()
    whole, wide = taught.predict([image, np.tile(image, (1, 1, 2))])
    assert len(wide) > len(whole)


def test_raw_bytes_are_the_parts_of_their_largest_that_they_stand_for(taught: Detector):
    raw = np.round(squares(1, seed=2).images[0].pixels() * 255).clip(0, 255).astype(np.uint8)
    parts, whole, flat = taught.predict([raw.astype(np.float32) / 255, raw, raw[0]])
    assert len(parts) > 0
    for other in (whole, flat):
        assert np.array_equal(other.box_px, parts.box_px)
        assert np.array_equal(other.score, parts.score)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_refused(taught: Detector, value: float):
    image = squares(1, seed=2).images[0].pixels().copy()
    image[0, 5, 5] = value
    with pytest.raises(WrongFormat, match="not finite"):
        taught.predict([image])
    with pytest.raises(WrongFormat, match="The image holds int32"):
        taught.predict([np.zeros((1, 64, 64), dtype=np.int32)])


def test_a_file_gives_the_same_detections(taught: Detector, tmp_path: Path):
    taught.save(str(tmp_path / "deep" / "model.safetensors"))
    again = Detector.load(str(tmp_path / "deep" / "model.safetensors"))
    image = squares(1, seed=3).images[0].pixels()
    one, other = taught.predict([image])[0], again.predict([image])[0]
    assert np.array_equal(one.box_px, other.box_px)
    assert np.array_equal(one.score, other.score)
    assert np.array_equal(taught.thresholds, again.thresholds)
    assert again.facts == taught.facts
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model.safetensors"]


def test_the_same_seed_gives_the_same_weights():
    data = squares(4)
    made = []
    for _ in range(2):
        detector = Detector.of(SMALL, data, seed=5)
        detector.fit(data, fit=SHORT)
        made.append(detector.network.state_dict())
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


class Break(Exception):
    """What stops a run in a test."""


class Breaking(Silent):
    """Breaks the run off after some steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator["Breaking"]:
        del title, total
        yield self

    def advance(self, loss: float | None = None) -> None:
        del loss
        self.left -= 1
        if self.left == 0:
            raise Break


def test_a_broken_run_goes_on_as_if_it_had_not(tmp_path: Path):
    data = squares(4)
    whole = Detector.of(SMALL, data, seed=5)
    told = whole.fit(data, fit=SHORT)
    with pytest.raises(Break):
        Detector.of(SMALL, data, seed=5).fit(data, fit=SHORT, checkpoint=tmp_path / "c", progress=Breaking(5))
    continued = Detector.of(SMALL, data, seed=5)
    again = continued.fit(data, fit=SHORT, checkpoint=tmp_path / "c")
    one, other = whole.network.state_dict(), continued.network.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert again.losses == told.losses
    with pytest.raises(ModelMismatch, match="another configuration"):
        Detector.of(SMALL, data).fit(squares(4, seed=9), fit=SHORT, checkpoint=tmp_path / "c")


def test_the_time_of_a_run_is_that_of_all_its_sittings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Six steps of ten seconds, of which four are in the checkpoint when the run breaks off."""
    now = 0.0

    def slow(*arguments: Any) -> dict[str, float]:
        nonlocal now
        now += 10
        return step(*arguments)

    step = learning._step
    monkeypatch.setattr(learning, "_step", slow)
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: now + 7, process_time=lambda: now))
    data = squares(4)
    with pytest.raises(Break):
        Detector.of(SMALL, data).fit(data, fit=SHORT, checkpoint=tmp_path / "c", progress=Breaking(5))
    record = Detector.of(SMALL, data).fit(data, fit=SHORT, checkpoint=tmp_path / "c")
    assert (record.seconds, record.cpu_s) == (60, 60)


def test_a_run_goes_on_only_from_its_own_weights_and_marks(tmp_path: Path):
    data = squares(4)
    with pytest.raises(Break):
        Detector.of(SMALL, data, seed=5).fit(data, fit=SHORT, checkpoint=tmp_path / "c", progress=Breaking(5))

    def marked(**changes: Any) -> AnnotatedSet:
        first = data.images[0]
        return replace(data, images=(replace(first, objects=replace(first.objects, **changes)), *data.images[1:]))

    outlines = tuple(Mask(0, 0, np.ones((2, 2), dtype=bool)) for _ in range(3))
    others = (marked(ignore=np.array([False, True, False])), marked(masks=outlines))
    for seed, other in ((6, data), *((5, each) for each in others)):
        detector = Detector.of(SMALL, Detector.of(SMALL, data).facts, seed=seed)
        with pytest.raises(ModelMismatch, match="another configuration"):
            detector.fit(other, fit=SHORT, checkpoint=tmp_path / "c")


@pytest.mark.parametrize("channels", [1, 3, 40])
def test_any_number_of_channels(channels: int):
    data = squares(2, channels=channels)
    detector = Detector.of(SMALL, data)
    detector.fit(data, fit=FitConfig(steps=2, images_per_step=2))
    assert len(detector.predict([data.images[0].pixels()])) == 1
    with pytest.raises(WrongFormat, match=f"2 channels, the detector was made for {channels}"):
        detector.predict([np.zeros((2, 64, 64), dtype=np.float32)])


def test_images_without_objects_are_learnt_from_and_searched():
    data = squares(3)
    empty = AnnotatedImage.of("empty", np.zeros((1, 64, 64), dtype=np.float32), NO_OBJECTS)
    mixed = AnnotatedSet((*data.images, empty), data.categories)
    detector = Detector.of(SMALL, mixed)
    record = detector.fit(mixed, fit=FitConfig(steps=10, images_per_step=2), validate=mixed)
    assert record.map_50 is not None
    assert detector.evaluate(AnnotatedSet((empty,), data.categories)).map == 0


def test_other_categories_and_empty_sets_are_refused(taught: Detector):
    with pytest.raises(ModelMismatch, match="knows small, large; the set has red"):
        taught.evaluate(replace(squares(1), categories=("red", "white")))
    with pytest.raises(InputError, match="no images"):
        taught.fit(squares(1).where([]))
    with pytest.raises(ConfigError, match="no detector of the kind 'yolo'"):
        model_of({"kind": "yolo"})


def test_losses_without_end_are_told():
    data = squares(2)
    with pytest.raises(LsmError, match="no longer finite"):
        Detector.of(SMALL, data).fit(data, fit=FitConfig(steps=40, images_per_step=2, learning_rate=1e12, clip=1e12))


def test_files_that_are_no_detector_are_refused(taught: Detector, tmp_path: Path):
    with pytest.raises(FileMissing):
        Detector.load(tmp_path / "none")
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"no model")
    with pytest.raises(WrongFormat, match="not a safetensors file"):
        Detector.load(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(WrongFormat, match="holds no detector"):
        Detector.load(path)
    taught.save(path)
    tensors = load_file(path)
    next(iter(tensors.values())).add_(1)
    save_file(tensors, path, metadata=_metadata(path))
    with pytest.raises(WrongFormat, match="contents are not those that were saved"):
        Detector.load(path)


def _metadata(path: Path) -> dict[str, str]:
    raw = path.read_bytes()
    table = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    found: dict[str, str] = table["__metadata__"]
    return found


def test_metadata_that_was_changed_is_refused(taught: Detector, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    taught.save(path)
    tensors, words = load_file(path), _metadata(path)
    facts = taught.facts.model_copy(update={"mean": (0.5,)}).model_dump_json()
    assert facts != words["facts"]
    for key, value in (("thresholds", "[0.1, 0.1]"), ("facts", facts), ("model", words["model"] + " "), ("new", "")):
        save_file(tensors, path, metadata=words | {key: value})
        with pytest.raises(WrongFormat, match="contents are not those that were saved"):
            Detector.load(path)


def test_metadata_that_fits_no_detector_is_refused_where_its_digest_is_right(taught: Detector, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    taught.save(path)
    tensors, words = load_file(path), _metadata(path)
    del words["digest"]
    for key, value in (("model", '{"kind": "grid", "width": 12}'), ("thresholds", "[0.5]"), ("facts", "{}")):
        changed = words | {key: value}
        digest = contents_digest(tensors, json.dumps(changed, sort_keys=True))
        save_file(tensors, path, metadata=changed | {"digest": digest})
        with pytest.raises(WrongFormat, match="damaged detector"):
            Detector.load(path)


def test_a_file_of_the_first_format_is_told_from_other_files(taught: Detector, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    taught.save(path)
    save_file(load_file(path), path, metadata=_metadata(path) | {"format": "lsm detector 1"})
    with pytest.raises(WrongFormat, match="has the format 'lsm detector 1', not 'lsm detector 2'"):
        Detector.load(path)
