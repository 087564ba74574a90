"""The public sets as they are, against what their own lists say."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from lsm.errors import WrongFormat
from lsm.vision.data import CHULA_CATEGORIES, Finding, read_annotations, read_pixels
from lsm.vision.data.looks import look_at, same_pictures


@pytest.mark.data
def test_bccd_has_all_boxes_but_its_two_clicks(data_dir: Path):
    with pytest.raises(WrongFormat, match=r"object 13 of BloodImage_00338\.jpg is a single pixel"):
        read_annotations(data_dir / "bccd")
    found: list[Finding] = []
    data = read_annotations(data_dir / "bccd", repair=True, tell=found.append)
    listed = (data_dir / "bccd/images.txt").read_text().split()
    assert [Path(image.name).stem for image in data.images] == sorted(listed)
    # the README names both faults of the set
    assert [(each.kind, each.images) for each in found] == [
        ("degenerate-box", ("BloodImage_00338.jpg",)),
        ("degenerate-box", ("BloodImage_00343.jpg",)),
    ]
    files = (data_dir / "bccd/BCCD/Annotations").glob("*.xml")
    names = re.findall("<name>(.*?)</name>", "".join(file.read_text() for file in files))
    assert data.counts() == {
        "Platelets": names.count("Platelets"),
        "RBC": names.count("RBC") - 2,
        "WBC": names.count("WBC"),
    }
    assert {image.size for image in data.images} == {(480, 640)}


@pytest.mark.data
def test_chula_has_all_points(data_dir: Path):
    folder = data_dir / "chula_rbc12"
    data = read_annotations(folder, side_px=70, categories=CHULA_CATEGORIES)
    lines = [line.split() for file in (folder / "labels").glob("*.txt") for line in file.read_text().splitlines()]
    known = np.bincount([int(words[2]) for words in lines if words], minlength=len(CHULA_CATEGORIES))
    assert list(data.counts().values()) == known.tolist()
    assert len(data) == len((folder / "images.txt").read_text().split())


@pytest.mark.data
def test_dsb2018_has_the_objects_of_its_manifest(data_dir: Path):
    folder = data_dir / "dsb2018_nuclei"
    data = read_annotations(folder, category="nucleus")
    with (folder / "manifest.csv").open(newline="") as lines:
        rows = {
            row["id"]: (int(row["height"]), int(row["width"]), int(row["n_objects"])) for row in csv.DictReader(lines)
        }
    assert {Path(i.name).stem: (*i.size, len(i.objects)) for i in data.images} == rows
    assert data.has_masks
    assert data.categories == ("nucleus",)


@pytest.mark.data
def test_fields_that_are_twice_in_public_sets_are_found(data_dir: Path):
    # one field each, seen side by side: a pointer drawn in, refocused, another scale bar, the same under two numbers
    twice = [("243", "244"), ("251", "252"), ("268", "274"), ("567", "614")]
    names = [name for pair in twice for name in pair] + ["301", "100", "105"]
    looks = [look_at(read_pixels(data_dir / f"chula_rbc12/images/{name}.jpg")) for name in names]
    assert [tuple(names[k] for k in members) for members in same_pictures(looks)] == twice
    fields = [data_dir / f"bccd/BCCD/JPEGImages/BloodImage_{number:05d}.jpg" for number in (36, 37, 38)]
    looks = [look_at(read_pixels(file)) for file in fields if file.is_file()]
    assert [len(members) for members in same_pictures(looks)] == [2]
