"""From a model of nothing but its parts to one with a policy that a microscope can follow."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lsm
from lsm.agent.pipeline import COMMON, PolicyModel, run_policy_pipeline, search_config_of
from lsm.agent.policy import NetworkConfig, TrainedPolicy
from lsm.agent.ppo import PpoConfig
from lsm.agent.rules import ScanGrid, SearchConfig
from lsm.agent.run import SearchPlan, run_slide
from lsm.agent.table_build import TableConfig
from lsm.agent.train import TrainPolicyConfig
from lsm.errors import ModelMismatch
from lsm.samples import ProceduralSmear
from lsm.sensing import Bundle, BundleCard
from lsm.sensing.heads import CellClassifier
from lsm.stats import ScoreCalibration
from lsm.twin import Twin
from lsm.vision import CellFinder
from lsm.vision.pipeline import PipelineConfig

CONFIGS = Path(lsm.__file__).parent / "configs"
SLIDES = TableConfig(slides=2, parasitaemia=(0.1, 0.4))
CONFIG = TrainPolicyConfig(
    search=SearchConfig(capture_budget=4, action_budget=10, grid=ScanGrid(columns=2, rows=1, pitch_um=76.8)),
    train=SLIDES,
    held_out=SLIDES,
    ppo=PpoConfig(updates=2, searches=8, epochs=1, minibatches=1, network=NetworkConfig(units=8)),
)


def _part(name: str, network: nn.Module) -> dict[str, Tensor]:
    return {f"{name}.{key}": value for key, value in network.state_dict().items()}


def _calibration(n_masks: int) -> ScoreCalibration:
    """Four slides alike, which separate weakly."""
    ramp = np.tile(np.arange(1, 11), (4, n_masks, 1))
    return ScoreCalibration.from_slides(ramp * 5, ramp[:, :, ::-1] * 10)


@pytest.fixture(scope="module")
def model() -> Bundle:
    """Every part of a model, none of them trained; the finder sees red cells everywhere."""
    config = PipelineConfig.from_file(CONFIGS / "design" / "tiny.toml")
    board = config.rig.led_board.board()
    torch.manual_seed(0)
    finder = CellFinder(config.finder)
    with torch.no_grad():
        finder.heads.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0]))
    levels = np.stack([(board.na <= 0.1), (board.na > 0.1) & (board.na < 0.2), board.na > 0.3, board.na > 0.2])
    tensors = {
        "codebook.duty_levels": torch.from_numpy(levels.astype(np.uint8) * 255),
        "codebook.exposures_ms": torch.tensor([5.0, 20.0, 40.0, 40.0]),
        "codebook.signal_mean": torch.full((4,), 0.3),
        "codebook.signal_std": torch.full((4,), 0.1),
        "codebook.adu_offset": torch.tensor(20.0),
        "codebook.adu_full_well": torch.tensor(4000.0),
        "reader.score_edges": torch.linspace(0.47, 0.53, 9),
        **_part("classifier", CellClassifier(4, config.classifier)),
        **_part("baseline", CellClassifier(1, config.classifier)),
        **_part("finder", finder),
    }
    for name, masks in (("calibration", 16), ("baseline_calibration", 2)):
        arrays = _calibration(masks).to_arrays()
        tensors |= {
            f"{name}.{key}": torch.from_numpy(np.ascontiguousarray(value)).float() for key, value in arrays.items()
        }
    card = BundleCard(
        name="untrained",
        board_digest=board.digest,
        camera_digest=config.rig.camera.digest(),
        system_digest=config.rig.system.digest(),
        config_digest=config.digest(),
        config=config.model_dump(mode="json"),
        seed=0,
        data="none",
    )
    return Bundle.of(card, tensors)


@pytest.fixture(scope="module")
def extended(model: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return run_policy_pipeline(CONFIG, model, cache=tmp_path_factory.mktemp("policy"))


def test_a_model_without_a_policy_says_so(model: Bundle):
    with pytest.raises(ModelMismatch, match="no policy"):
        search_config_of(model)


def test_the_policy_travels_with_its_model_and_searches_the_twin(extended: Bundle, tmp_path: Path):
    extended.save(tmp_path / "model")
    bundle = Bundle.load(tmp_path / "model")
    assert search_config_of(bundle) == CONFIG.search
    parts = PolicyModel.of(bundle)
    rules = parts.rules(CONFIG.search, COMMON)
    policy = TrainedPolicy.of(bundle.select("policy"), rules)
    plan = SearchPlan(parts.readers[COMMON], parts.codebook, rules, parts.calibrations[COMMON], camera_pixel_um=1.2)
    smear = ProceduralSmear(parts.design.smear, seed=8)
    runs = [run_slide(Twin(smear, parts.design.rig, seed=3), policy, plan) for _ in range(2)]
    assert runs[0].decisions == runs[1].decisions
    assert 1 <= runs[0].captures <= 4
    assert len(runs[0].cells) == runs[0].red_cells > 0
    width_um, height_um = runs[0].extent_um
    # cells lie in the fields of the grid; their centres are found to half a pixel beyond the edge
    assert all(-0.6 <= cell.x_um <= width_um + 0.6 and -0.6 <= cell.y_um <= height_um + 0.6 for cell in runs[0].cells)


def test_the_card_tells_how_every_policy_did(extended: Bundle):
    figures = extended.card.figures["policy"]
    assert isinstance(figures, dict)
    held_out = figures["held_out"]
    assert isinstance(held_out, list)
    assert {"policy", "error", "error_low", "error_high", "gain", "captures", "light_dose", "time_s"} <= set(
        held_out[0]
    )
    assert len(held_out) == 6


def test_the_tables_and_the_training_repeat(model: Bundle, extended: Bundle, tmp_path: Path):
    again = run_policy_pipeline(CONFIG, model, cache=tmp_path)
    assert again.card.weights_digest == extended.card.weights_digest
