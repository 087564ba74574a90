"""Fields before they are imaged: marks lie where the cells are, whole, cut or left out."""

import math

import numpy as np
import pytest
from field_phantoms import RIG, phantoms, photograph
from hypothesis import given
from hypothesis import strategies as st

from lsm.errors import ConfigError, InputError
from lsm.samples import Kind
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Mask, Objects
from lsm.vision.field import INFECTED, PhotographConfig, Photographs
from lsm.vision.field.scenes import scaled_mask, seen_objects

STEP, MARGIN = RIG.system.decimation, RIG.system.margin_px


@given(
    top=st.integers(-9, 9), left=st.integers(-9, 9), height=st.integers(1, 12), width=st.integers(1, 12),
    factor=st.sampled_from([2, 3, 4]),
)  # fmt: skip
def test_a_mask_made_finer_and_coarser_again_is_itself(top: int, left: int, height: int, width: int, factor: int):
    rng = np.random.default_rng(height * 100 + width)
    inside = rng.random((height, width)) < 0.6
    inside[0, :] = inside[:, 0] = inside[-1, :] = inside[:, -1] = True
    mask = Mask(top, left, inside)
    finer = scaled_mask(mask, (factor, factor))
    assert finer is not None
    assert finer.area_px == mask.area_px * factor**2
    back = scaled_mask(finer, (1 / factor, 1 / factor))
    assert back is not None
    assert (back.top, back.left) == (top, left)
    assert np.array_equal(back.inside, inside)


def test_a_coarse_mask_has_the_pixels_that_are_half_covered_or_the_best_one():
    # 4 x 6 fine pixels from row 2, column 3: covers 1/2, 1 of two rows and 1/4, 1, 1/4 of three columns at 1/4 scale
    coarse = scaled_mask(Mask(2, 3, np.ones((6, 6), dtype=bool)), (0.25, 0.25))
    assert coarse is not None
    assert (coarse.top, coarse.left, coarse.inside.tolist()) == (0, 1, [[True], [True]])
    speck = scaled_mask(Mask(5, 5, np.ones((1, 1), dtype=bool)), (0.25, 0.25))
    assert speck is not None
    assert (speck.top, speck.left, speck.area_px) == (1, 1, 1)
    assert scaled_mask(Mask(0, 0, np.zeros((2, 2), dtype=bool)), (1, 1)) is None


def test_objects_are_cut_at_the_edge_ignored_when_mostly_outside_and_dropped_when_gone():
    boxes = np.array([[2.0, 2, 6, 6], [-1, 2, 3, 6], [-3, 2, 1, 6], [20, 2, 24, 6]])
    masks = tuple(Mask(int(y0), int(x0), np.ones((4, 4), dtype=bool)) for x0, y0, _, _ in boxes)
    seen = seen_objects(boxes, np.arange(4), masks, np.zeros(4, dtype=bool), (10, 20))
    assert seen.category.tolist() == [0, 1, 2]
    assert seen.ignore.tolist() == [False, False, True]
    assert seen.box_px[1].tolist() == [0, 2, 3, 6]
    assert seen.masks is not None
    assert [mask.area_px for mask in seen.masks] == [16, 12, 4]
    assert [mask.left for mask in seen.masks] == [2, 0, 0]


def test_a_phantom_is_marked_exactly_where_it_absorbs():
    found = phantoms(slides=1, fields_per_slide=3, defocus_um=0.0)
    for number in range(3):
        scene = found.scene(number)
        absorbance = -2 * np.log(np.abs(scene.transmission))
        inner = absorbance[MARGIN * STEP : -MARGIN * STEP, MARGIN * STEP : -MARGIN * STEP]
        side = scene.size[0]
        share = (inner > 0.02).reshape(side, STEP, side, STEP).mean(axis=(1, 3))
        marked = np.zeros(scene.size, dtype=bool)
        assert scene.objects.masks is not None
        for mask in scene.objects.masks:
            marked |= mask.whole(*scene.size)
        # what is fully covered belongs to some object; what is marked is at least touched
        assert marked[share == 1].mean() > 0.98
        assert share[marked].min() > 0
        # precipitate alone absorbs without being marked
        assert ((share > 0) & ~marked).mean() < 0.25


def test_boxes_bound_their_masks_closely():
    scene = phantoms(slides=1, fields_per_slide=1).scene(0)
    assert scene.objects.masks is not None
    gaps = []
    for box, mask in zip(scene.objects.box_px, scene.objects.masks, strict=True):
        outwards = np.concatenate([np.floor(box[:2]), np.ceil(box[2:])])
        # boxes are exact, and a coarse mask loses the pixels that a round end covers by less than half
        gap = (mask.box_px - outwards) * np.array([1, 1, -1, -1])
        assert gap.min() >= 0
        gaps.append(gap)
    assert np.mean(gaps) < 0.7
    assert np.max(gaps) <= 2


def test_each_phantom_field_is_the_same_by_its_number_and_names_its_slide():
    one, other = phantoms(), phantoms()
    assert one.digest == other.digest
    assert len(one) == 4
    first, again = one.scene(3), other.scene(3)
    assert np.array_equal(first.transmission, again.transmission)
    assert np.array_equal(first.objects.box_px, again.objects.box_px)
    assert first.defocus_um == again.defocus_um
    assert [one.scene(k).group for k in range(4)] == ["slide 0", "slide 0", "slide 1", "slide 1"]
    assert not np.array_equal(one.scene(2).transmission, first.transmission)
    later = phantoms(first_slide=1)
    assert np.array_equal(later.scene(1).transmission, first.transmission)
    assert later.digest != one.digest
    with pytest.raises(InputError, match="no field 4"):
        one.scene(4)


def test_no_part_of_a_slide_is_met_in_two_fields():
    found = phantoms(slides=2, fields_per_slide=6)
    for slide in range(2):
        seen = np.zeros((121, 161), dtype=int)
        for number in range(6 * slide, 6 * slide + 6):
            x_um, y_um = found.centre_um(number)
            # pixels of 1 um that lie in the field of 48 um as a whole
            seen[math.ceil(y_um - 24) : math.floor(y_um + 24), math.ceil(x_um - 24) : math.floor(x_um + 24)] += 1
        assert seen.max() == 1
        assert seen.sum() > 6 * 46**2
    assert found.centre_um(0) != found.centre_um(6)


def test_phantoms_name_infection_or_stage():
    healthy = phantoms(parasitaemia=(1e-9, 1e-9)).scene(0).objects.category
    sick = phantoms(parasitaemia=(1.0, 1.0)).scene(0).objects.category
    found = phantoms(stages=True, parasitaemia=(1.0, 1.0))
    kinds = [found.categories[k] for k in found.scene(0).objects.category]
    assert (healthy == 0).sum() == (sick == 1).sum() > 3
    assert phantoms().categories[1] == INFECTED
    assert (sick == 0).sum() == kinds.count("red cell") == 0
    assert kinds.count("ring") > 0
    assert len(kinds) == len(sick)
    assert found.categories[-2:] == ("white cell", "platelet")
    assert Kind.WHITE_CELL == 1


def test_impossible_phantoms_are_refused():
    with pytest.raises(ConfigError, match="holds 3 x 2 fields of 48 um side by side, not 7"):
        phantoms(fields_per_slide=7)
    with pytest.raises(ConfigError, match="holds 0 x 1 fields"):
        phantoms(smear={"width_um": 50.0, "height_um": 100.0}, fields_per_slide=1)
    with pytest.raises(ConfigError, match=r"runs from 0\.5 to 0\.1"):
        phantoms(parasitaemia=(0.5, 0.1))


def test_a_photograph_becomes_a_slide_of_its_own_absorbance_and_size():
    scenes = Photographs(photograph(), PhotographConfig(reference_um=7.92, defocus_um=0.0), RIG.system)
    assert scenes.pixel_um == pytest.approx(0.1)
    scene = scenes.scene(0)
    # 40 x 30 um are 33 x 25 camera pixels
    assert scene.size == (33, 25)
    box = scene.objects.box_px[0]
    assert box == pytest.approx([60.4 * 25 / 300, 160.4 * 33 / 400, 139.6 * 25 / 300, 239.6 * 33 / 400])
    y, x = (round((first + last) / 2 * STEP) + MARGIN * STEP for first, last in ((box[1], box[3]), (box[0], box[2])))
    middle = scene.transmission[y, x]
    # half of the light of an empty slide: absorbance ln 2, and 0.2 um of path for each unit
    assert abs(middle) ** 2 == pytest.approx(0.5, rel=1e-4)
    assert np.angle(middle) == pytest.approx(2 * np.pi * 0.2 * np.log(2) / 0.53, rel=1e-4)
    assert abs(scene.transmission[MARGIN * STEP, MARGIN * STEP]) == pytest.approx(1.0, abs=1e-5)
    assert scene.objects.masks is not None
    # area in um^2 is what it was, to the rim of one camera pixel
    assert scene.objects.masks[0].area_px * 1.2**2 == pytest.approx(np.pi * 3.91**2, rel=0.1)


def test_a_large_photograph_keeps_its_size_for_tiles():
    scenes = Photographs(photograph(), PhotographConfig(pixel_um=0.2), RIG.system)
    scene = scenes.scene(0)
    assert scene.size == (66, 50)
    assert scene.transmission.shape == (66 * STEP, 50 * STEP)


def test_photographs_that_tell_no_absorption_are_refused():
    data = photograph()
    with pytest.raises(ConfigError, match=r"no category 'cell'.*set pixel_um"):
        Photographs(data, PhotographConfig(reference="cell"), RIG.system)
    with pytest.raises(InputError, match="no photographs"):
        Photographs(data.where([]), PhotographConfig(), RIG.system)
    with pytest.raises(InputError, match="has 3 channels, channel 5"):
        Photographs(data, PhotographConfig(channel=5), RIG.system).scene(0)
    with pytest.raises(InputError, match="less than a camera pixel"):
        Photographs(data, PhotographConfig(pixel_um=0.001), RIG.system).scene(0)
    black = AnnotatedSet((AnnotatedImage.of("night", np.zeros((40, 40), dtype=np.uint8)),), ("RBC",))
    with pytest.raises(InputError, match="night is black"):
        Photographs(black, PhotographConfig(pixel_um=0.5), RIG.system).scene(0)


def test_the_digest_of_photographs_follows_pixels_and_marks():
    config = PhotographConfig(pixel_um=0.1)
    one = Photographs(photograph(), config, RIG.system).digest
    assert Photographs(photograph(), config, RIG.system).digest == one
    grey = Photographs(photograph(channels=1), config, RIG.system).digest
    moved = photograph()
    objects = Objects(moved.images[0].objects.box_px + 1, moved.images[0].objects.category)
    shifted = AnnotatedSet((AnnotatedImage.of("one", moved.images[0].pixels(), objects),), ("RBC",))
    assert len({one, grey, Photographs(shifted, config, RIG.system).digest}) == 3
