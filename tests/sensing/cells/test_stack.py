"""A stack's rows, its two hot paths, and its file."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from cell_phantom import random_stack

from lsm.errors import FileMissing, InputError, WrongFormat
from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, _native
from lsm.sensing.cells import CellStack, read_cells, write_cells

ROWS = np.array([7, 0, 7, 3])


@pytest.fixture(params=["kernel", "torch"])
def program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "torch":
        monkeypatch.setattr(_native, "library", lambda: None)
    elif _native.library() is None:
        pytest.skip("the optics kernel is not built")
    return request.param


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(("lamps", "side"), [(6, 5), (1, 4), (9, 16), (7, 1)])
def test_batch_is_exact(lamps: int, side: int):
    stack = random_stack(lamps=lamps, side=side)
    batch = stack.batch(ROWS)
    assert batch.dtype == torch.float32
    # every half-precision number is one of single precision
    assert torch.equal(batch, torch.from_numpy(stack.images[ROWS].astype(np.float32)).flatten(2))


@pytest.mark.usefixtures("program")
def test_batch_keeps_extreme_numbers_and_signs():
    least, least_normal, largest = 2.0**-24, 2.0**-14, 65504.0
    row = np.array([0.0, -0.0, least, -least, 3 * least, least_normal, largest, -largest, 1.0], dtype=np.float16)
    stack = random_stack(rows=1, lamps=4, side=3)
    stack = CellStack(
        np.tile(row.reshape(1, 1, 3, 3), (1, 4, 1, 1)),
        *(stack.led, stack.colour, stack.infected, stack.patient, stack.crop, None, None, ""),
    )
    found = stack.batch(np.array([0])).numpy()
    assert found.tobytes() == np.tile(row.astype(np.float32), (1, 4, 1)).tobytes()


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("captures", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("per_row", [False, True])
def test_mix_and_its_gradient_are_the_weighted_sum(captures: int, per_row: bool):
    stack = random_stack(lamps=11, side=9)
    generator = torch.Generator().manual_seed(1)
    shape = (len(ROWS), captures, 11) if per_row else (captures, 11)
    weights = torch.randn(shape, generator=generator)
    weights[..., 4] = 0
    exact = weights.double().requires_grad_()
    weights.requires_grad_()
    wide = torch.from_numpy(stack.images[ROWS].astype(np.float64))
    expected = torch.einsum("...cl,nlyx->ncyx" if not per_row else "ncl,nlyx->ncyx", exact, wide)
    mixed = stack.mix(ROWS, weights)
    # sums of 11 and, in the gradient, 4 * 81 products rounded to float32
    torch.testing.assert_close(mixed.double(), expected, rtol=0, atol=1e-5)
    mixed.pow(3).sum().backward()
    expected.pow(3).sum().backward()
    torch.testing.assert_close(weights.grad.double(), exact.grad, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_no_bit(threads: int):
    stack, weights = random_stack(rows=50), torch.linspace(-1, 1, 12).reshape(2, 6)
    before = torch.get_num_threads()
    rows = np.arange(50)[::-1].copy()

    def run() -> tuple[bytes, bytes]:
        free = weights.clone().requires_grad_()
        mixed = stack.mix(rows, free)
        mixed.pow(2).sum().backward()
        return mixed.detach().numpy().tobytes(), free.grad.numpy().tobytes()

    try:
        torch.set_num_threads(1)
        alone = run()
        torch.set_num_threads(threads)
        assert run() == alone
    finally:
        torch.set_num_threads(before)


def test_views_choose_rows_of_rows():
    stack = random_stack()
    view = stack.where(np.array([8, 2, 5])).where(np.array([False, True, True]))
    assert view.crop.tolist() == [2, 5]
    assert view.patient.tolist() == ["P2", "P2"]
    assert view.infected.tolist() == [True, False]
    assert view.shape == (2, 6, 5, 5)
    np.testing.assert_array_equal(view.images, stack.images[[2, 5]])
    assert torch.equal(view.batch(np.array([1, 0])), stack.batch(np.array([5, 2])))
    assert torch.equal(view.mix(np.array([1]), torch.ones(1, 6)), stack.mix(np.array([5]), torch.ones(1, 6)))
    assert stack.patients().tolist() == ["P0", "P1", "P2"]


def test_rows_and_weights_that_do_not_fit_are_refused():
    stack = random_stack()
    with pytest.raises(WrongFormat, match="Rows 3 to 10"):
        stack.batch(np.array([3, 10]))
    with pytest.raises(WrongFormat, match=r"Weights \(1, 7\) do not fit 4 rows of 6 lamps"):
        stack.mix(ROWS, torch.ones(1, 7))
    with pytest.raises(WrongFormat, match=r"Weights \(3, 1, 6\)"):
        stack.mix(ROWS, torch.ones(3, 1, 6))


def parts(**changes: object) -> dict[str, object]:
    stack = random_stack()
    names = ("images", "led", "colour", "infected", "patient", "crop", "board", "system", "source")
    return {name: getattr(stack, name) for name in names} | changes


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"led": np.arange(5)}, "5 values of 'led' do not fit 6 lamps"),
        ({"infected": np.ones(9, dtype=bool)}, "9 values of 'infected' do not fit 10 rows"),
        ({"patient": np.array(["P1"])}, "1 values of 'patient' do not fit 10 rows"),
        ({"led": np.arange(6) - 1}, "'led' go from -1 to 4"),
        ({"board": LedBoard.grid(rows=1, columns=5, pitch_mm=4, distance_mm=50)}, "'led' go from 0 to 5"),
        ({"images": np.zeros((10, 6, 0, 5), dtype=np.float16)}, "holds no images"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, object], sentence: str):
    with pytest.raises(WrongFormat, match=sentence):
        CellStack(**parts(**changes))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_images_that_are_not_finite_are_named(value: float):
    images = np.ones((100, 6, 5, 5), dtype=np.float16)
    images[77, 4, 2, 1] = value
    with pytest.raises(WrongFormat, match="row 77 under lamp 4 of random numbers is not finite"):
        CellStack(**parts(images=images, infected=None, patient=np.arange(100).astype(str), crop=np.arange(100)))


def test_labels_that_nobody_gave_are_not_made_up():
    stack = CellStack(**parts(infected=None)).where(np.array([1, 2]))
    assert not stack.labelled
    with pytest.raises(InputError, match="Nobody has labelled the cells of random numbers"):
        stack.infected  # noqa: B018 -- the property raises


def test_a_file_gives_everything_back(tmp_path: Path):
    board = LedBoard.grid(rows=2, columns=3, pitch_mm=4, distance_mm=50)
    stack = CellStack(**parts(board=board, system=ImagingSystem(na=0.2, camera_pixel_um=0.6)), made={"seed": 3})
    write_cells(tmp_path / "a.h5", stack.where(np.array([4, 1])))
    found = read_cells(tmp_path / "a.h5")
    np.testing.assert_array_equal(found.images, stack.images[[4, 1]])
    assert isinstance(found.images, np.memmap)
    for name in ("led", "colour"):
        np.testing.assert_array_equal(getattr(found, name), getattr(stack, name))
    assert found.infected.tolist() == [True, False]
    assert found.patient.tolist() == ["P1", "P1"]
    assert found.crop.tolist() == [4, 1]
    assert found.board is not None
    assert found.board.digest == board.digest
    assert (found.system, found.source, dict(found.made)) == (stack.system, stack.source, {"seed": 3})
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]


def test_a_file_without_labels_stays_without(tmp_path: Path):
    write_cells(tmp_path / "a.h5", CellStack(**parts(infected=None)))
    assert not read_cells(tmp_path / "a.h5").labelled


def test_files_are_not_overwritten_and_missing_ones_are_named(tmp_path: Path):
    write_cells(tmp_path / "a.h5", random_stack())
    with pytest.raises(InputError, match="exists"):
        write_cells(tmp_path / "a.h5", random_stack())
    with pytest.raises(InputError, match="no folder"):
        write_cells(tmp_path / "none" / "a.h5", random_stack())
    with pytest.raises(FileMissing, match="does not exist"):
        read_cells(tmp_path / "b.h5")


@pytest.mark.parametrize("damage", ["cut", "bit", "other kind", "no images", "compressed", "text"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str):
    path = tmp_path / "a.h5"
    write_cells(path, random_stack())
    with h5py.File(path, "r") as file:
        offset = file["images"].id.get_offset()
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "bit":
        data = bytearray(path.read_bytes())
        data[offset + 1001] ^= 4
        path.write_bytes(data)
    elif damage == "text":
        path.write_text("images")
    else:
        with h5py.File(path, "r+") as file:
            if damage == "other kind":
                file.attrs["kind"] = "something else"
            else:
                images = file["images"][()]
                del file["images"]
                if damage == "compressed":
                    file.create_dataset("images", data=images, compression="gzip")
    with pytest.raises(WrongFormat) as caught:
        read_cells(path)
    assert caught.value.hint
