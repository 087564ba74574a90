"""The experiment on light and pupil: its optics and accounts on made-up cells, its direction on real ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lsm.errors import ConfigError, FileMissing
from lsm.experiments.kim2020 import KimConfig, Objective, run
from lsm.experiments.kim2020.optics import CellOptics, light_grid
from lsm.samples import CellCrops
from lsm.sensing.cells.pupil import PupilCellModel, PupilConfig
from lsm.sensing.progress import Silent
from lsm.twin import GridBoardConfig

pytestmark = pytest.mark.timeout(300)

SHIPPED = Path(__file__).parents[2] / "lsm" / "configs" / "experiment" / "kim2020.toml"
TINY = """
greys = ["own"]
folds = 2
seeds = 2
board = { rows = 5, columns = 5, pitch_mm = 4.0 }
training = { epochs = 1, rows_per_step = 8 }

[[objectives]]
na = 0.10
camera_pixel_um = 1.2
arms = ["nothing", "LEDs", "pupil", "both"]

[[objectives]]
na = 0.20
camera_pixel_um = 0.6
"""


def crops(n: int = 32) -> CellCrops:
    """Discs; infected ones with a dark dot off the middle."""
    y, x = np.mgrid[:50, :50] - 24.5
    images = np.zeros((n, 50, 50), dtype=np.uint8)
    images[:, np.hypot(x, y) < 24] = np.linspace(150, 210, n).astype(np.uint8)[:, None]
    infected = np.arange(n) % 2 == 1
    images[np.ix_(infected, *(np.arange(50),) * 2)] -= (70 * (np.hypot(x - 8, y) < 4)).astype(np.uint8)
    return CellCrops(images, infected, np.array([f"C{k % 8}" for k in range(n)]))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with made-up crops, and a small configuration beside it."""
    folder = tmp_path / "nih_malaria_cells_50px"
    folder.mkdir()
    made = crops()
    np.savez(folder / "dev.npz", images=made.images, labels=made.infected.astype(np.uint8), patient=made.patient)
    monkeypatch.setenv("LSM_DATA", str(tmp_path))
    (tmp_path / "tiny.toml").write_text(TINY, encoding="utf-8")
    return tmp_path


def run_tiny(data: Path, *, seeds: int | None = None) -> dict[str, Any]:
    return dict(run(data / "tiny.toml", data / "out", quick=False, seeds=seeds, workers=1, progress=Silent()))


def rows_of(data: Path) -> list[str]:
    return (data / "out" / "runs" / "table.jsonl").read_text(encoding="utf-8").splitlines()[1:]


def check_tables(results: dict[str, Any]) -> None:
    """Every arm and every difference is told, and the differences are those of the arms."""
    table = results["greys"]["own"]
    nothing, leds, pupil, both = arms = [f"{arm} at NA 0.10" for arm in ("nothing", "LEDs", "pupil", "both")]
    reference = "nothing at NA 0.20"
    assert list(table["arms"]) == [*arms, reference]
    alone = {(both, leds), (both, pupil), (both, nothing), (leds, nothing), (pupil, nothing)}
    told = {(each["of"], each["minus"]) for each in table["differences"]}
    assert told == alone | {(arm, reference) for arm in arms}
    for each in table["differences"]:
        of, minus = (table["arms"][each[end]]["accuracy"] for end in ("of", "minus"))
        assert each["points"][0] == pytest.approx(100 * (of - minus), abs=0.02)  # four digits of each accuracy
    assert table["arms"][nothing]["exposure_time"] == 1.0


def test_tables_picture_and_going_on(data: Path) -> None:
    first = run_tiny(data)
    check_tables(first)
    assert (data / "out" / "picture.png").stat().st_size > 10_000
    table = (data / "out" / "table.md").read_text(encoding="utf-8")
    accuracy = first["greys"]["own"]["arms"]["both at NA 0.10"]["accuracy"]
    assert f"| both at NA 0.10 | {accuracy:.3f} |" in table
    rows = rows_of(data)
    assert run_tiny(data) == first
    assert rows_of(data) == rows
    run_tiny(data, seeds=3)
    assert rows_of(data)[: len(rows)] == rows
    # a third seed of five arms in two folds
    assert len(rows_of(data)) == len(rows) + 10


def optics(**options: Any) -> CellOptics:
    config = KimConfig(board=GridBoardConfig(rows=5, columns=5, pitch_mm=4.0), **options)
    return CellOptics(config, crops(), "own", Objective(na=0.10, camera_pixel_um=1.2))


def test_bright_field_as_one_lamp_is_bright_field() -> None:
    cells = optics(pupil=PupilConfig(learned=(), clear=1.0))
    one, all_lit = (cells.model(arm, torch.Generator().manual_seed(1)) for arm in ("nothing", "pupil"))
    rows = np.arange(len(cells.crops))
    for model in (one, all_lit):
        model.eval()
        model.freeze(cells.stack, rows)
    seen = []
    for model in (one, all_lit):
        with torch.no_grad():
            seen.append(model.electrons(cells.stack, rows, torch.Generator().manual_seed(2)))
    # float16 images, and what they change in the exposure
    assert torch.allclose(seen[0], seen[1], rtol=3e-3)
    costs = [cells.outcome(model)[1] for model in (one, all_lit)]
    assert costs[0] == pytest.approx(costs[1], rel=2e-3)


def test_light_lost_in_the_pupil_is_paid_for_in_time() -> None:
    costs = []
    for clear in (1.0, 0.5):
        cells = optics(pupil=PupilConfig(learned=(), clear=clear))
        model = cells.model("pupil", torch.Generator().manual_seed(1))
        model.freeze(cells.stack, np.arange(len(cells.crops)))
        costs.append(cells.outcome(model)[1])
    assert costs[1]["passed"] == pytest.approx(0.25, rel=1e-4)
    assert costs[1]["exposure"] == pytest.approx(4 * costs[0]["exposure"], rel=1e-3)
    assert costs[1]["signal_e"] == pytest.approx(costs[0]["signal_e"], rel=1e-3)


def test_arms_differ_only_in_what_is_learned() -> None:
    cells = optics()
    leds, pupil, both = (cells.model(arm, torch.Generator().manual_seed(1)) for arm in ("LEDs", "pupil", "both"))
    learned = [
        {name for name, value in model.light.named_parameters() if value.requires_grad} for model in (leds, pupil, both)
    ]
    assert learned == [{"logits"}, {"pupil.amplitude", "pupil.phase"}, {"logits", "pupil.amplitude", "pupil.phase"}]
    assert isinstance(both, PupilCellModel)
    assert torch.equal(leds.light(), both.light())
    assert not pupil.light()[0, torch.from_numpy(cells.lamps.na > 0.10)].any()


@pytest.mark.parametrize("na", [0.10, 0.25, 0.50])
def test_grid_holds_the_light_and_not_much_more(na: float) -> None:
    config = KimConfig()
    objective = next(each for each in config.objectives if each.na == na)
    board = config.board.board()
    system = light_grid(config, board, objective)
    reach = (board.na.max() + na) / system.wavelength_um
    assert system.field_um == pytest.approx(19.2)
    assert 2 * reach * system.sample_pixel_um <= 1
    coarser = (
        19.2 / (system.sample_px - 2 * system.computed_px) if system.sample_px > 2 * system.computed_px else np.inf
    )
    assert 2 * reach * coarser > 1


def test_refuses_a_grid_too_coarse_for_the_light() -> None:
    config = KimConfig(field_px=32, field_pixel_um=0.6)
    with pytest.raises(ConfigError, match=r"32 px does not hold the light of NA 0\.1"):
        light_grid(config, config.board.board(), config.objectives[0])


def test_says_what_is_missing_without_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LSM_DATA", raising=False)
    with pytest.raises(FileMissing, match="LSM_DATA"):
        run(SHIPPED, tmp_path, quick=True, seeds=None, workers=1, progress=Silent())


def test_shipped_configuration_is_the_default() -> None:
    assert KimConfig.from_file(SHIPPED) == KimConfig()


@pytest.mark.data
@pytest.mark.usefixtures("data_dir")
def test_direction_on_real_cells(tmp_path: Path) -> None:
    results = run(SHIPPED, tmp_path, quick=True, seeds=None, workers=1, progress=Silent())
    found = {(each["of"], each["minus"]): each["points"] for each in results["greys"]["fixed"]["differences"]}
    nothing, leds, pupil, both = (f"{arm} at NA 0.10" for arm in ("nothing", "LEDs", "pupil", "both"))
    # the whole interval where light is learned; the pupil alone is the one that both together must pass
    assert found[leds, nothing][1] > 0
    assert found[both, nothing][1] > 0
    assert found[both, pupil][0] > 0
