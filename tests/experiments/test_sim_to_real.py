"""Light designed on simulation and scored on a measured slide: its parts, and the short form as a whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lsm.errors import ConfigError, FileMissing
from lsm.experiments.sim_to_real import SimToRealConfig, run
from lsm.experiments.sim_to_real.config import CaptureConfig
from lsm.experiments.sim_to_real.firmware import LightBoard
from lsm.experiments.sim_to_real.lights import LEARNED, fixed_light
from lsm.experiments.sim_to_real.phantoms import Fields, make_fields
from lsm.experiments.sim_to_real.reader import Reader, captured, captured_shots, train, weights_of
from lsm.experiments.sim_to_real.score import Score, compare, score_slide, t_interval
from lsm.experiments.sim_to_real.slide import open_slide, two_thresholds
from lsm.illum import LedBoard
from lsm.optics import Camera
from lsm.sensing.progress import Silent

CONFIG = Path(__file__).parents[2] / "lsm" / "configs" / "experiment" / "sim_to_real.toml"
WHOLE = SimToRealConfig.from_file(CONFIG)
BOARD = LedBoard.grid(rows=5, columns=5, pitch_mm=4.0, distance_mm=90.88, wavelengths_um=(0.532,))


def short(**phantoms: object) -> SimToRealConfig:
    small = WHOLE.phantoms.model_copy(update={"field_px": 24, "train": 4, **phantoms})
    training = WHOLE.training.model_copy(update={"steps": 40, "batch": 2, "channels": 8})
    return WHOLE.model_copy(update={"phantoms": small, "training": training})


def fields_of(config: SimToRealConfig, count: int) -> Fields:
    system = config.rig.system(0.532, camera_px=24, margin_px=8)
    return make_fields(config, BOARD, system, 10.0, count=count, stream=1)


def test_the_shipped_configuration_is_the_default_one():
    assert SimToRealConfig() == WHOLE


def test_ranges_that_run_backwards_are_refused():
    phantoms = WHOLE.phantoms.model_copy(update={"stain": (4.0, 0.5)})
    with pytest.raises(ConfigError, match=r"phantoms.stain runs from 4 to 0.5"):
        WHOLE.model_copy(update={"phantoms": phantoms}).checked()


def test_without_the_data_one_sentence_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("LSM_DATA", raising=False)
    with pytest.raises(FileMissing, match="Hint: set LSM_DATA"):
        run(CONFIG, tmp_path, quick=True, seeds=None, workers=1, progress=Silent())
    monkeypatch.setenv("LSM_DATA", str(tmp_path))
    with pytest.raises(FileMissing, match=r"red\.npz is not there"):
        run(CONFIG, tmp_path, quick=True, seeds=None, workers=1, progress=Silent())


def test_the_same_seed_gives_the_same_fields_and_their_stain_is_where_light_is_lost():
    config = short(defocus_um=0.0, stain=(4.0, 4.0), refraction=(0.1, 0.1))
    first, second = fields_of(config, 2), fields_of(config, 2)
    assert torch.equal(first.stack, second.stack)
    assert torch.equal(first.truth, second.truth)
    bright = first.images(weights_of(fixed_light("bright field", BOARD, 0.1, 0), BOARD))
    share = torch.nn.functional.avg_pool2d(first.truth[:, None], 2)[:, 0]
    for image, stained in zip(bright, share, strict=True):
        assert 0.02 < float(stained.mean()) < 0.98
        # a threefold absorbing cell is darker than empty slide, blurred as both are
        assert float(image[stained > 0.5].mean()) < 0.8 * float(image[stained < 0.1].mean())


def test_a_capture_is_filled_by_its_mean_or_its_peak_and_shots_share_its_light():
    config = CaptureConfig(camera=Camera(read_noise_e=0.0, prnu=0.0, dsnu_e=0.0, dark_e_per_s=0.0))
    flat, spotted = torch.ones(1, 40, 40), torch.ones(1, 40, 40)
    spotted[0, :4] = 100.0
    # the mean of 1600 pixels of 5000 electrons: a relative standard error of 0.035 %, five times that
    filled = captured(flat, config, torch.Generator().manual_seed(1))
    assert float(filled.mean()) == pytest.approx(5000, rel=2e-3)
    brightest = captured(spotted, config, torch.Generator().manual_seed(1))[0, :4]
    assert float(brightest.mean()) == pytest.approx(9000, rel=5e-3)
    halves = captured_shots([flat[0] * 0.3, flat[0] * 0.7], config, torch.Generator().manual_seed(2))
    assert float(halves.mean()) == pytest.approx(5000, rel=2e-3)
    assert float(halves.var()) == pytest.approx(5000, rel=0.2)


def test_a_reading_does_not_hang_on_the_cameras_gain_or_offset():
    torch.manual_seed(0)
    reader, images = Reader(8), torch.rand(2, 16, 16) + 1
    odds = reader(images)
    assert odds.shape == (2, 32, 32)
    # float32 sums of a few hundred terms
    torch.testing.assert_close(reader(250 * images + 40), odds, rtol=0, atol=1e-4)


def test_training_learns_light_and_reader_and_leaves_a_fixed_light_alone():
    config = short()
    fields = fields_of(config, 4)
    losses: list[float] = []
    learned = train(fields, BOARD, config, None, 3, losses.append)
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    assert learned.levels.max() == 255
    again = train(fields, BOARD, config, None, 3)
    assert np.array_equal(again.levels, learned.levels)
    assert not np.array_equal(train(fields, BOARD, config, None, 4).levels, learned.levels)
    centre = fixed_light("centre", BOARD, 0.1, 0)
    assert np.array_equal(train(fields, BOARD, config, centre, 3).levels, centre)


def test_thresholds_lie_between_three_classes():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(mean, 0.05, n) for mean, n in ((0, 4000), (0.5, 5500), (2, 500))])
    lower, upper = two_thresholds(values.reshape(100, 100))
    assert 0.15 < lower < 0.35
    assert 0.65 < upper < 1.85


def test_a_slide_is_scored_as_a_whole_and_by_tiles():
    truth = np.zeros((20, 20), dtype=bool)
    truth[:, 10:] = True
    truth[2:10, 2:6] = True
    odds = np.where(truth, 1.0, -1.0)
    odds[2:10, 10:18] = -1.0
    score = score_slide(odds, truth, rim=2, tiles=2)
    # inside the rim 128 + 32 places are stained, of which 64 + 32 are read, and nothing else
    assert score.iou == pytest.approx(96 / 160)
    assert score.by_unit[0] == (1.0, 1.0)
    # these hold one class only
    assert score.by_unit[1:] == (None, None, None)


def test_differences_have_students_interval():
    # differences 1, 2, 3: mean 2, standard error 1 / sqrt(3), quantile 4.3027
    low, high = t_interval(np.array([1.0, 2.0, 3.0]))
    assert (low, high) == pytest.approx((2 - 4.302653 / np.sqrt(3), 2 + 4.302653 / np.sqrt(3)))
    better = [Score(0.9 + 0.01 * k, 0.8, ((0.9, 0.8), None, (0.7, 0.6))) for k in range(3)]
    worse = [Score(0.8 + 0.02 * k, 0.7, ((0.8, 0.7), None, (0.6, 0.5))) for k in range(3)]
    found = compare(better, worse, 0)
    assert found["difference"] == pytest.approx(0.09)
    assert found["over_places"] == pytest.approx([0.1, 0.1])
    assert compare(better[:1], worse[:1], 1)["over_seeds"] is None


@pytest.mark.firmware
def test_the_firmware_shows_a_light_of_the_slides_leds_in_their_places():
    place = np.array([112, 0, 224, 17])
    levels = np.array([255, 100, 3, 60], dtype=np.uint8)
    with LightBoard(WHOLE) as board:
        lit = board.show(levels, "red", place, board.drive(8, 1))
        assert (lit.as_sent, lit.elsewhere, len(lit.shots)) == (True, 0, 1)
        assert np.array_equal(lit.shots[0][0], levels)
        coarse = board.show(levels, "green", place, board.drive(1, 1))
        assert coarse.as_sent
        assert set(np.unique(coarse.shots[0][0])) <= {0, 255}
        assert coarse.rms_error > lit.rms_error == pytest.approx(0, abs=1e-12)


@pytest.fixture(scope="module")
def slide_there(data_dir: Path) -> Path:
    folder = data_dir / "fpm_blood_smear"
    if not folder.is_dir():
        pytest.skip("LSM_DATA holds no fpm_blood_smear")
    return folder


@pytest.mark.data
def test_the_replayed_slide_adds_light_up_in_one_unit(slide_there: Path):
    slide = open_slide(WHOLE, "green")
    board = slide.board
    assert slide.place.tolist()[0] == 112
    parts = [fixed_light(name, board, 0.1, 0) for name in ("bright field", "dark field")]
    first, second = slide.images([(parts[0], 1.0), (parts[1], 0.5)])
    light = slide.light.double()
    # 16 bits of which 90 % are used, rounded
    torch.testing.assert_close(
        first.double(), torch.tensordot(torch.from_numpy(parts[0] / 255), light, 1), rtol=1e-3, atol=1
    )
    torch.testing.assert_close(
        second.double(), 0.5 * torch.tensordot(torch.from_numpy(parts[1] / 255), light, 1), rtol=1e-2, atol=0.1
    )


@pytest.mark.data
@pytest.mark.firmware
@pytest.mark.timeout(400)  # half a minute of one core, on a machine that may be shared
def test_the_short_form_shows_the_direction(slide_there: Path, tmp_path: Path):
    found: Any = run(CONFIG, tmp_path, quick=True, seeds=None, workers=1, progress=Silent())
    red = found["colours"]["red"]
    # phase scatters light out of the bright field: light from outside it must help where it was designed
    assert red["learned_minus"]["bright field"]["simulated"]["iou"]["difference"] > 0.03
    assert min(red["scores"][LEARNED]["simulated"]["auc"]) > 0.9
    # networks that never saw the slide read it far better than chance
    assert min(red["scores"][LEARNED]["replayed"]["auc"]) > 0.6
    assert 0.2 < red["truth"]["stained_share"] < 0.8
    # eight bits lose nothing that matters, and the board shows what it was sent and nothing else
    for shown in red["shown_by_firmware"].values():
        assert (shown["as_sent"], shown["elsewhere"]) == (True, 0)
    change = np.subtract(red["scores"][LEARNED]["8 bits"]["auc"], red["scores"][LEARNED]["replayed"]["auc"])
    assert np.abs(change).max() < 0.01
    # a sample recovered from four fifths of the LEDs predicts what the designed light shows
    assert min(red["prediction"]["lights"][LEARNED]["all"]) > 0.9
    for name in ("table.md", "scores.png", "lights_red.png", "readings_red.png"):
        assert (tmp_path / name).stat().st_size > 500
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 8
