"""Parts of a set: no group in two, shares as asked, the same again for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsm.errors import InputError
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Objects, blocks, k_folds, split

PIXELS = np.zeros((4, 4), dtype=np.uint8)


def made(groups: list[str], counts: np.ndarray) -> AnnotatedSet:
    """An image for each group name and row of counts by category."""
    images = []
    for number, (group, row) in enumerate(zip(groups, counts, strict=True)):
        kinds = np.repeat(np.arange(counts.shape[1]), row)
        boxes = np.tile([0.0, 0, 2, 2], (len(kinds), 1))
        images.append(AnnotatedImage.of(f"{number}.png", PIXELS, Objects(boxes, kinds), group=group))
    return AnnotatedSet(tuple(images), tuple("abcd"[: counts.shape[1]]))


def smears(seed: int, *, patients: int = 40) -> AnnotatedSet:
    """Patients with 1 to 6 images each, in which one category is common, one belongs to some patients."""
    rng = np.random.default_rng(seed)
    groups, rows = [], []
    for patient in range(patients):
        ill = rng.random() < 0.3
        for _ in range(rng.integers(1, 7)):
            groups.append(f"p{patient}")
            rows.append([rng.poisson(60), rng.poisson(8) * ill, rng.poisson(1)])
    return made(groups, np.array(rows))


def names(data: AnnotatedSet) -> set[str]:
    return {image.name for image in data.images}


def groups(data: AnnotatedSet) -> set[str]:
    return {image.group for image in data.images}


@given(st.integers(0, 10**6), st.floats(0.1, 0.9))
@settings(max_examples=20, deadline=None)
def test_a_split_parts_the_images_and_no_group(seed: int, share: float):
    data = smears(seed)
    rest, held = split(data, share, seed)
    assert names(rest) | names(held) == names(data)
    assert not names(rest) & names(held)
    assert not groups(rest) & groups(held)
    assert len(rest)
    assert len(held)


@given(st.integers(0, 10**6), st.integers(2, 6))
@settings(max_examples=20, deadline=None)
def test_folds_hold_every_image_out_once(seed: int, k: int):
    data = smears(seed)
    folds = k_folds(data, k, seed)
    assert len(folds) == k
    assert sum(len(held) for _, held in folds) == len(data)
    assert set().union(*(names(held) for _, held in folds)) == names(data)
    for rest, held in folds:
        assert names(rest) | names(held) == names(data)
        assert not groups(rest) & groups(held)
        assert len(held)


def off(data: AnnotatedSet, held: AnnotatedSet, share: float) -> float:
    """Largest distance of the part's share of any category from the one asked for."""
    whole, part = data.counts(), held.counts()
    return max(abs(part[name] / whole[name] - share) for name in whole)


def test_categories_are_shared_out_far_better_than_by_chance():
    for seed in range(5):
        data = smears(seed)
        held = split(data, 0.25, seed)[1]
        rng = np.random.default_rng(seed)
        by_chance = []
        for _ in range(20):
            chosen = set(rng.permutation(sorted(groups(data)))[:10].tolist())
            by_chance.append(off(data, data.where([k for k, i in enumerate(data.images) if i.group in chosen]), 0.25))
        # 10 of 40 patients, the rare category in about 12 of them: single patients cannot be cut
        assert off(data, held, 0.25) < 0.04 < float(np.median(by_chance))


def test_without_groups_shares_are_exact_to_an_image():
    data = made([""] * 100, np.tile([3, 1], (100, 1)))
    assert len(split(data, 0.2, 0)[1]) == 20
    assert [len(held) for _, held in k_folds(data, 4, 0)] == [25] * 4


def test_strata_are_shared_out_too():
    rng = np.random.default_rng(0)
    data = made([""] * 90, rng.poisson(5, (90, 1)) + 1)
    stains = ["stained"] * 12 + ["dark"] * 78
    by_name = dict(zip((image.name for image in data.images), stains, strict=True))
    for _, held in k_folds(data, 3, 1, strata=stains):
        assert sum(by_name[image.name] == "stained" for image in held.images) == 4


def test_the_same_seed_gives_the_same_parts_and_another_others():
    data = smears(1)
    parts = [[image.name for image in split(data, 0.3, seed)[1].images] for seed in (5, 5, 6)]
    assert parts[0] == parts[1]
    assert parts[0] != parts[2]


def test_what_cannot_be_split_is_said():
    data = made(["p1", "p1", "p2"], np.ones((3, 1), dtype=int))
    for call, sentence in (
        (lambda: split(data, 0.0, 0), "A share of 0 cannot be held out"),
        (lambda: split(data, float("nan"), 0), "A share of nan"),
        (lambda: k_folds(data, 1, 0), "1 folds cannot be made"),
        (lambda: k_folds(data, 3, 0), "3 images in 2 groups cannot be shared out over 3 parts"),
        (lambda: split(data.where([]), 0.5, 0), "0 images in 0 groups"),
        (lambda: split(data, 0.5, 0, strata=["a"]), "1 strata are given for 3 images"),
        (lambda: blocks(data, 0), "A block cannot have 0 numbers"),
    ):
        with pytest.raises(InputError) as error:
            call()
        assert sentence in error.value.message


def test_blocks_are_neighbouring_numbers_of_one_series():
    series = ["1.jpg", "19.jpg", "20.jpg", "a/BloodImage_00021.jpg", "a/BloodImage_00039.png", "slide2_field40"]
    data = AnnotatedSet(tuple(AnnotatedImage.of(name, PIXELS) for name in series), ())
    assert [image.group for image in blocks(data, 20).images] == [
        "block 0",
        "block 0",
        "block 1",
        "a/BloodImage_block 1",
        "a/BloodImage_block 1",
        "slide2_fieldblock 2",
    ]
    with pytest.raises(InputError, match="The name x has no number"):
        blocks(AnnotatedSet((AnnotatedImage.of("x", PIXELS),), ()), 20)
