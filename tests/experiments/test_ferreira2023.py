"""The experiment on naming and counting: its data and accounts on made-up images, its direction on real ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lsm.errors import ConfigError, FileMissing
from lsm.experiments.ferreira2023 import FerreiraConfig, SmearTiles, Source, run
from lsm.experiments.ferreira2023.data import data_folder, open_crops, smear_fields
from lsm.samples import SmearConfig
from lsm.sensing.progress import Silent

pytestmark = pytest.mark.timeout(300)

SHIPPED = Path(__file__).parents[2] / "lsm" / "configs" / "experiment" / "ferreira2023.toml"
TINY = """
seeds = 2

[arms]
plain = {}
sharpened = { sharpen = "cross" }
augmented = { augment = true }

[tasks.infected]
crops = { kind = "nih", size_px = 10 }
arms = ["plain", "sharpened"]
network = { widths = [4], hidden = 4 }
fit = { epochs = 1 }

[tasks.shapes]
crops = { kind = "chula", cut_px = 12, size_px = 8, block = 2 }
arms = ["plain", "augmented"]
network = { widths = [4], hidden = 4 }
fit = { epochs = 1 }

[tasks.nuclei]
crops = { kind = "dsb", cut_px = 16, size_px = 8 }
arms = ["plain", "augmented"]
network = { widths = [4], hidden = 4 }
fit = { epochs = 1 }

[tasks.smear]
crops = { kind = "smear", size_px = 16, smear = { slides = 2, tiles = 4, smear = { width_um = 120, height_um = 80 } } }
arms = ["plain", "sharpened"]
network = { widths = [4], hidden = 4 }
fit = { epochs = 1 }
"""


def make_nih(folder: Path) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    images = rng.integers(100, 200, (16, 50, 50)).astype(np.uint8)
    patient = np.array([f"C{k % 4}" for k in range(16)])
    np.savez(folder / "dev.npz", images=images, labels=(np.arange(16) % 2).astype(np.uint8), patient=patient)


def make_chula(folder: Path) -> None:
    """Six images of different grounds; points of class k lie on a spot of level 20 k."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        ground = rng.integers(0, 255, (16, 6, 3)).astype(np.uint8)
        held = ground.repeat(10, axis=0).repeat(10, axis=1)
        lines = []
        for kind, (x, y) in enumerate([(10, 10), (30, 12), (50, 30), (20, 30)]):
            held[y - 8 : y + 9, x - 8 : x + 9] = 20 * kind
            lines.append(f"{x} {y} {kind}")
        Image.fromarray(held).save(folder / "images" / f"{number}.png")
        (folder / "labels" / f"{number}.txt").write_text("\n".join(lines), encoding="utf-8")


def make_dsb(folder: Path) -> None:
    """Six images of 16 x 32 px with one nucleus in the left half and two in the right; every other one in colour."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    lines = ["id,modality"]
    for number in range(6):
        labels = np.zeros((16, 32), dtype=np.uint16)
        labels[3:7, 3:7], labels[2:6, 20:24], labels[9:13, 26:30] = 1, 2, 3
        grey = (40 + 100 * (labels > 0)).astype(np.uint8)
        colour = number % 2 == 1
        Image.fromarray(np.stack([grey] * 3, axis=2) if colour else grey).save(folder / "images" / f"{number}.png")
        Image.fromarray(labels).save(folder / "labels" / f"{number}.png")
        lines.append(f"{number},{'color' if colour else 'gray_dark'}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with made-up images, and a small configuration beside it."""
    make_nih(tmp_path / "nih_malaria_cells_50px")
    make_chula(tmp_path / "chula_rbc12")
    make_dsb(tmp_path / "dsb2018_nuclei")
    monkeypatch.setenv("LSM_DATA", str(tmp_path))
    (tmp_path / "tiny.toml").write_text(TINY, encoding="utf-8")
    return tmp_path


def run_tiny(data: Path, config: str = "tiny.toml", *, seeds: int | None = None) -> dict[str, Any]:
    return dict(run(data / config, data / "out", quick=False, seeds=seeds, workers=1, progress=Silent()))


def rows_of(data: Path) -> list[str]:
    return (data / "out" / "runs" / "table.jsonl").read_text(encoding="utf-8").splitlines()[1:]


def check_tables(tasks: dict[str, Any]) -> None:
    """Every arm and every difference is told, and the differences are those of the arms."""
    assert tasks["infected"]["classes"] == {"uninfected": 8, "infected": 8}
    assert tasks["nuclei"]["classes"] == {"color": 6, "gray_dark": 6}
    assert tasks["nuclei"]["objects"]["total"] == 18
    for name, table in tasks.items():
        units = [each["in"] for each in table["differences"]]
        assert units == ["points of accuracy"] * ("classes" in table) + ["objects of MAE"] * ("objects" in table)
        for each in table["differences"]:
            key, scale = ("accuracy", 100) if each["in"] == "points of accuracy" else ("mae", 1)
            of, minus = (table["arms"][each[end]][key] for end in ("of", "minus"))
            # four digits of each arm
            assert each["by"][0] == pytest.approx(scale * (of - minus), abs=0.02), name


def test_tables_and_picture(data: Path) -> None:
    tasks = run_tiny(data)["tasks"]
    check_tables(tasks)
    # four tasks, two arms, two seeds, two folds
    assert len(rows_of(data)) == 32
    assert (data / "out" / "picture.png").stat().st_size > 10_000
    table = (data / "out" / "table.md").read_text(encoding="utf-8")
    assert f"| sharpened | {tasks['infected']['arms']['sharpened']['accuracy']:.3f} |" in table
    assert f"| augmented | {tasks['nuclei']['arms']['augmented']['mae']:.2f} |" in table


def test_goes_on_where_it_stopped(data: Path) -> None:
    shared, smear = TINY.split("[tasks.infected]")[0], TINY[TINY.index("[tasks.smear]") :]
    (data / "smear.toml").write_text(shared + smear, encoding="utf-8")
    told = run_tiny(data, "smear.toml")
    rows = rows_of(data)
    assert run_tiny(data, "smear.toml") == told
    assert rows_of(data) == rows
    run_tiny(data, "smear.toml", seeds=3)
    assert rows_of(data)[: len(rows)] == rows
    # a third seed of two arms in two folds
    assert len(rows_of(data)) == len(rows) + 4


def opened(data: Path, **source: Any) -> Any:
    made = Source(**source)
    return open_crops(made, data_folder(made), data / "cache")


def test_shapes_are_cut_around_their_points_and_kept_in_blocks(data: Path) -> None:
    crops = opened(data, kind="chula", cut_px=12, size_px=6, block=2)
    assert crops.images.shape == (24, 3, 6, 6)
    assert crops.categories[:4] == ("normal", "macrocyte", "microcyte", "spherocyte")
    assert np.array_equal(crops.images[:, 0, 3, 3], 20 * crops.category)
    assert len(set(crops.group.tolist())) == 3


def test_a_field_that_was_taken_twice_joins_its_blocks(data: Path) -> None:
    images = data / "chula_rbc12" / "images"
    (images / "5.png").write_bytes((images / "0.png").read_bytes())
    crops = opened(data, kind="chula", cut_px=12, size_px=6, block=2)
    assert len(set(crops.group.tolist())) == 2


def test_nuclei_are_counted_by_tile_and_named_by_how_they_were_taken(data: Path) -> None:
    crops = opened(data, kind="dsb", cut_px=16, size_px=8)
    assert crops.count.tolist() == [1, 2] * 6
    assert [crops.categories[k] for k in crops.category] == ["gray_dark", "gray_dark", "color", "color"] * 3
    assert crops.channels == 1


def test_crops_are_made_once(data: Path) -> None:
    first = opened(data, kind="nih", size_px=10)
    (data / "nih_malaria_cells_50px" / "dev.npz").write_bytes(b"")
    again = opened(data, kind="nih", size_px=10)
    assert np.array_equal(first.images, again.images)
    assert again.group.tolist() == first.group.tolist()
    assert len(opened(data, kind="chula", most=7)) == 7


def test_phantom_fields_darken_with_every_cell_that_is_counted() -> None:
    config = SmearTiles(slides=2, tiles=12, smear=SmearConfig(width_um=300, height_um=200, stain_spread=0))
    crops = smear_fields(config, 32)
    assert crops.count is not None
    assert crops.count.max() > crops.count.min() + 5
    light = crops.images.reshape(24, -1).mean(axis=1)
    assert np.corrcoef(crops.count, light)[0, 1] < -0.9
    # the empty field: electrons over gain, and the black level
    brightest = np.percentile(crops.images, 99)
    assert brightest == pytest.approx(config.electrons / config.camera.gain_e_per_adu + 20, rel=0.1)
    assert np.array_equal(smear_fields(config, 32).images, crops.images)
    assert len(set(crops.group.tolist())) == 2


def test_says_what_is_missing_without_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LSM_DATA", raising=False)
    with pytest.raises(FileMissing, match="LSM_DATA"):
        run(SHIPPED, tmp_path, quick=True, seeds=None, workers=1, progress=Silent())


def test_shipped_arms_do_what_their_names_say() -> None:
    config = FerreiraConfig.from_file(SHIPPED)
    for name, arm in config.arms.items():
        assert (arm.sharpen != "none", arm.augment, arm.count == "sum") == (
            "sharpened" in name,
            "augmented" in name,
            "summed map" in name,
        )
    short = config.quick()
    assert list(short.tasks) == ["infected", "smear"]
    assert all(task.arms == ("plain", "sharpened") for task in short.tasks.values())
    with pytest.raises(ConfigError, match="names the arm 'bright'"):
        FerreiraConfig.from_table({"arms": {}, "tasks": {"a": {"crops": {"kind": "nih"}, "arms": ["bright"]}}})


@pytest.mark.data
@pytest.mark.usefixtures("data_dir")
def test_direction_on_real_cells_and_phantoms(tmp_path: Path) -> None:
    tasks = run(SHIPPED, tmp_path, quick=True, seeds=None, workers=1, progress=Silent())["tasks"]
    infected, smear = tasks["infected"], tasks["smear"]
    # patients resampled: the whole interval lies above chance
    assert infected["arms"]["plain"]["low"] > 0.55
    assert infected["arms"]["plain"]["together"]["classes"][1]["auc"] > 0.8
    # most of what a field holds more or less than the mean is told
    assert smear["arms"]["plain"]["mae"] < smear["objects"]["mae_of_mean"] / 2
    assert smear["arms"]["plain"]["r2"] > 0.6
