"""From a configuration file to a bundle in seconds: every stage runs and the outcome is reproducible."""

from pathlib import Path

import numpy as np
import pytest

import lsm
from lsm.samples import SlideVariety
from lsm.sensing import Bundle
from lsm.stats import ScoreCalibration
from lsm.stats.thresholds import CalibrationSlides
from lsm.vision import FieldReader
from lsm.vision.pipeline import PipelineConfig, calibrate_again, run_pipeline

ALIKE = SlideVariety(density_spread=0, look_alike_cv=0, focus_um=0, tilt_um_per_mm=0)
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


def calibration_slides(bundle: Bundle, part: str) -> CalibrationSlides:
    slides = ScoreCalibration.from_arrays(bundle.arrays(part)).slides
    assert slides is not None
    return slides


def test_a_scan_has_bins_of_its_own_over_more_slides(tiny: Bundle):
    coarse, fine = (FieldReader(tiny, scan=scan) for scan in (False, True))
    assert (coarse.n_bins, fine.n_bins) == (10, 20)
    for part in ("calibration", "baseline_calibration"):
        few, many = (calibration_slides(tiny, name) for name in (part, f"scan_{part}"))
        assert (len(few.infected), len(many.infected)) == (2, 3)
        assert (few.infected.shape[2], many.infected.shape[2]) == (10, 20)


def test_slides_for_scans_differ_in_more_than_those_for_policies():
    shipped = Bundle.named("procedural")
    config = PipelineConfig.from_file(CONFIGS / "procedural.toml")
    group = config.calibration.model_copy(update={"slides": 2, "fields_per_slide": 1})
    varied, alike = (
        config.model_copy(
            update={"calibration": group, "scan": config.scan.model_copy(update={"slides": 3, "variety": variety})}
        )
        for variety in (config.scan.variety, ALIKE)
    )
    bundles = [calibrate_again(each, shipped) for each in (varied, alike)]
    assert bundles[0].card.config["scan"]["variety"] == varied.scan.model_dump()["variety"]
    for part in ("calibration", "baseline_calibration"):
        few, again = (calibration_slides(bundle, part) for bundle in bundles)
        np.testing.assert_array_equal(few.infected, again.infected)
        assert few.uninfected.sum() > 100
        differing, same = (calibration_slides(bundle, f"scan_{part}") for bundle in bundles)
        # without variety the first are those of the policy, whose bins' edges are among the scan's
        for ours, theirs in ((few.infected, same.infected[:2]), (few.uninfected, same.uninfected[:2])):
            np.testing.assert_array_equal(ours[..., :9], theirs[..., :9])
            np.testing.assert_array_equal(ours[..., 9], theirs[..., 9:].sum(-1))
        # cells per area differ by a quarter of the logarithm from slide to slide
        cells = [slides.uninfected[:, 1].sum(axis=1) for slides in (differing, same)]
        assert np.abs(np.log(cells[0] / cells[1])).max() > 0.1


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
