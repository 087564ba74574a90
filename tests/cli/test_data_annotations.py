"""`lsm data convert --to` and `lsm data check`: annotations on the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lsm.cli import main
from lsm.vision.data import read_annotations
from lsm.vision.data.formats.recognise import recognise


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        main(["data", *words])
    return int(stop.value.code or 0), capsys.readouterr().out


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    got, out = run(capsys, *words, "--json")
    assert got == code, out
    facts: dict[str, Any] = json.loads(out)
    return facts


def voc(folder: Path, *boxes: tuple[int, int, int, int], name: str = "a", seed: int = 0) -> Path:
    """A folder as BCCD's, or one more image in it."""
    (folder / "Annotations").mkdir(parents=True, exist_ok=True)
    (folder / "JPEGImages").mkdir(exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"JPEGImages/{name}.jpg")
    edges = ("xmin", "ymin", "xmax", "ymax")
    text = "".join(
        "<object><name>RBC</name><difficult>0</difficult><bndbox>"
        + "".join(f"<{edge}>{value}</{edge}>" for edge, value in zip(edges, box, strict=True))
        + "</bndbox></object>"
        for box in boxes
    )
    size = "<size><width>60</width><height>40</height><depth>3</depth></size>"
    written = f"<annotation><filename>{name}.jpg</filename>{size}{text}</annotation>"
    (folder / f"Annotations/{name}.xml").write_text(written)
    return folder


CLICK = (5, 5, 5, 5)


@pytest.mark.parametrize(("words", "kind"), [((), "coco"), (("--to", "keras-rcnn"), "keras-rcnn")])
def test_annotations_are_converted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], kind: str
):
    source, out = voc(tmp_path / "set", (1, 1, 10, 10)), tmp_path / "out.json"
    facts = told(capsys, "convert", str(source), str(out), *words)
    assert (facts["format"], facts["images"], facts["objects"], facts["masks"]) == (kind, 1, {"RBC": 1}, False)
    assert recognise(out) == (kind, out)
    again = read_annotations(out)
    assert again.images[0].objects.box_px.tolist() == [[0, 0, 10, 10]]


def test_what_was_mended_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source, out = voc(tmp_path / "set", (1, 1, 10, 10), CLICK), tmp_path / "out.json"
    refused = told(capsys, "convert", str(source), str(out), code=2)
    assert "is a single pixel" in refused["message"]
    assert not out.exists()
    code, text = run(capsys, "convert", str(source), str(out), "--repair")
    assert code == 0
    assert "error: degenerate-box" in text
    assert "1 images, 1 RBC, without masks." in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("set", "out.h5"), "set holds annotations (voc), which are no stack of cells"),
        (("set", "out.h5", "--repair"), "'--repair' does nothing for a stack of cells"),
        (("set", "out.json", "--na", "0.2"), "'--na' does nothing for annotations"),
        (("set", "out.json", "--central"), "'--central' does nothing for annotations"),
        (("set", "out.json", "--kind", "bsccm"), "'bsccm' is no kind of annotations"),
        (("set", "out.json", "--kind", "coco"), "The annotations set do not exist"),
        (("set", "out.json", "--categories", "WBC, Platelets"), "of the unknown category 'RBC'"),
        (("none", "out.json"), "There are no annotations none"),
        (("points", "out.json"), "points holds points, and no side is given"),
        (("set", "old.json"), "old.json exists"),
    ],
)
def test_what_cannot_be_converted_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    sentence: str,
):
    monkeypatch.chdir(tmp_path)
    voc(Path("set"), (1, 1, 10, 10))
    Path("points/labels").mkdir(parents=True)
    Path("points/labels/a.txt").write_text("1 2 3\n")
    Path("old.json").write_text("words")
    facts = told(capsys, "convert", *words, code=2)
    assert sentence in facts["message"]
    assert facts["hint"]
    assert not Path("out.json").exists()
    assert Path("old.json").read_text() == "words"


def test_a_sound_set_is_said_to_be_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = voc(tmp_path / "set", (1, 1, 10, 10))
    voc(source, (1, 1, 20, 20), name="b", seed=1)
    code, out = run(capsys, "check", str(source))
    assert code == 0
    assert "2 images, 2 RBC (Pascal VOC annotations set)" in out
    assert "0 errors, 0 warnings." in out


def test_faults_within_and_between_sets_make_the_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    train = voc(tmp_path / "train", (1, 1, 10, 10), (1, 1, 10, 10))
    val = voc(tmp_path / "val", CLICK, (3, 3, 20, 20), name="b")
    facts = told(capsys, "check", str(train), str(val), code=1)
    assert (facts["errors"], facts["warnings"]) == (2, 1)
    assert sorted(each["kind"] for each in facts["findings"]) == ["degenerate-box", "duplicate-across", "duplicate-box"]
    assert [one["objects"] for one in facts["sets"]] == [{"RBC": 2}, {"RBC": 1}]
    code, out = run(capsys, "check", str(train), str(val))
    assert code == 1
    assert out.index("error: duplicate-across") < out.index("warning: duplicate-box")
    assert "2 errors, 1 warning." in out


def test_many_findings_of_a_kind_are_cut_for_people_and_not_for_machines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    source = voc(tmp_path / "set", (1, 1, 10, 10), *[CLICK] * 11)
    assert len(told(capsys, "check", str(source), code=1)["findings"]) == 11
    assert "... and 3 more; --json has all" in run(capsys, "check", str(source))[1]


def test_blocks_of_neighbours_are_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for part, number in (("train", 3), ("val", 4)):
        voc(tmp_path / part, (1, 1, 10, 10), name=f"smear_{number}", seed=number)
    parts = [str(tmp_path / part) for part in ("train", "val")]
    assert told(capsys, "check", *parts)["errors"] == 0
    facts = told(capsys, "check", *parts, "--blocks", "10", code=1)
    assert [each["kind"] for each in facts["findings"]] == ["group-across"]
    assert told(capsys, "check", *parts, "--blocks", "4")["errors"] == 0


def test_an_image_that_is_damaged_behind_its_header_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = voc(tmp_path / "set", (1, 1, 10, 10))
    voc(source, (1, 1, 20, 20), name="b", seed=1)
    file = source / "JPEGImages/b.jpg"
    file.write_bytes(file.read_bytes()[:-500])
    facts = told(capsys, "check", str(source), code=1)
    assert [(each["kind"], each["images"]) for each in facts["findings"]] == [("image-unreadable", ["b.jpg"])]
    converted = told(capsys, "convert", str(source), str(tmp_path / "out.json"), "--repair")
    assert converted["images"] == 1
