"""Slides of a design: no patient and no slide in two splits, fields computed once."""

from pathlib import Path

import numpy as np
import pytest

from lsm.errors import FileMissing, WrongFormat
from lsm.samples import CellCrops, SlideTraits, SlideVariety
from lsm.sensing.config import DesignConfig
from lsm.sensing.fields import FieldSet
from lsm.sensing.slides import Slides, split_crops, true_cells

TINY = DesignConfig.from_table(
    {
        "name": "tiny",
        "rig": {"system": {"sample_px": 192}, "led_board": {"rows": 3, "columns": 3}},
        "smear": {"width_um": 200.0, "height_um": 150.0},
        "train": {"slides": 2, "fields_per_slide": 2, "parasitaemia": [0.5, 0.5]},
    }
)


def crops(n_patients: int = 40) -> CellCrops:
    patient = np.repeat([f"P{k}" for k in range(n_patients)], 4)
    images = np.full((len(patient), 50, 50), 150, dtype=np.uint8)
    return CellCrops(images, np.arange(len(patient)) % 2 == 0, patient)


def test_no_patient_is_in_two_splits_and_none_is_lost():
    parts = {split: set(split_crops(crops(), TINY, split).patient) for split in ("train", "calibration", "test")}
    assert len(parts["test"]) == 10
    assert sum(len(names) for names in parts.values()) == 40
    assert set.union(*parts.values()) == set(crops().patient)


def test_the_held_out_patients_depend_only_on_the_patients_seed():
    other = TINY.model_copy(update={"seed": 9})
    assert set(split_crops(crops(), TINY, "test").patient) == set(split_crops(crops(), other, "test").patient)


def test_slides_of_different_splits_and_numbers_differ_and_come_again():
    slides = Slides(TINY)
    same = [slides.smear("train", 0).truth().rows.tobytes() for _ in range(2)]
    others = {slides.smear(split, k).truth().rows.tobytes() for split, k in (("train", 1), ("test", 0))}
    assert same[0] == same[1]
    assert same[0] not in others
    assert len(others) == 2


def test_parasitaemia_is_drawn_inside_its_range():
    config = TINY.model_copy(update={"test": TINY.test.model_copy(update={"parasitaemia": (0.2, 0.4)})})
    drawn = [Slides(config).smear("test", k).config.parasitaemia for k in range(20)]
    assert min(drawn) >= 0.2
    assert max(drawn) <= 0.4
    assert len(set(drawn)) == 20


def test_a_group_with_variety_has_slides_of_its_own_density_and_focus():
    variety = SlideVariety(density_spread=0.5, focus_um=30.0, tilt_um_per_mm=0.0)
    group = TINY.train.model_copy(update={"variety": variety, "defocus_um": 0.0})
    alike, varied = Slides(TINY), Slides(TINY.model_copy(update={"train": group}))
    assert varied.traits("train", 0) == varied.traits("train", 0) != varied.traits("train", 1)
    assert alike.traits("train", 0) == SlideTraits()
    for number in range(2):
        one, other = alike.smear("train", number).config, varied.smear("train", number).config
        assert other.monolayer_per_mm2 == varied.traits("train", number).density * one.monolayer_per_mm2
    off_um = [scene.defocus_um for scene in varied.scenes("train")]
    assert off_um == [-varied.traits("train", number).focus_um for number in (0, 0, 1, 1)]


def test_slides_to_calibrate_on_may_be_other_ones():
    slides = Slides(TINY)
    other = slides.with_calibration(TINY.calibration.model_copy(update={"slides": 3, "variety": SlideVariety()}))
    assert other.config.calibration.slides == 3
    assert slides.config.calibration.slides == TINY.calibration.slides
    assert other.traits("calibration", 0) != SlideTraits() == other.traits("train", 0)


def test_real_cells_without_a_file_are_asked_for():
    with pytest.raises(FileMissing, match="NIH"):
        Slides(TINY.model_copy(update={"data": "nih"}))


def test_true_cells_are_in_the_pixels_of_the_field():
    smear = Slides(TINY).smear("train", 0)
    table = smear.truth()
    cells = true_cells(smear, 100.0, 75.0, camera_px=48, camera_pixel_um=1.2)
    assert 0 < len(cells) < len(table)
    assert cells.x_px.min() >= -0.5
    assert cells.x_px.max() < 47.5
    back_um = np.sort((cells.x_px - 23.5) * 1.2 + 100.0)
    inside = table.within(100 - 28.8, 100 + 28.8, 75 - 28.8, 75 + 28.8)
    # float64 rounding of numbers near 100
    assert np.allclose(back_um, np.sort(inside.x_um), atol=1e-9)


def test_fields_are_computed_once_and_then_read(tmp_path: Path):
    first = Slides(TINY).fields("train", tmp_path)
    calls = []
    second = Slides(TINY).fields("train", tmp_path, advance=lambda: calls.append(1))
    assert first.stacks.shape == (4, 9, 48, 48)
    assert np.array_equal(first.stacks, second.stacks)
    assert calls == []
    assert first.slide.tolist() == [0, 0, 1, 1]
    assert set(first.cells.field) == {0, 1, 2, 3}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_change_that_matters_computes_anew_and_one_that_does_not_does_not(tmp_path: Path):
    Slides(TINY).fields("train", tmp_path)
    longer = TINY.training.model_copy(update={"steps": 7})
    Slides(TINY.model_copy(update={"training": longer})).fields("train", tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    Slides(TINY.model_copy(update={"seed": 3})).fields("train", tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_an_interrupted_computation_leaves_nothing_behind(tmp_path: Path):
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Slides(TINY).fields("train", tmp_path, advance=stop)
    assert list(tmp_path.iterdir()) == []


def test_damaged_fields_are_refused(tmp_path: Path):
    Slides(TINY).fields("train", tmp_path)
    (folder,) = tmp_path.iterdir()
    (folder / "cells.npz").write_bytes(b"nothing")
    with pytest.raises(WrongFormat, match="damaged"):
        FieldSet.load(folder)


@pytest.mark.data
def test_real_patients_are_split_a_quarter_to_the_side(data_dir: Path):
    real = CellCrops.from_path(data_dir / "nih_malaria_cells_50px")
    held_out = split_crops(real, TINY, "test")
    assert len(set(held_out.patient)) == 34
    assert not set(held_out.patient) & set(split_crops(real, TINY, "train").patient)
