"""Smears made of real crops, and loaders that say what is wrong with a file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lsm.errors import ConfigError, FileMissing, InputError, WrongFormat
from lsm.samples import CellCrops, CellImageSmear, Kind, ProceduralSmear, SmearConfig

SMALL = SmearConfig(width_um=400.0, height_um=200.0, parasitaemia=0.3, stain_spread=0.0, platelets_per_red=0.0)


def made_up_crops(n: int = 12) -> CellCrops:
    """Discs of grey 160; infected ones with a dark dot off the middle."""
    y, x = np.mgrid[:50, :50] - 24.5
    images = np.zeros((n, 50, 50), dtype=np.uint8)
    images[:, np.hypot(x, y) < 24] = 160
    images[n // 2 :, np.hypot(x - 8, y) < 4] = 60
    infected = np.arange(n) >= n // 2
    return CellCrops(images, infected, np.array([f"C{k % 4}" for k in range(n)]))


def write_npz(path: Path, **changes: np.ndarray) -> Path:
    crops = made_up_crops()
    arrays = {"images": crops.images, "labels": crops.infected.astype(np.uint8), "patient": crops.patient}
    np.savez(path, **(arrays | changes))
    return path


def test_each_cell_takes_a_crop_of_its_own_label():
    smear = CellImageSmear(made_up_crops(), SMALL, 0)
    truth = smear.truth()
    t = smear.transmission(x_um=200, y_um=100, n_px=600, pixel_um=0.3, wavelength_um=0.53)
    absorbance = -2 * np.log(np.abs(t))
    cells = truth.within(120, 280, 20, 180)
    alone = cells.rows[cells.kind == Kind.RED_CELL]
    everything = np.stack([truth.x_um, truth.y_um], axis=1)
    apart = np.hypot(*(np.stack([alone["x_um"], alone["y_um"]], axis=1)[:, None] - everything).transpose(2, 0, 1))
    alone = alone[np.sort(apart, axis=1)[:, 1] > 9.5]
    axis_um = (np.arange(600) - 299.5) * 0.3
    darkest = []
    for row in alone:
        inside = np.hypot(axis_um[None, :] + 200 - row["x_um"], axis_um[:, None] + 100 - row["y_um"]) < 3.5
        darkest.append(absorbance[inside].max())
    # the made-up parasite absorbs ln(160 / 60) = 0.98 more than its cell
    assert np.array_equal(np.array(darkest) > 0.7, alone["infected"])
    assert 0 < alone["infected"].sum() < len(alone)


def test_windows_agree_and_seeds_repeat():
    first, second = (CellImageSmear(made_up_crops(), SMALL, 7) for _ in range(2))
    arguments = {"y_um": 100.0, "pixel_um": 0.3, "wavelength_um": 0.53}
    whole = first.transmission(x_um=200.0, n_px=400, **arguments)
    assert whole.tobytes() == second.transmission(x_um=200.0, n_px=400, **arguments).tobytes()
    part = first.transmission(x_um=215.0, n_px=100, **arguments)
    # moved by 50 px; positions within a crop are float32
    np.testing.assert_allclose(part, whole[150:250, 200:300], atol=1e-3)


def test_a_missing_class_is_refused():
    with pytest.raises(WrongFormat, match="no infected crops"):
        CellImageSmear(made_up_crops().uninfected_only, SMALL, 0)


def test_split_keeps_every_patient_on_one_side():
    crops = made_up_crops()
    rest, held_out = crops.split(0.25, seed=0)
    assert set(rest.patient).isdisjoint(held_out.patient)
    assert len(set(held_out.patient)) == 1
    assert len(rest) + len(held_out) == len(crops)
    assert np.array_equal(rest.patient, crops.split(0.25, seed=0)[0].patient)
    for fraction in (0.0, 0.01, 1.0):
        with pytest.raises(ConfigError):
            crops.split(fraction, seed=0)


def test_crops_are_read_from_a_file_its_folder_or_the_original_tree(tmp_path: Path):
    write_npz(tmp_path / "dev.npz")
    assert len(CellCrops.from_path(tmp_path)) == len(CellCrops.from_path(tmp_path / "dev.npz")) == 12
    tree = tmp_path / "cell_images"
    for name, grey in (("Parasitized/C33P1thin_1.png", 90), ("Uninfected/C5thin_2.png", 180)):
        (tree / name).parent.mkdir(parents=True)
        Image.new("RGB", (130, 121), (grey, grey, grey)).save(tree / name)
    crops = CellCrops.from_path(tree)
    assert crops.images.shape == (2, 50, 50)
    assert crops.infected.tolist() == [True, False]
    assert crops.patient.tolist() == ["P1", "C5"]
    assert crops.images[:, 25, 25].tolist() == [90, 180]


@pytest.mark.parametrize(
    "changes",
    [
        {"images": np.zeros((12, 40, 40), dtype=np.uint8)},
        {"images": np.zeros((12, 50, 50), dtype=np.float32)},
        {"images": np.zeros((12, 50, 50, 3), dtype=np.uint8)},
        {"labels": np.full(12, 7)},
        {"labels": np.zeros(5)},
        {"patient": np.array(["P1"])},
        {"patient": np.array([{"a": 1}] * 12, dtype=object)},
    ],
)
def test_arrays_of_the_wrong_kind_are_refused(tmp_path: Path, changes: dict[str, np.ndarray]):
    with pytest.raises(WrongFormat) as caught:
        CellCrops.from_path(write_npz(tmp_path / "bad.npz", **changes))
    assert caught.value.hint


def test_files_that_are_not_there_or_not_crops_are_refused(tmp_path: Path):
    for missing in (tmp_path / "nothing.npz", tmp_path):
        with pytest.raises(FileMissing):
            CellCrops.from_path(missing)
    np.savez(tmp_path / "lacking.npz", images=np.zeros((1, 50, 50), dtype=np.uint8))
    (tmp_path / "text.npz").write_text("not an archive")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "lacking.npz").read_bytes()[:300])
    np.save(tmp_path / "plain.npy", np.zeros(3))
    for bad in ("lacking.npz", "text.npz", "cut.npz", "plain.npy"):
        with pytest.raises(WrongFormat):
            CellCrops.from_path(tmp_path / bad)
    (tmp_path / "tree" / "Parasitized").mkdir(parents=True)
    with pytest.raises(InputError, match="no PNG"):
        CellCrops.from_path(tmp_path / "tree")
    (tmp_path / "tree" / "Parasitized" / "C1.png").write_text("not an image")
    with pytest.raises(WrongFormat, match="not an image"):
        CellCrops.from_path(tmp_path / "tree")


@pytest.mark.data
def test_real_crops_and_procedural_cells_absorb_alike(data_dir: Path):
    crops = CellCrops.from_path(data_dir / "nih_malaria_cells_50px")
    assert len(crops) == 6000
    config = SmearConfig(stain_spread=0.0)
    levels = []
    for smear in (CellImageSmear(crops.where(np.arange(6000) % 10 == 0), config, 1), ProceduralSmear(config, 1)):
        t = smear.transmission(x_um=1150, y_um=700, n_px=512, pixel_um=0.3, wavelength_um=0.53)
        intensity = np.abs(t) ** 2
        levels.append(np.percentile(intensity[intensity < 0.93], [25, 50, 75]))
    # quartiles of the transmission inside cells: the procedural cells are a model of these very crops
    np.testing.assert_allclose(levels[0], levels[1], atol=0.06)
