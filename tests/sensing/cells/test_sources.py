"""Cells from elsewhere, read from files of the foreign layouts, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch
import zarr

from lsm.errors import FileMissing, InputError, NotMeasured, WrongFormat
from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, led_stack
from lsm.record.stacks import StackCamera
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.sensing.cells import from_bsccm, from_paper_arrays, from_recovered, from_smears

NOISE = (1, 11, 20, 33, 43, 52, 65, 75, 84)
AXIS = (2, 34, 66)
BOARD = LedBoard.grid(rows=3, columns=3, pitch_mm=12, distance_mm=50)
CAMERA = StackCamera(offset_adu=64.0, saturated_adu=4095.0)


def cubes(healthy: int = 5, infected: int = 3, images: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Bytes [y, x, image, cell] as published; image k of a cell is brighter the higher k is, counted from 1."""
    rng = np.random.default_rng(4)
    level = np.arange(1, images + 1)[:, None]
    return tuple((level + rng.integers(0, 3, (28, 28, images, n))).astype(np.uint8) for n in (healthy, infected))


def as_mat(folder: Path, healthy: np.ndarray, infected: np.ndarray) -> Path:
    for part, name, cube in (
        ("without", "all_without_malaria_combo_328", healthy),
        ("with", "all_with_malaria_combo_328", infected),
    ):
        (folder / f"examples_{part}_malaria").mkdir(parents=True)
        scipy.io.savemat(folder / f"examples_{part}_malaria" / f"{name}.mat", {name: cube, "n": 3})
    return folder


def as_mat_73(folder: Path, healthy: np.ndarray, infected: np.ndarray) -> Path:
    """HDF5 with MATLAB's block of 512 bytes before it."""
    folder.mkdir(exist_ok=True)
    for name, cube in (("noinfection", healthy), ("infected", infected)):
        with h5py.File(folder / f"images_{name}.mat", "w", userblock_size=512) as file:
            file["images"] = cube.T
    return folder


def as_npy(folder: Path, healthy: np.ndarray, infected: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    np.save(folder / "uninfected.npy", np.moveaxis(healthy, -1, 0))
    np.save(folder / "infected.npy", np.moveaxis(infected, -1, 0))
    return folder


def as_pair(folder: Path, healthy: np.ndarray, infected: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    np.save(folder / "images.npy", np.moveaxis(np.concatenate([healthy, infected], axis=-1), -1, 0))
    np.save(folder / "labels.npy", np.repeat([0, 1], [healthy.shape[-1], infected.shape[-1]]))
    return folder


def as_npz(folder: Path, healthy: np.ndarray, infected: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    images = np.moveaxis(np.concatenate([healthy, infected], axis=-1), -1, 0)
    labels = np.repeat([0.0, 1.0], [healthy.shape[-1], infected.shape[-1]])
    np.savez(folder / "cells.npz", images=images, labels=labels)
    return folder / "cells.npz"


Layout = Callable[[Path, np.ndarray, np.ndarray], Path]


@pytest.mark.parametrize("layout", [as_mat, as_mat_73, as_npy, as_pair, as_npz])
def test_all_layouts_of_the_paper_are_the_same_cells(tmp_path: Path, layout: Layout):
    healthy, infected = cubes()
    stack = from_paper_arrays(layout(tmp_path / "thin", healthy, infected))
    assert stack.shape == (8, 84, 28, 28)
    assert stack.infected.tolist() == [False] * 5 + [True] * 3
    kept = [k for k in range(1, 97) if k not in (*NOISE, *AXIS)]
    assert (stack.colour * 32 + stack.led + 1).tolist() == kept
    assert np.bincount(stack.colour).tolist() == [28, 28, 28]
    cells = np.moveaxis(np.concatenate([healthy, infected], axis=-1), (-1, -2), (0, 1))[:, np.array(kept) - 1]
    # one number for all, so that lamps keep their ratios; float16
    scale = np.percentile(cells[:, -1], 99)
    np.testing.assert_allclose(stack.images.astype(np.float64), cells / scale, rtol=2.0**-11)
    assert "folds are by cell" in stack.source
    assert len(stack.patients()) == 8
    assert stack.board is None


def test_the_led_on_the_axis_and_arrays_without_noise(tmp_path: Path):
    healthy, infected = cubes()
    whole = from_paper_arrays(as_npz(tmp_path / "a", healthy, infected), central=True)
    assert whole.shape[1] == 87
    assert whole.led[:2].tolist() == [1, 2]
    kept = np.array([k for k in range(96) if k + 1 not in NOISE])
    reduced = from_paper_arrays(as_npz(tmp_path / "b", healthy[:, :, kept], infected[:, :, kept]))
    assert reduced.led.tolist() == [led for led in whole.led if led != 1]
    assert reduced.shape[1] == 84


def test_thick_smears_have_41_leds_the_first_on_the_axis(tmp_path: Path):
    stack = from_paper_arrays(as_mat(tmp_path, *cubes(images=123)))
    assert stack.shape[1] == 120
    assert stack.led[:40].tolist() == list(range(1, 41))


def test_a_board_takes_its_irradiance_out_and_weights_bring_it_back(tmp_path: Path):
    path = as_npz(tmp_path, *cubes())
    board = LedBoard.grid(rows=4, columns=8, pitch_mm=8, distance_mm=40)
    plain, placed = from_paper_arrays(path), from_paper_arrays(path, board=board)
    assert placed.board is board
    weights = torch.from_numpy(board.relative_irradiance[placed.led]).to(torch.float32)[None]
    rows = np.arange(8)
    # float16, twice
    torch.testing.assert_close(placed.mix(rows, weights), plain.mix(rows, torch.ones(1, 84)), rtol=2.0**-10, atol=0)
    with pytest.raises(WrongFormat, match="has 9 LEDs in 3 colours"):
        from_paper_arrays(path, board=BOARD)


def test_patients_are_kept_where_they_are_given(tmp_path: Path):
    np.savez(
        tmp_path / "a.npz",
        images=np.ones((4, 28, 28, 96)),
        labels=np.array([0, 1, 1, 0]),
        patient=np.array(["a", "b", "a", "b"]),
    )
    stack = from_paper_arrays(tmp_path / "a.npz")
    assert stack.patients().tolist() == ["a", "b"]
    assert "by cell" not in stack.source


def npz(path: Path, **changes: np.ndarray) -> Path:
    arrays = {"images": np.ones((4, 28, 28, 96), dtype=np.float32), "labels": np.array([0, 1, 1, 0])}
    np.savez(path / "a.npz", **(arrays | changes))
    return path / "a.npz"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"images": np.ones((4, 28, 28, 95))}, "95 images of each cell, not 96 or 87 or 84 or 123"),
        ({"images": np.ones((4, 28, 29, 96))}, r"float64 \(4, 28, 29, 96\)"),
        ({"images": np.ones((4, 28, 96))}, r"\(4, 28, 96\)"),
        ({"images": np.full((4, 28, 28, 96), "a")}, "<U1"),
        ({"images": np.zeros((4, 28, 28, 96))}, "hold no light"),
        ({"labels": np.array([0, 1, 1])}, "do not fit 4 cells"),
        ({"labels": np.array([0, 1, 2, 0])}, "labels .* do not fit"),
        ({"patient": np.array(["a"])}, "patients .* do not fit 4 cells"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, np.ndarray], sentence: str):
    with pytest.raises(WrongFormat, match=sentence) as caught:
        from_paper_arrays(npz(tmp_path, **changes))
    assert caught.value.hint


def test_an_image_that_is_not_finite_is_named(tmp_path: Path):
    images = np.ones((4, 28, 28, 96), dtype=np.float32)
    # image 3 of the file is LED 2, the first that is kept
    images[2, 5, 5, 2] = np.nan
    with pytest.raises(WrongFormat, match="row 2 under lamp 0"):
        from_paper_arrays(npz(tmp_path, images=images))


def test_files_that_are_not_there_or_not_what_they_seem(tmp_path: Path):
    with pytest.raises(FileMissing, match="do not exist"):
        from_paper_arrays(tmp_path / "none")
    with pytest.raises(WrongFormat, match="0 files of healthy and 0 of infected"):
        from_paper_arrays(tmp_path)
    (tmp_path / "uninfected.mat").write_text("cells")
    np.save(tmp_path / "infected.npy", np.ones((2, 28, 28, 96)))
    with pytest.raises(WrongFormat, match="no MATLAB file"):
        from_paper_arrays(tmp_path)
    scipy.io.savemat(tmp_path / "uninfected.mat", {"cells": np.ones((28, 28))})
    with pytest.raises(WrongFormat, match="no array of four axes"):
        from_paper_arrays(tmp_path)
    scipy.io.savemat(tmp_path / "uninfected.mat", {"cells": np.ones((28, 28, 123, 2))})
    with pytest.raises(WrongFormat, match="infected ones"):
        from_paper_arrays(tmp_path)
    with pytest.raises(WrongFormat, match="does not say which cells are infected"):
        from_paper_arrays(tmp_path / "infected.npy")
    (tmp_path / "a.npz").write_bytes(b"PK")
    with pytest.raises(WrongFormat, match="holds no cell images"):
        from_paper_arrays(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", images=np.array([{}]), labels=np.ones(1))
    with pytest.raises(WrongFormat, match="holds no cell images"):
        from_paper_arrays(tmp_path / "a.npz")


def dome_data(folder: Path, cells: dict[int, tuple[int, int, int]]) -> dict[int, np.ndarray]:
    """A data set in the layout of BSCCM, Zarr 2 as there, with made-up images [channel, y, x] of each cell."""
    rng = np.random.default_rng(8)
    root = zarr.open_group(folder / "BSCCM_images.zarr", mode="w", zarr_format=2)
    lines, images = ["global_index,batch,data_path"], {}
    for cell, shape in cells.items():
        images[cell] = rng.integers(100, 4000, shape).astype(np.uint16)
        root.create_array(f"batch_0/slide_0/led_array/cell_{cell}", data=images[cell])
        lines.append(f"{cell},0,batch_0/slide_0")
    (folder / "BSCCM_index.csv").write_text("\n".join(lines))
    channels = ["led_4", "Brightfield", "led_1"]
    (folder / "BSCCM_global_metadata.json").write_text(json.dumps({"led_array": {"channel_names": channels}}))
    return images


def test_cells_of_bsccm(tmp_path: Path):
    images = dome_data(tmp_path, {7: (3, 12, 12), 19: (3, 12, 12), 23: (3, 12, 12)})
    stack = from_bsccm(tmp_path, [19, 7], board=BOARD, camera=CAMERA)
    assert stack.led.tolist() == [0, 3]
    assert stack.colour.tolist() == [1, 1]
    assert stack.crop.tolist() == [19, 7]
    assert not stack.labelled
    assert "folds are by cell" in stack.source
    light = np.stack([images[cell][[2, 0]] - 64.0 for cell in (19, 7)])
    shown = stack.images.astype(np.float64) * BOARD.relative_irradiance[[0, 3]][:, None, None]
    brightest = light.mean(axis=(0, 2, 3)).argmax()
    np.testing.assert_allclose(shown, light / np.percentile(light[:, brightest], 99), rtol=2.0**-10)


def test_cells_of_bsccm_that_do_not_fit(tmp_path: Path):
    dome_data(tmp_path, {7: (3, 12, 12), 19: (3, 8, 8)})
    with pytest.raises(WrongFormat, match=r"Cell 19 of .* \(8, 8\)"):
        from_bsccm(tmp_path, [7, 19], board=BOARD, camera=CAMERA)
    with pytest.raises(NotMeasured, match="no cell 8"):
        from_bsccm(tmp_path, [7, 8], board=BOARD, camera=CAMERA)
    with pytest.raises(InputError, match="No cells"):
        from_bsccm(tmp_path, [], board=BOARD, camera=CAMERA)


SYSTEM = ImagingSystem(sample_px=64, sample_pixel_um=0.3, margin_px=2)


def recovered(path: Path, side: int = 200) -> np.ndarray:
    """What `lsm recover` writes, as far as it is read."""
    generator = torch.Generator().manual_seed(2)
    amplitude = 0.7 + 0.3 * torch.rand(side, side, generator=generator)
    slide = torch.polar(amplitude, torch.rand(side, side, generator=generator)).numpy()
    with h5py.File(path, "w") as file:
        file["transmission"] = slide
        file.attrs.update(kind="lsm recovered sample", sample_pixel_um=0.3, wavelength_um=0.52)
    return slide


def test_pieces_of_a_recovered_slide(tmp_path: Path):
    slide = recovered(tmp_path / "slide.h5")
    centres_um = np.array([[0.0, 0.0], [9.0, -3.0]])
    stack = from_recovered(tmp_path / "slide.h5", centres_um, board=BOARD, system=SYSTEM)
    assert stack.shape == (2, 9, 12, 12)
    assert not stack.labelled
    assert stack.patients().tolist() == ["slide"]
    assert stack.board is not None
    assert stack.board.wavelengths_um == (0.52,)
    # 30 px to +x, 10 px to -y; the middle piece begins at 68
    piece = torch.from_numpy(slide[58:122, 98:162].copy())
    expected = led_stack(piece, BOARD, SYSTEM.at_wavelength(0.52)).numpy()
    np.testing.assert_allclose(stack.images[1].astype(np.float32), expected, rtol=2.0**-11, atol=2.0**-25)


def test_pieces_that_cannot_be_cut(tmp_path: Path):
    recovered(tmp_path / "slide.h5")
    with pytest.raises(InputError, match=r"no piece of 19.2 um around \(30, 0\) um"):
        from_recovered(tmp_path / "slide.h5", np.array([[30.0, 0.0]]), board=BOARD, system=SYSTEM)
    with pytest.raises(InputError, match="no piece"):
        from_recovered(tmp_path / "slide.h5", np.zeros((0, 2)), board=BOARD, system=SYSTEM)
    fine = ImagingSystem(sample_px=64, sample_pixel_um=0.15)
    with pytest.raises(InputError, match=r"pixels of 0.3 um, not 0.15 um"):
        from_recovered(tmp_path / "slide.h5", np.zeros((1, 2)), board=BOARD, system=fine)
    with pytest.raises(FileMissing):
        from_recovered(tmp_path / "none.h5", np.zeros((1, 2)), board=BOARD, system=SYSTEM)
    (tmp_path / "text.h5").write_text("slide")
    with pytest.raises(WrongFormat, match="no recovered slide"):
        from_recovered(tmp_path / "text.h5", np.zeros((1, 2)), board=BOARD, system=SYSTEM)


def test_cells_of_phantoms_at_their_true_places():
    config = SmearConfig(width_um=150.0, height_um=150.0, parasitaemia=0.3)
    smears = {f"slide {seed}": ProceduralSmear(config, seed) for seed in (1, 2)}
    stack = from_smears(smears, board=BOARD, system=SYSTEM, cells_per_smear=10, seed=0, colours=(1, 0))
    assert stack.shape == (20, 18, 12, 12)
    assert stack.patients().tolist() == ["slide 1", "slide 2"]
    assert [stack.infected[stack.patient == name].sum() for name in smears] == [5, 5]
    truth = smears["slide 2"].truth()
    inside = truth.within(9.6, 140.4, 9.6, 140.4)
    rows = inside.rows[inside.kind == 0]

    def image(row: np.void) -> np.ndarray:
        seen = smears["slide 2"].transmission(
            x_um=float(row["x_um"]), y_um=float(row["y_um"]), n_px=64, pixel_um=0.3, wavelength_um=0.53
        )
        return led_stack(torch.from_numpy(seen), BOARD, SYSTEM).numpy().astype(np.float16)

    wanted = stack.images[10:, :9]
    found = [bool(row["infected"]) for row in rows if (wanted == image(row)).all(axis=(1, 2, 3)).any()]
    assert sorted(found) == sorted(stack.infected[10:].tolist())
    with pytest.raises(InputError, match="red cells away from its rim"):
        from_smears(smears, board=BOARD, system=SYSTEM, cells_per_smear=10000, seed=0)
