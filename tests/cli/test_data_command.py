"""`lsm data`: sets that are found, stacks that are made, and sentences for what cannot be."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lsm.cli import main
from lsm.sensing.cells import read_cells

QUICK = ("--sample-px", "64", "--sample-pixel-um", "0.3")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        main(["data", *words])
    return int(stop.value.code or 0), capsys.readouterr().out


def made(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    code, out = run(capsys, "convert", *words, "--json")
    assert code == 0, out
    facts: dict[str, Any] = json.loads(out)
    return facts


def board_config(folder: Path) -> Path:
    file = folder / "light.toml"
    file.write_text("[board]\nrows = 3\ncolumns = 3\npitch_mm = 12.0\n")
    return file


def crops(folder: Path) -> Path:
    y, x = np.mgrid[:50, :50] - 24.5
    images = np.where(np.hypot(x, y) < 24, 160, 0).astype(np.uint8)[None].repeat(6, 0)
    np.savez(folder / "dev.npz", images=images, labels=np.arange(6) % 2, patient=np.array(list("aabbcc")))
    return folder / "dev.npz"


def test_sets_are_found_below_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "nih_malaria_cells_50px").mkdir()
    crops(tmp_path / "nih_malaria_cells_50px")
    (tmp_path / "figshare/thin").mkdir(parents=True)
    (tmp_path / "figshare/thin/all_with_malaria_combo_328.mat").touch()
    monkeypatch.setenv("LSM_DATA", str(tmp_path))
    code, out = run(capsys, "list", "--json")
    assert code == 0
    found = {row["name"]: row["found"] for row in json.loads(out)["sets"] if row["found"]}
    assert found == {
        "nih_malaria_cells_50px": str(tmp_path / "nih_malaria_cells_50px"),
        "muthumbi2019": str(tmp_path / "figshare/thin"),
    }
    code, out = run(capsys, "list")
    assert code == 0
    lines = [line for line in out.splitlines() if "nih_malaria_cells_50px" in line or "bsccm" in line]
    assert ["yes" in line for line in lines] == [True, False]
    monkeypatch.delenv("LSM_DATA")
    code, out = run(capsys, "list")
    assert code == 0
    assert "LSM_DATA does not name a folder" in out


def test_crops_become_a_stack_and_options_override_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = (str(crops(tmp_path)), str(tmp_path / "a.h5"), "--config", str(board_config(tmp_path)), *QUICK)
    facts = made(capsys, *words, "--variants", "2", "--colours", "0-1", "--grey", "fixed")
    assert (facts["rows"], facts["lamps"], facts["patients"], facts["infected"]) == (12, 18, 3, 6)
    stack = read_cells(tmp_path / "a.h5")
    assert stack.source == facts["source"] == "simulated optics on 6 cell crops (grey levels: fixed)"
    config = stack.made["config"]
    assert (config["board"]["rows"], config["variants"], config["colours"]) == (3, 2, [0, 1])


def test_the_papers_arrays_become_a_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    images = np.random.default_rng(0).integers(1, 255, (5, 28, 28, 96)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(5) % 2)
    facts = made(capsys, str(tmp_path / "a.npz"), str(tmp_path / "a.h5"))
    assert (facts["rows"], facts["lamps"], facts["infected"]) == (5, 84, 2)
    assert "folds are by cell" in facts["source"]


def test_pieces_of_a_recovered_slide_become_a_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with h5py.File(tmp_path / "slide.h5", "w") as file:
        file["transmission"] = np.ones((100, 100), dtype=np.complex64)
        file.attrs.update(sample_pixel_um=0.3, wavelength_um=0.53)
    (tmp_path / "centres.csv").write_text("x_um,y_um\n0,0\n3,-2\n")
    words = (str(tmp_path / "slide.h5"), str(tmp_path / "a.h5"), "--config", str(board_config(tmp_path)), *QUICK)
    facts = made(capsys, *words, "--centres", str(tmp_path / "centres.csv"))
    assert (facts["rows"], facts["lamps"], facts["infected"]) == (2, 9, None)
    (tmp_path / "b.h5").touch()
    code, out = run(capsys, "convert", *words[:1], str(tmp_path / "c.h5"), *QUICK, "--json")
    assert code == 2
    assert "does not say where its cells are" in json.loads(out)["message"]


def test_phantoms_become_a_stack_and_people_read_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ("phantom", str(tmp_path / "a.h5"), "--config", str(board_config(tmp_path)), *QUICK)
    code, out = run(capsys, "convert", *words, "--smears", "2", "--per-smear", "6", "--seed", "5")
    assert code == 0
    assert "12 cells (6 infected, 2 patients) under 9 lamps, 16 x 16 px." in out
    assert read_cells(tmp_path / "a.h5").patients().tolist() == ["phantom 5", "phantom 6"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("none.npz", "out.h5"), "There is no data set none.npz"),
        (("text.txt", "out.h5"), "text.txt is none of the sources"),
        (("phantom", "old.h5"), "old.h5 exists"),
        (("phantom", "none/out.h5"), "There is no folder for none/out.h5"),
        (("phantom", "out.h5", "--colours", "0-x"), "'0-x' is no list of numbers"),
        (("phantom", "out.h5", "--colours", "2-0"), "'2-0' is no list of numbers"),
        (("phantom", "out.h5", "--variants", "3"), "'variants' does nothing for phantom"),
        (("phantom", "out.h5", "--board", "leds.csv"), "'--board' does nothing for phantom"),
        (("dome", "out.h5", "--na", "0.25"), "'na' does nothing for dome, which is of the kind 'bsccm'"),
        (("phantom", "out.h5", "--grey", "dark"), "'grey' = 'dark' is not valid"),
        (("dome", "out.h5"), "dome does not say where its LEDs are"),
        (("dome", "out.h5", "--kind", "paper"), "0 files of healthy"),
        (("text.npz", "out.h5"), "text.npz holds no array 'images'"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str],
    sentence: str,
):
    monkeypatch.chdir(tmp_path)
    for name in ("text.txt", "text.npz", "old.h5"):
        Path(name).write_text("words")
    Path("dome").mkdir()
    Path("dome/BSCCM_global_metadata.json").write_text("{}")
    code, out = run(capsys, "convert", *words, "--json")
    assert code == 2
    assert sentence in json.loads(out)["message"]
    assert json.loads(out)["hint"]
    assert not Path("out.h5").exists()
    assert Path("old.h5").read_text() == "words"
