"""LED stacks of whole fields: right in place and light, kept on disk whole, and the same read back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from field_phantoms import RIG, OneDisc, phantoms, photograph

from lsm.errors import WrongFormat
from lsm.optics import led_stack
from lsm.optics.stackfile import read_stack
from lsm.vision.field import LedFields, PhotographConfig, Photographs, Scene, scene_stack

BOARD = RIG.led_board.board()


def test_an_absorbing_disc_is_dark_inside_its_box():
    scene = OneDisc(radius_px=6.0).scene(0)
    image = scene_stack(scene, BOARD, RIG.system)[int(BOARD.na.argmin())].numpy()
    x0, y0, x1, y1 = scene.objects.box_px[0].round().astype(int)
    # absorbance 1 in the middle, where the rings of a sharp pupil around an edge have died down to a tenth
    assert image[(y0 + y1) // 2, (x0 + x1) // 2] == pytest.approx(np.exp(-1), abs=0.1)
    inside, outside = image[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1].mean(), image.copy()
    outside[y0 - 3 : y1 + 3, x0 - 3 : x1 + 3] = np.nan
    assert inside < 0.7 < 0.95 < float(np.nanmean(outside)) < 1.05


def test_a_field_of_one_tile_is_what_led_stack_gives():
    scene = phantoms().scene(0)
    expected = led_stack(torch.from_numpy(scene.transmission), BOARD, RIG.system, defocus_um=scene.defocus_um)
    assert torch.equal(scene_stack(scene, BOARD, RIG.system), expected)


def test_a_large_field_agrees_with_its_middle_computed_alone():
    large = OneDisc(radius_px=5.0).scene(0)
    step = RIG.system.decimation
    # 90 x 70 camera pixels of empty slide, and the disc in them
    whole = np.ones((90 * step, 70 * step), dtype=np.complex64)
    whole[step * 20 : step * 20 + RIG.system.sample_px, step * 10 : step * 10 + RIG.system.sample_px] = (
        large.transmission
    )
    scene = Scene("large", "one", whole, (88, 69), large.objects, 0.0)
    images = scene_stack(scene, BOARD, RIG.system)
    assert images.shape == (25, 88, 69)
    centre = int(BOARD.na.argmin())
    margin = RIG.system.margin_px
    first = slice(20 + margin, 20 + margin + 40), slice(10 + margin, 10 + margin + 40)
    alone = scene_stack(large, BOARD, RIG.system)[centre]
    # tiles have a soft pupil and end elsewhere: a few per cent of an image whose mean is 1 (see field_tiles)
    assert float((images[centre][first] - alone).square().mean().sqrt()) < 0.06
    assert float(images[centre].min()) == pytest.approx(float(alone.min()), abs=0.1)


def test_fields_come_back_from_disk_as_they_were_computed(tmp_path: Path):
    scenes, told = phantoms(), []
    fields = LedFields.cached(scenes, RIG, tmp_path, advance=lambda: told.append(1))
    assert (len(fields), len(told), fields.categories) == (4, 4, scenes.categories)
    for number in range(4):
        scene, field = scenes.scene(number), fields.fields[number]
        assert (field.name, field.group, field.size) == (scene.name, scene.group, scene.size)
        assert np.array_equal(field.objects.box_px, scene.objects.box_px)
        assert np.array_equal(field.objects.category, scene.objects.category)
        assert np.array_equal(field.objects.ignore, scene.objects.ignore)
        assert field.objects.masks is not None
        assert scene.objects.masks is not None
        for mask, expected in zip(field.objects.masks, scene.objects.masks, strict=True):
            assert (mask.top, mask.left) == (expected.top, expected.left)
            assert np.array_equal(mask.inside, expected.inside)
    scene = scenes.scene(2)
    computed = scene_stack(scene, BOARD, RIG.system)
    # half precision: 2^-11 of the value
    assert torch.allclose(fields.stack(2), computed, rtol=2**-11, atol=1e-6)
    window = (slice(3, 13), slice(20, 40))
    assert torch.equal(fields.stack(2, window), fields.stack(2)[:, 3:13, 20:40])
    sample, defocus_um = fields.sample(2)
    assert np.array_equal(sample.numpy(), scene.transmission)
    assert defocus_um == scene.defocus_um


def test_the_same_fields_are_computed_once_and_others_apart(tmp_path: Path):
    def advance() -> None:
        raise AssertionError("it was computed again")

    first = LedFields.cached(OneDisc(), RIG, tmp_path)
    again = LedFields.cached(OneDisc(), RIG, tmp_path, advance=advance)
    assert torch.equal(first.stack(0), again.stack(0))
    other = LedFields.cached(OneDisc(absorbance=0.5), RIG, tmp_path)
    assert other.folder != first.folder
    assert len([each for each in tmp_path.iterdir() if each.is_dir()]) == 2


def test_a_stack_file_says_what_made_it_and_memory_changes_nothing(tmp_path: Path):
    fields = LedFields.cached(phantoms(slides=1, fields_per_slide=1), RIG, tmp_path)
    held = read_stack(fields.folder / "00000.h5")
    assert held.made["name"] == "slide 0 field 0"
    assert held.board.digest == BOARD.digest
    assert held.system == RIG.system
    forgetful = LedFields(fields.folder, RIG, fields.categories, fields.origin, memory_mb=0)
    assert torch.equal(forgetful.stack(0), fields.stack(0))
    assert torch.equal(fields.stack(0), fields.stack(0))


def test_photographs_smaller_than_the_field_and_not_square_are_kept_so(tmp_path: Path):
    scenes = Photographs(photograph(), PhotographConfig(pixel_um=0.1), RIG.system)
    fields = LedFields.cached(scenes, RIG, tmp_path)
    assert fields.stack(0).shape == (25, 33, 25)
    assert torch.allclose(fields.stack(0), scene_stack(scenes.scene(0), BOARD, RIG.system), rtol=2**-11, atol=1e-6)


def test_a_damaged_folder_is_refused_by_name(tmp_path: Path):
    fields = LedFields.cached(OneDisc(), RIG, tmp_path)
    (fields.folder / "00000.h5").write_bytes(b"nothing")
    with pytest.raises(WrongFormat, match=r"is not an LED stack.*delete the folder"):
        LedFields.cached(OneDisc(), RIG, tmp_path).stack(0)
    (fields.folder / "marks.npz").write_bytes(b"nothing")
    with pytest.raises(WrongFormat, match=r"are damaged.*delete the folder"):
        len(LedFields.cached(OneDisc(), RIG, tmp_path))


def test_a_run_that_breaks_off_leaves_no_folder(tmp_path: Path):
    def advance() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LedFields.cached(OneDisc(), RIG, tmp_path, advance=advance)
    assert list(tmp_path.iterdir()) == []
