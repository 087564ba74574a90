"""From a configuration file to a bundle in seconds: every stage runs and the outcome is reproducible."""

from pathlib import Path

import numpy as np
import pytest

import lsm
from lsm.sensing import Bundle
from lsm.stats import ScoreCalibration
from lsm.vision import FieldReader
from lsm.vision.pipeline import PipelineConfig, run_pipeline

CONFIGS = Path(lsm.__file__).parent / "configs" / "design"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    config = PipelineConfig.from_file(CONFIGS / "tiny.toml")
    return run_pipeline(config, cache=tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("name", ["tiny", "procedural", "nih"])
def test_every_shipped_configuration_is_valid(name: str):
    assert PipelineConfig.from_file(CONFIGS / f"{name}.toml").name == name


def test_the_bundle_has_every_part_that_reading_needs(tiny: Bundle):
    assert tiny.n_patterns == 4
    for baseline, masks in ((False, 16), (True, 2)):
        reader = FieldReader(tiny, baseline=baseline)
        part = "baseline_calibration" if baseline else "calibration"
        calibration = ScoreCalibration.from_arrays(tiny.arrays(part))
        assert calibration.infected.shape == (masks, reader.n_bins)


def test_a_scan_has_bins_of_its_own_over_more_slides_that_begin_with_the_policys(tiny: Bundle):
    coarse, fine = (FieldReader(tiny, scan=scan) for scan in (False, True))
    assert (coarse.n_bins, fine.n_bins) == (10, 20)
    for part in ("calibration", "baseline_calibration"):
        few, many = (ScoreCalibration.from_arrays(tiny.arrays(name)).slides for name in (part, f"scan_{part}"))
        assert few is not None
        assert many is not None
        assert (len(few.infected), len(many.infected)) == (2, 3)
        # the edges of the policy's bins are among the scan's, the others lie above 0.98
        for ours, theirs in ((few.infected, many.infected[:2]), (few.uninfected, many.uninfected[:2])):
            np.testing.assert_array_equal(ours[..., :9], theirs[..., :9])
            np.testing.assert_array_equal(ours[..., 9], theirs[..., 9:].sum(-1))


def test_the_bundle_belongs_to_its_rig(tiny: Bundle):
    config = PipelineConfig.from_file(CONFIGS / "tiny.toml")
    tiny.require(
        board=config.rig.led_board.board(),
        camera_digest=config.rig.camera.digest(),
        system_digest=config.rig.system.digest(),
    )
    assert len(tiny.patterns(config.rig.led_board.board())) == 4


def test_the_card_tells_how_it_was_made_and_how_well_it_did(tiny: Bundle):
    config = PipelineConfig.from_table(dict(tiny.card.config))
    assert config.digest() == tiny.card.config_digest
    held_out = tiny.card.figures["held_out"]
    assert set(held_out["masks"]) == {str(mask) for mask in range(1, 16)}
    assert 0 <= held_out["baseline"]["auc"][0] <= 1


def test_the_same_configuration_gives_the_same_weights(tiny: Bundle, tmp_path: Path):
    config = PipelineConfig.from_file(CONFIGS / "tiny.toml")
    again = run_pipeline(config, cache=tmp_path)
    assert again.card.weights_digest == tiny.card.weights_digest


def test_the_bundle_survives_the_disk_and_reads_the_same(tiny: Bundle, tmp_path: Path):
    tiny.save(tmp_path)
    image = np.random.default_rng(0).integers(1000, 3000, (64, 64)).astype(np.uint16)
    first, second = (FieldReader(bundle).read({0: image}) for bundle in (tiny, Bundle.load(tmp_path)))
    assert np.array_equal(first.p_infected, second.p_infected, equal_nan=True)
