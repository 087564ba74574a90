"""A run on a microscope decides as the batched environment does, keeps its budget and never meets the truth."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from lsm.agent.baselines import FixedScan, RandomSearch
from lsm.agent.batch_env import BatchSlideEnv
from lsm.agent.codebook import Codebook
from lsm.agent.evidence import EvidenceModel
from lsm.agent.findings import QualityLimits, judge
from lsm.agent.policy import NetworkConfig, Policy, SearchNetwork, TrainedPolicy
from lsm.agent.rules import ScanGrid, SearchConfig, SearchRules
from lsm.agent.run import SearchPlan, run_slide
from lsm.agent.table_build import TableConfig, TablePlan, build_tables
from lsm.agent.table_world import TableMicroscope, TableReader, table_codebook
from lsm.agent.tables import SlideTables
from lsm.errors import ConfigError, ModelMismatch, StageError
from lsm.illum import bright_field, single_led
from lsm.optics import Camera
from lsm.samples import CellTable
from lsm.samples.table import ROW
from lsm.stats import ScoreCalibration, estimate_prevalence
from lsm.twin import Twin, TwinConfig
from lsm.types import Image, Transmission
from lsm.vision import FieldQuality, FieldReading, FoundCells

World = tuple[SlideTables, ScoreCalibration]


def _plan(world: World, rules: SearchRules) -> SearchPlan:
    return SearchPlan(TableReader(world[0]), table_codebook(rules), rules, world[1], camera_pixel_um=1.2)


def _network(rules: SearchRules, seed: int = 4) -> SearchNetwork:
    """An untrained policy with opinions: large head weights make it decide differently in every situation."""
    return SearchNetwork(rules, NetworkConfig(head_gain=3.0), torch.Generator().manual_seed(seed))


def _actions(policy: Policy, env: BatchSlideEnv, slide: int) -> list[int]:
    seen, memory, actions = env.reset(1, slides=torch.tensor([slide])), policy.start(1), []
    while not bool(env.done.all()):
        choice = policy.act(seen.observation, seen.allowed, memory)
        actions.append(int(choice.action[0]))
        seen, memory = env.step(choice.action).view, choice.memory
    return actions


@pytest.mark.parametrize("slide", [0, 11])
def test_the_runner_decides_as_the_batch_does(world: World, rules: SearchRules, env: BatchSlideEnv, slide: int):
    for draw in (None, 3):
        policies = [
            TrainedPolicy(_network(rules), generator=None if draw is None else torch.Generator().manual_seed(draw))
            for _ in range(2)
        ]
        run = run_slide(TableMicroscope(rules, slide), policies[0], _plan(world, rules))
        assert [step.action for step in run.decisions] == _actions(policies[1], env, slide)


@pytest.mark.parametrize("seed", range(6))
def test_the_budget_holds_and_the_result_adds_up(world: World, rules: SearchRules, seed: int):
    seen = []
    policy = RandomSearch(rules, torch.Generator().manual_seed(seed))
    run = run_slide(
        TableMicroscope(rules, seed),
        policy,
        _plan(world, rules),
        on_capture=lambda frame, told: seen.append((frame, told)),
    )
    assert run.captures == len(seen) == sum(len(visit.captures) for visit in run.visits) <= rules.capture_budget
    assert len(run.decisions) <= rules.action_budget
    assert run.decisions[-1].action == rules.stop
    assert run.light_dose == pytest.approx(sum(frame.light_dose for frame, _ in seen))
    assert [step.capture for step in run.decisions if step.capture is not None] == list(range(run.captures))
    assert run.estimate == estimate_prevalence(run.counts, world[1])
    assert run.estimate == run.decisions[-1].estimate
    for visit in run.visits:
        field = [rules.grid.centre_um(index) for index in range(rules.grid.n_fields)].index(visit.xy_um)
        assert visit.counts["red cell"] == world[0].hists[seed, field, visit.mask].sum()
    told = seen[-1][1]
    assert told["action_name"] == f"pattern {told['pattern']}"
    assert sum(told["probabilities"]) == pytest.approx(1.0)


def test_scrambled_truth_changes_no_decision(world: World, rules: SearchRules):
    scrambled = (dataclasses.replace(world[0], truth=np.random.default_rng(0).random(len(world[0].truth))), world[1])
    runs = [
        run_slide(TableMicroscope(rules, 2), TrainedPolicy(_network(rules)), _plan(one, rules))
        for one in (world, scrambled)
    ]
    assert runs[0].decisions == runs[1].decisions
    assert np.array_equal(runs[0].counts, runs[1].counts)


def test_a_fixed_scan_takes_the_serpentine(world: World, rules: SearchRules):
    run = run_slide(TableMicroscope(rules, 0), FixedScan(rules, (0, 1)), _plan(world, rules))
    centres = [rules.grid.centre_um(field) for field in (0, 1, 2, 3)]
    assert [visit.xy_um for visit in run.visits] == centres
    assert {visit.patterns for visit in run.visits} == {(0, 1)}


def test_parts_of_different_models_are_refused(world: World, rules: SearchRules):
    plan = dataclasses.replace(_plan(world, rules), codebook=table_codebook(rules).first(1))
    with pytest.raises(ModelMismatch):
        run_slide(TableMicroscope(rules, 0), FixedScan(rules, (0,)), plan)


def test_fields_that_overlap_are_refused(world: World, rules: SearchRules):
    plan = dataclasses.replace(_plan(world, rules), camera_pixel_um=200.0)
    with pytest.raises(ConfigError, match="230"):
        run_slide(TableMicroscope(rules, 0), FixedScan(rules, (0,)), plan)


def test_an_error_of_the_microscope_ends_the_run(world: World, rules: SearchRules):
    elsewhere = rules.model_copy(update={"grid": ScanGrid(columns=4, rows=3, corner_um=(5.0, 0.0))})
    with pytest.raises(StageError):
        run_slide(TableMicroscope(rules, 0), FixedScan(rules, (0,)), _plan(world, elsewhere))


@pytest.mark.parametrize(
    ("quality", "fault"),
    [
        (FieldQuality(200, 2, 0.3, 1.0, 0.0), ""),
        (FieldQuality(1, 0, 0.01, 1.2, 0.0), "empty"),
        (FieldQuality(400, 2, 1.1, 0.8, 0.0), "crowded"),
        (FieldQuality(100, 2, 0.3, 0.1, 0.0), "dark"),
        (FieldQuality(100, 2, 0.3, 1.5, 0.6), "overexposed"),
    ],
)
def test_the_worst_fault_of_a_field_is_named(quality: FieldQuality, fault: str):
    score, found = judge(quality, QualityLimits())
    assert found == fault
    assert 0.0 <= score <= 1.0
    assert (score < 0.5) == bool(fault)


class _Squares:
    """A slide of absorbing squares whose spacing changes along x."""

    extent_um = (76.8, 76.8)

    def transmission(
        self, *, x_um: float, y_um: float, n_px: int, pixel_um: float, wavelength_um: float
    ) -> Transmission:
        axis = (np.arange(n_px) - (n_px - 1) / 2) * pixel_um
        x, y = np.meshgrid(axis + x_um, axis + y_um)
        dark = ((x * (1 + x / 60)) % 14 < 5) & (y % 11 < 5)
        return np.where(dark, 0.6, 1.0).astype(np.complex64)

    def truth(self) -> CellTable:
        rows = np.zeros(10, dtype=ROW)
        rows["infected"][:2] = True
        return CellTable(rows)


class _Brightness:
    """Counts image rows by their contrast: no cells, but every number depends on the image."""

    n_patterns = 2
    n_bins = 10

    def read(self, frames: Mapping[int, Image]) -> FieldReading:
        mask = sum(1 << k for k in frames)
        levels = np.concatenate([image.std(axis=1) / image.mean() for image in frames.values()])
        counts = np.histogram(np.clip(levels * 4, 0, 0.999), bins=self.n_bins, range=(0, 1))[0]
        nothing = np.zeros(0)
        cells = FoundCells(nothing, nothing, nothing, np.zeros(0, dtype=np.int64), nothing)
        coverage = float(np.mean([image.mean() for image in frames.values()]) / 4095)
        return FieldReading(mask, cells, nothing, counts, FieldQuality(int(counts.sum()), 0, coverage, 1.0, 0.0))

    def read_subsets(self, frames: Mapping[int, Image]) -> dict[int, FieldReading]:
        masks = range(1, 1 << len(frames))
        return {mask: self.read({k: frames[k] for k in frames if mask >> k & 1}) for mask in masks}


def _noiseless(camera: Camera, rate: torch.Tensor, exposure_ms: float, generator: torch.Generator) -> torch.Tensor:
    return camera.adu(camera.mean_electrons(rate, exposure_ms))


def test_tables_from_the_twin_and_a_run_on_it_give_the_same_decisions(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Camera, "expose", _noiseless)
    default = TwinConfig.default()
    rig = default.model_copy(update={"system": default.system.model_copy(update={"sample_px": 256})})
    board = rig.led_board.board()
    codebook = Codebook((bright_field(board, na=0.1), single_led(board, 50)), (10.0, 60.0))
    grid = ScanGrid(columns=2, rows=2, pitch_um=38.4)
    rules = codebook.rules(SearchConfig(capture_budget=6, action_budget=20, grid=grid))
    reader = _Brightness()
    table_config = TableConfig(slides=1, defocus_um=0.0)
    plan = TablePlan(lambda number: _Squares(), rig, codebook, grid, {"all": reader}, table_config, identity="test")
    tables = build_tables(plan, tmp_path)["all"]
    assert tables.truth.tolist() == [0.2]
    assert tables.digest == build_tables(plan, tmp_path)["all"].digest
    batch = BatchSlideEnv(tables, EvidenceModel.of(world[1]), rules)
    search = SearchPlan(reader, codebook, rules, world[1], camera_pixel_um=1.2, z_um=0.0)
    for seed in range(3):
        policies = [
            TrainedPolicy(_network(rules, seed), generator=torch.Generator().manual_seed(seed)) for _ in range(2)
        ]
        run = run_slide(Twin(_Squares(), rig, seed=seed), policies[0], search)
        assert [step.action for step in run.decisions] == _actions(policies[1], batch, 0)
        assert run.captures > 1
