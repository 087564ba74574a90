"""Stacks of other origin: computed, measured by others, in the layout of BSCCM; and the command."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from lsm.cli import main
from lsm.devices import Observe
from lsm.errors import FileMissing, InputError, NotMeasured, WrongFormat
from lsm.illum import LedBoard, Pattern, bright_field, dark_field, half_disc, single_led
from lsm.optics import Camera, ImagingSystem
from lsm.optics.stackfile import LedStack, write_stack
from lsm.record import Recorder
from lsm.record.replay import Replay
from lsm.record.stacks import StackCamera
from lsm.record.stacks_files import FILL_ADU, open_stack
from lsm.scope import RigConfig, find_rig
from record.frames import make_frame

BOARD = LedBoard.grid(rows=5, columns=5, pitch_mm=3.0, distance_mm=50.0)
DOME = LedBoard.quasi_dome(rings=3, radius_mm=60.0, na_max=0.6)
SYSTEM = ImagingSystem(sample_px=128)


def images_of(n_leds: int, seed: int, *, side: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.0, 1.0, (n_leds, side, side)).astype(np.float32)


def written(path: Path, **made: object) -> tuple[Path, np.ndarray]:
    """A stack as lsm simulate writes it; with electrons through a camera that holds twice the empty bright field."""
    images = images_of(BOARD.n_leds, 5)
    if "electrons" in made:
        rng = np.random.default_rng(6)
        images[3, :4] = 2.5
        charge = np.minimum(rng.poisson(images * made["electrons"]), 2 * made["electrons"])
        noisy = charge + rng.normal(0, Camera().read_noise_e, images.shape)
        # 16 bits with an offset of 20
        images = (np.clip(noisy / made["electrons"], 0, 1.9994)).astype(np.float32)
    write_stack(path, LedStack(images, np.arange(BOARD.n_leds), BOARD, SYSTEM, made=made))
    return path, images


def test_a_computed_stack_is_replayed_without_noise(tmp_path: Path):
    path, images = written(tmp_path / "stack.h5")
    replay = Replay(open_stack(path))
    assert replay.board.wavelengths_um == (SYSTEM.wavelength_um,)
    duty = np.random.default_rng(1).integers(0, 256, BOARD.n_leds) / 255
    frame = replay.observe(Observe(Pattern.of_colour(replay.board, duty, colour=0), 0.5))
    adu = FILL_ADU / images.sum(axis=0, dtype=np.float64).max()
    expected = 0.5 * adu * np.tensordot(duty, images.astype(np.float64), axes=1)
    # sums of 25 float32 images of up to 2^12 ADU
    assert np.allclose(frame.sum_adu, expected, rtol=1e-5, atol=1e-2)
    # only the rounding of the frame itself is left
    assert np.allclose(frame.variance_adu2, 1 / 12)
    with pytest.raises(InputError, match="gain and read noise"):
        Replay(open_stack(path), noise="as captured")


def test_a_computed_stack_with_electrons_knows_its_noise(tmp_path: Path):
    """Its own images, without noise, are the truth: what is apart from them is the expected variance."""
    electrons = 400
    path, noisy = written(tmp_path / "stack.h5", electrons=electrons)
    replay = Replay(open_stack(path))
    pattern = bright_field(replay.board, na=0.09, colour=0)
    lit = pattern.levels.any(axis=1)
    assert not lit[3]
    frame = replay.observe(Observe(pattern, 1.0))
    adu = FILL_ADU / noisy.sum(axis=0, dtype=np.float64).max()
    apart = frame.sum_adu - adu * images_of(BOARD.n_leds, 5)[lit].sum(axis=0, dtype=np.float64)
    # 1024 pixels: five standard deviations of a mean of squares
    assert float((apart**2 / frame.variance_adu2).mean()) == pytest.approx(1.0, abs=5 * np.sqrt(2 / apart.size))
    with pytest.raises(NotMeasured, match="saturated"):
        replay.observe(Observe(single_led(replay.board, 3, colour=0), 0.1))


@pytest.fixture
def blood(data_dir: Path) -> Path:
    folder = data_dir / "fpm_blood_smear"
    if not folder.is_dir():
        pytest.skip("LSM_DATA holds no fpm_blood_smear")
    return folder


@pytest.mark.data
@pytest.mark.parametrize("colour", ["red", "green"])
def test_a_measured_blood_smear_answers_any_light(blood: Path, colour: str):
    replay = Replay(open_stack(blood / f"{colour}.npz"))
    board = replay.board
    assert board.n_leds == 188
    assert board.na.max() == pytest.approx(0.40, abs=0.01)
    with np.load(blood / f"{colour}.npz") as held:
        light = held["images"].astype(np.float64) ** (4 / 3)
    adu = FILL_ADU / light.sum(axis=0).max()
    bright = bright_field(board, na=0.1, colour=0)
    dark = dark_field(board, na=0.1, colour=0)
    for pattern in (bright, dark):
        frame = replay.observe(Observe(pattern, 1.0))
        expected = adu * light[pattern.levels.any(axis=1)].sum(axis=0)
        assert np.allclose(frame.sum_adu, expected, rtol=1e-4)
        assert (frame.variance_adu2, frame.metadata["noise_sd_adu_median"]) == (None, "unknown")
    halves = [half_disc(board, na=0.1, angle_rad=angle, colour=0) for angle in (0.0, np.pi)]
    right, left = (replay.observe(Observe(half, 1.0)).sum_adu for half in halves)
    whole = replay.observe(Observe(Pattern.of(board, halves[0].duty + halves[1].duty), 1.0)).sum_adu
    assert np.allclose(right + left, whole, rtol=1e-4)
    # phase shows in the difference of the halves, absorption in their sum: both are there, and differ
    contrast = (right - left) / whole
    assert 0.01 < float(np.std(contrast)) < 0.5
    bright_frame, dark_frame = (replay.observe(Observe(pattern, 1.0)).sum_adu for pattern in (bright, dark))
    per_led = [image.mean() / n for image, n in ((bright_frame, bright.total_duty), (dark_frame, dark.total_duty))]
    assert per_led[0] > 20 * per_led[1]


def dome_data(folder: Path, channels: list[str], *, cells: tuple[int, ...] = (7, 19)) -> np.ndarray:
    """A data set in the layout of BSCCM, Zarr 2 as there, with made-up images; those of the first cell."""
    images = np.random.default_rng(8).integers(100, 4000, (len(channels), 24, 24)).astype(np.uint16)
    root = zarr.open_group(folder / "BSCCM_images.zarr", mode="w", zarr_format=2)
    lines = ["global_index,batch,data_path"]
    for number, cell in enumerate(cells):
        where = f"batch_0/slide_{number}"
        root.create_array(f"{where}/led_array/cell_{cell}", data=images + number)
        lines.append(f"{cell},0,{where}")
    (folder / "BSCCM_index.csv").write_text("\n".join(lines))
    (folder / "BSCCM_global_metadata.json").write_text(json.dumps({"led_array": {"channel_names": channels}}))
    return images


def test_single_leds_in_the_layout_of_bsccm(tmp_path: Path):
    """Counted from 1, among channels of several LEDs, in any order."""
    channels = ["Brightfield", "led_3", "led_1", "DF_50", "LED12"]
    images = dome_data(tmp_path, channels)
    camera = StackCamera(offset_adu=64.0, saturated_adu=4095.0, gain_e_per_adu=2.0, read_noise_e=3.0)
    replay = Replay(open_stack(tmp_path, board=DOME, camera=camera, cell=7))
    assert np.flatnonzero(replay.stack.measured(0, 1)).tolist() == [0, 2, 11]
    duty = np.zeros(DOME.n_leds)
    duty[[0, 2, 11]] = 1.0, 0.2, 0.4
    frame = replay.observe(Observe(Pattern.of_colour(DOME, duty), 0.5))
    light = images.astype(np.float64) - 64.0
    assert np.allclose(frame.sum_adu, 64.0 + 0.5 * (light[2] + 0.2 * light[1] + 0.4 * light[4]), rtol=1e-5)
    read = 1.5**2 + 1 / 12
    shot = 0.25 * (light[2] + 0.04 * light[1] + 0.16 * light[4]) / 2.0
    assert np.allclose(frame.variance_adu2, shot + 0.25 * 1.2 * read + 1 / 12, rtol=1e-4)
    with pytest.raises(NotMeasured, match="LED 1 in colour 1"):
        replay.observe(Observe(single_led(DOME, 1), 1.0))
    second = Replay(open_stack(tmp_path, board=DOME, camera=camera, cell=19))
    one = Observe(single_led(DOME, 2), 1.0)
    assert np.array_equal(second.observe(one).image, replay.observe(one).image + 1)


def test_what_bsccm_does_not_say_must_be_given(tmp_path: Path):
    dome_data(tmp_path, ["led_1", "led_2"])
    camera = StackCamera(offset_adu=64.0, saturated_adu=4095.0)
    with pytest.raises(InputError, match=r"LEDs' positions.*--board"):
        open_stack(tmp_path)
    with pytest.raises(InputError, match="--offset-adu and --saturated-adu"):
        open_stack(tmp_path, board=DOME, camera=StackCamera(), cell=7)
    with pytest.raises(NotMeasured, match="no cell 8"):
        open_stack(tmp_path, board=DOME, camera=camera, cell=8)
    small = LedBoard.grid(rows=1, columns=1, pitch_mm=3.0, distance_mm=50.0)
    with pytest.raises(WrongFormat, match=r"outside the board: \[2\]"):
        open_stack(tmp_path, board=small, camera=camera, cell=7)
    dome_data(tmp_path, ["Brightfield", "DF_50"])
    with pytest.raises(NotMeasured, match="BSCCM-coherent has"):
        open_stack(tmp_path, board=DOME, camera=camera, cell=7)
    (tmp_path / "BSCCM_index.csv").unlink()
    with pytest.raises(FileMissing, match="lacks a file of BSCCM"):
        open_stack(tmp_path, board=DOME, camera=camera, cell=7)
    (tmp_path / "BSCCM_global_metadata.json").write_text("[]")
    with pytest.raises(WrongFormat, match="not laid out as BSCCM"):
        open_stack(tmp_path, board=DOME, camera=camera, cell=7)


def test_other_files_are_refused_in_one_sentence(tmp_path: Path):
    with pytest.raises(FileMissing):
        open_stack(tmp_path / "missing.h5")
    with pytest.raises(WrongFormat, match="no LED stack"):
        open_stack(tmp_path)
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(WrongFormat, match="not an LED stack"):
        open_stack(tmp_path / "text.h5")
    np.savez(tmp_path / "other.npz", images=np.zeros((2, 3, 3)))
    with pytest.raises(WrongFormat, match="no stack of fpm_blood_smear"):
        open_stack(tmp_path / "other.npz")
    with Recorder(tmp_path / "record.h5", {}):
        pass
    with pytest.raises(InputError, match="where its LEDs are"):
        open_stack(tmp_path / "record.h5")


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return int(stop.value.code or 0)


def test_the_command_writes_a_picture_and_exact_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path, images = written(tmp_path / "stack.h5")
    exact, picture = tmp_path / "sum.tif", tmp_path / "sum.png"
    assert run("record", "replay", path, "--pattern", "led", "--led", 7, "--out", exact, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["pattern"], facts["images_summed"], facts["unknown_px"]) == ("LED 7", "1", 0)
    adu = FILL_ADU / images.sum(axis=0, dtype=np.float64).max()
    with Image.open(exact) as written_image:
        assert np.array_equal(np.asarray(written_image), np.rint(images[7] * adu).astype(np.uint16))
    assert run("record", "replay", path, "--na", "0.09", "--exposure-ms", 2, "--out", picture) == 0
    said = capsys.readouterr().out
    assert "bright field at 2 ms: sum of 9 images" in said
    assert "ADU from black to white" in said
    with Image.open(picture) as shown:
        assert (shown.mode, shown.getextrema()) == ("L", (0, 255))
    assert run("record", "replay", path, "--out", picture) == 2
    assert run("record", "replay", path, "--out", tmp_path / "x.jpg") == 2
    assert run("record", "replay", path, "--colour", "red", "--out", tmp_path / "x.png") == 2


def test_the_command_takes_the_board_of_the_recordings_rig(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A recording of the shipped rig by its name; with another board it says so."""
    board = RigConfig.from_file(find_rig("simulated")).led.board.build()
    leds = [0, 84]
    with Recorder(tmp_path / "leds.h5", {"rig": "simulated"}) as recorder:
        for led in leds:
            frame, light = make_frame(led), single_led(board, led)
            shown = replace(frame.shown, levels=light.levels)
            moved = replace(frame, request=Observe(light, 2.0), shown=shown, xy_um=(5.0, 5.0), z_um=0.0)
            recorder.add(moved)
    told = ["--offset-adu", 0, "--saturated-adu", 4096, "--pattern", "led", "--led", 84, "--exposure-ms", 2]
    assert run("record", "replay", tmp_path / "leds.h5", *told, "--out", tmp_path / "a.npy") == 0
    assert np.array_equal(np.load(tmp_path / "a.npy"), make_frame(84).image)
    (tmp_path / "other.csv").write_text("x_mm,y_mm,z_mm\n0,0,-50\n")
    capsys.readouterr()
    other = ["--board", tmp_path / "other.csv", "--out", tmp_path / "b.npy"]
    assert run("record", "replay", tmp_path / "leds.h5", *told, *other) == 2
    assert "another LED board" in capsys.readouterr().err
    assert run("record", "replay", tmp_path / "leds.h5", "--out", tmp_path / "b.npy") == 2
    assert "--saturated-adu" in capsys.readouterr().err


def test_an_archive_that_claims_too_much_or_is_cut_is_refused(tmp_path: Path):
    """The size is in the header of each array; memory would be taken for it before anything is read."""
    names = ("images", "led_grid_xy", "offset_x_mm", "offset_y_mm", "wavelength_um")
    path = tmp_path / "red.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            head = io.BytesIO()
            claim = {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)}
            np.lib.format.write_array_header_1_0(head, claim)
            archive.writestr(f"{name}.npy", head.getvalue())
    with pytest.raises(WrongFormat, match="claims 8000000000000 bytes"):
        open_stack(path)
    np.savez_compressed(path, **dict.fromkeys(names, np.ones((4, 8, 8))))
    whole = path.read_bytes()
    for size in (3, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(WrongFormat):
            open_stack(path)


def test_a_cell_that_claims_too_much_is_refused(tmp_path: Path):
    dome_data(tmp_path, ["led_1"])
    root = zarr.open_group(tmp_path / "BSCCM_images.zarr", mode="r+", zarr_format=2)
    huge = {"shape": (1, 10**6, 10**6), "chunks": (1, 64, 64), "dtype": np.uint16, "overwrite": True}
    root.create_array("batch_0/slide_0/led_array/cell_7", **huge)
    camera = StackCamera(offset_adu=64.0, saturated_adu=4095.0)
    with pytest.raises(WrongFormat, match="cell 7 claims images"):
        open_stack(tmp_path, board=DOME, camera=camera, cell=7)
