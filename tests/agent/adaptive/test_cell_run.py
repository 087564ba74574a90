"""A policy on a microscope: it decides as in the batch, keeps its budgets, and does not lose what it saw."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_case import BOARD, CELLS, NAMES, TWIN, Script, Watched, opinionated, place, sequence, smear, twin, world

from lsm.agent.adaptive import BatchAdaptiveEnv, Capture, CellBudget, Reading, build_world
from lsm.agent.adaptive.fits import RigFacts, find_cells, require_fit
from lsm.agent.adaptive.light import lamps_of_stack
from lsm.agent.adaptive.overview import search_png, told_of
from lsm.agent.adaptive.parity import EpisodeRenderer, agreement, batch_episodes, episodes_of, read_again
from lsm.agent.adaptive.policies import (
    CellNetwork,
    CellNetworkConfig,
    RandomLight,
    TrainedPolicy,
    load_policy,
    save_policy,
)
from lsm.agent.adaptive.readers import SetReader, SetReaderConfig, train_set_reader
from lsm.agent.adaptive.record import DECISIONS, RECORD, CellRecorder
from lsm.agent.adaptive.recorded import READABLE, read_cells_record
from lsm.agent.adaptive.run import CellPlace, CellRun, run_cell
from lsm.agent.adaptive.strip import Strip, strip_png
from lsm.agent.adaptive.worldfile import load_world, save_world
from lsm.agent.codebook import Codebook
from lsm.devices import Frame, Shown
from lsm.errors import CameraError, ConfigError, FileMissing, IlluminatorError, InputError, ModelMismatch, WrongFormat
from lsm.illum import bright_field
from lsm.record import open_record
from lsm.record.replay import Replay
from lsm.record.stacks import Dark, LedImage, StackCamera, StackInMemory
from lsm.safety import Limits
from lsm.scope import RigConfig, find_rig
from lsm.sensing.cells.exposure import PhotonBudget
from lsm.twin import GridBoardConfig, Twin, TwinConfig
from lsm.vision import FieldQuality, FieldReading, FoundCells

INFECTED = len(NAMES)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def _with_the_noise_of(env: BatchAdaptiveEnv, *, half: bool) -> list[CellRun]:
    renderer = EpisodeRenderer(smear(), BOARD.board(), TWIN, half=half)
    microscope, runs = twin(renderer=renderer), []
    for row in range(CELLS):
        renderer.begin(env.key[row])
        runs.append(run_cell(microscope, sequence(), world(), place(row)))
    return runs


@pytest.fixture(scope="module")
def env() -> BatchAdaptiveEnv:
    env = BatchAdaptiveEnv(world())
    env.reset(CELLS, 11, rows=torch.arange(CELLS))
    return env


def test_the_twin_decides_as_the_batch_does(env: BatchAdaptiveEnv):
    env.reset(CELLS, 11, rows=torch.arange(CELLS))
    batch = batch_episodes(sequence(), env)
    assert len({tuple(batch.kinds[:, row].tolist()) for row in range(CELLS)}) > 1
    same = agreement(batch, _with_the_noise_of(env, half=True))
    assert (same.same_decisions, same.same_beliefs, same.same_frames) == (CELLS, CELLS, CELLS)
    assert same.probability_off == 0
    # images that were not rounded to half precision: off by at most a digit
    other = agreement(batch, _with_the_noise_of(env, half=False))
    assert other.most_adu <= 1
    assert other.pixels_off < 0.05 * other.pixels


def test_the_frames_of_runs_lead_to_the_same_decisions_in_a_batch():
    microscope = twin()
    runs = [run_cell(microscope, opinionated(), world(), place(row)) for row in range(CELLS)]
    found = agreement(read_again(opinionated(), world(), runs), runs)
    assert found.same_beliefs == found.same_decisions == CELLS
    assert found.probability_off < 1e-5  # a float32 network, alone and in a batch
    assert agreement(episodes_of(runs), runs).probability_off == 0
    # one frame of another cell, and the comparison sees it
    decision = runs[0].decisions[0]
    look = dataclasses.replace(decision.look, pixels=runs[1].decisions[0].look.pixels)
    changed = (dataclasses.replace(decision, look=look), *runs[0].decisions[1:])
    runs[0] = dataclasses.replace(runs[0], decisions=changed)
    assert agreement(read_again(opinionated(), world(), runs), runs).same_beliefs < CELLS


@pytest.mark.parametrize("seed", range(4))
def test_no_budget_is_exceeded(seed: int):
    rules = world().rules
    most_led_s = 1.5 * max(rules.lights_led_s)
    policy = RandomLight(rules, 4, torch.Generator().manual_seed(seed))
    microscope = Watched(twin())
    budget = CellBudget(captures=3, light_led_s=most_led_s)
    run = run_cell(microscope, policy, world(), place(seed), budget=budget)
    assert run.captures == len(microscope.asked) <= 3
    assert run.light_led_s == pytest.approx(microscope.light_led_s)
    assert microscope.light_led_s <= most_led_s
    assert run.declared in ("infected", "healthy", "refer")


def test_what_is_refused_lights_nothing_and_counts():
    microscope = Watched(twin())
    # a declaration before a capture, then the same pattern three times where two are allowed
    run = run_cell(microscope, Script((INFECTED, 0, 0, 0, INFECTED)), world(), place(0))
    assert [decision.allowed for decision in run.decisions] == [False, True, True, False, True]
    assert len(microscope.asked) == 2
    assert run.declared == "infected"
    refused = run.decisions[3]
    assert refused.odds_before == refused.odds_after
    assert refused.look is None
    stubborn = run_cell(microscope, Script((INFECTED,)), world(), place(0))
    assert (stubborn.declared, len(stubborn.decisions)) == ("", world().rules.steps_max)


def test_a_capture_that_was_repeated_is_paid_twice():
    def again(number: int, frame: Frame) -> Frame:
        return dataclasses.replace(frame, metadata={"attempts": "2"})

    once = run_cell(twin(), Script((2, INFECTED)), world(), place(0))
    twice = run_cell(Watched(twin(), again), Script((2, INFECTED)), world(), place(0))
    assert twice.light_led_s == pytest.approx(2 * once.light_led_s)
    assert twice.time_s == pytest.approx(2 * once.time_s)


def test_light_that_was_not_asked_for_is_no_capture():
    def dimmed(number: int, frame: Frame) -> Frame:
        return dataclasses.replace(frame, shown=Shown(frame.shown.levels // 2, limited=True))

    with pytest.raises(IlluminatorError, match="50% of the light 'dark field'"):
        run_cell(Watched(twin(), dimmed), Script((2, INFECTED)), world(), place(0))


def test_a_cell_is_cut_out_of_a_larger_frame():
    wide = TwinConfig(system=TWIN.system.model_copy(update={"sample_px": 80}), led_board=BOARD)
    run = run_cell(Twin(smear(), wide, 3), Script((0, INFECTED)), world(), place(0))
    x_um, y_um = place(0).xy_um
    beside = CellPlace((x_um - 2.4, y_um), 0.0, centre_px=(7.5, 9.5))  # two pixels of 1.2 um
    moved = run_cell(Twin(smear(), wide, 3), Script((0, INFECTED)), world(), beside)
    assert run.decisions[0].look.corner_px == (4, 4)
    assert moved.decisions[0].look.corner_px == (4, 6)
    first, second = (each.decisions[0].look.pixels.astype(float) for each in (run, moved))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.9
    with pytest.raises(InputError, match="not all of its 8 x 8 px"):
        run_cell(twin(), Script((0,)), world(), CellPlace(place(0).xy_um, 0.0, centre_px=(0.0, 3.5)))


def test_what_was_seen_before_a_failure_is_kept_and_drawn(tmp_path: Path):
    def fails(number: int, frame: Frame) -> Frame:
        if number == 2:
            raise CameraError("No image came.", hint="look at the cable")
        return frame

    microscope = Watched(twin(), fails)
    folder = tmp_path / "run"
    runs = []

    def record() -> None:
        with CellRecorder(folder, world(), "script", {"rig": "twin"}) as recorder:
            for row, actions in enumerate([(0, INFECTED), (1, 1, INFECTED)]):
                recorder.begin(place(row))
                runs.append(run_cell(microscope, Script(actions), world(), place(row), on_decision=recorder.add))
                recorder.end(runs[-1])

    with pytest.raises(CameraError):
        record()
    held = read_cells_record(folder)
    done, stopped = held.cells
    assert (done.declared, done.belief) == ("infected", runs[0].belief)
    assert [d.odds_after for d in done.decisions] == [d.odds_after for d in runs[0].decisions]
    assert np.array_equal(done.decisions[0].look.pixels, runs[0].decisions[0].look.pixels)
    assert np.array_equal(done.decisions[0].look.levels, runs[0].decisions[0].look.levels)
    assert done.decisions[0].probabilities == runs[0].decisions[0].probabilities
    assert (len(stopped.decisions), stopped.declared) == (1, "")
    assert "No image came" in stopped.stopped_by
    # half a line, as a killed program leaves it
    path = folder / DECISIONS
    path.write_text(path.read_text() + '{"cell": 1, "st')
    again = read_cells_record(folder)
    assert len(again.cells[1].decisions) == 1
    strip = Strip("Cell 1", again.kinds, again.places_mm, done.decisions, done.declared, done.belief)
    drawn = tmp_path / "strip.png"
    drawn.write_bytes(strip_png(strip))
    with Image.open(drawn) as picture:
        assert picture.size[0] > picture.size[1] / 2
        assert np.asarray(picture.convert("L")).std() > 20
    assert strip_png(strip) == drawn.read_bytes()
    with pytest.raises(InputError, match="not empty"):
        CellRecorder(folder, world(), "script")


def test_a_folder_without_decisions_is_told(tmp_path: Path):
    with pytest.raises(FileMissing, match="no decisions"):
        read_cells_record(tmp_path)
    (tmp_path / DECISIONS).write_text("{}\n")
    with pytest.raises(WrongFormat, match="no list of decisions"):
        read_cells_record(tmp_path)


def test_a_policy_runs_on_a_measured_stack():
    stack, row = world().source.stack, 1
    camera, images = world().camera, {}
    for lamp, led in enumerate(stack.led.tolist()):
        light = stack.images[row, lamp].astype(np.float32) * world().per_duty_e_per_ms[lamp].item()
        images[led] = LedImage(light / camera.gain_e_per_adu, shot=1 / camera.gain_e_per_adu, floor=1e-6)
    dark = Dark(np.full((8, 8), camera.offset_adu, dtype=np.float32), 0.0)
    known = StackCamera(
        offset_adu=camera.offset_adu, gain_e_per_adu=camera.gain_e_per_adu, read_noise_e=camera.read_noise_e
    )
    replay = Replay(StackInMemory("measured", BOARD.board(), images, dark, known, 4095.0, colour=1))
    require_fit(Path("policy"), world(), RigFacts.of_stack(replay.stack))
    run = run_cell(replay, Script((0, 2, INFECTED)), world())
    on_twin = run_cell(twin(), Script((0, 2, INFECTED)), world(), place(row))
    for ours, theirs in zip(run.decisions[:2], on_twin.decisions[:2], strict=True):
        difference = ours.look.pixels - theirs.look.pixels
        # 200 electrons of shot noise are 6 ADU; the replayed sum has none of its own here
        assert abs(difference.mean()) < 3
        assert difference.std() < 12
    assert run.declared == "infected"


def test_a_world_comes_back_from_its_file_and_takes_its_policy(tmp_path: Path):
    save_world(tmp_path / "world.safetensors", world())
    save_policy(tmp_path / "policy.safetensors", opinionated().network, world())
    held = load_world(tmp_path / "world.safetensors")
    policy = load_policy(tmp_path / "policy.safetensors", held)
    ours = run_cell(twin(), opinionated(), world(), place(2))
    theirs = run_cell(twin(), policy, held, place(2))
    assert [d.odds_after for d in ours.decisions] == [d.odds_after for d in theirs.decisions]
    assert [d.name for d in ours.decisions] == [d.name for d in theirs.decisions]
    assert load_world(tmp_path / "world.safetensors", world().source.stack).digest == world().digest
    data = bytearray((tmp_path / "world.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "world.safetensors").write_bytes(data)
    with pytest.raises(WrongFormat, match="damaged"):
        load_world(tmp_path / "world.safetensors")


def test_a_world_of_free_weights_comes_back_too(tmp_path: Path):
    cells = world().source.stack
    free = build_world(cells, lamps_of_stack(cells), budget=PhotonBudget(electrons=200.0))
    save_world(tmp_path / "free.safetensors", free)
    assert load_world(tmp_path / "free.safetensors").digest == free.digest


def test_a_world_keeps_the_reader_that_was_trained(tmp_path: Path):
    stack = world().source.stack
    reader = train_set_reader(
        stack,
        np.arange(len(stack)),
        lamps_of_stack(stack),
        world().light,
        SetReaderConfig(channels=(4, 4), units=8, head=4, captures=4, epochs=1, cells=4),
        camera=world().camera,
        flux_e_per_ms=world().flux_e_per_ms,
        seed=2,
    )
    learned = dataclasses.replace(world(), reader=reader)
    network = CellNetwork(learned, CellNetworkConfig(units=16, head_gain=4.0), torch.Generator().manual_seed(4))
    save_world(tmp_path / "world.safetensors", learned)
    save_policy(tmp_path / "policy.safetensors", network, learned)
    held = load_world(tmp_path / "world.safetensors")
    assert isinstance(held.reader, SetReader)
    assert (held.digest, held.reader.digest) == (learned.digest, reader.digest)
    policy = load_policy(tmp_path / "policy.safetensors", held)
    ours = run_cell(twin(), TrainedPolicy(network), learned, place(2))
    theirs = run_cell(twin(), policy, held, place(2))
    assert [d.odds_after for d in ours.decisions] == [d.odds_after for d in theirs.decisions]
    assert [d.name for d in ours.decisions] == [d.name for d in theirs.decisions]


def test_a_reader_that_no_file_holds_is_told(tmp_path: Path):
    other = dataclasses.replace(world(), reader=_NoReader())
    with pytest.raises(ConfigError, match="reader of the kind _NoReader"):
        save_world(tmp_path / "world.safetensors", other)


class _NoReader:
    n_features = n_units = 1
    digest = "none"

    def read(self, capture: Capture, memory: torch.Tensor) -> Reading:
        raise AssertionError("nobody reads")


class _SeesThree:
    """Finds a white cell, a red one at the rim and two inside, whatever the image."""

    n_bins = 10

    def read(self, frames: dict[int, np.ndarray]) -> FieldReading:
        x, y = np.array([8.0, 1.0, 9.0, 6.0]), np.array([8.0, 8.0, 9.0, 7.5])
        kinds, nothing = np.array([1, 0, 0, 0]), np.zeros(4)
        cells = FoundCells(x, y, np.full(4, 3.0), kinds, np.ones(4))
        return FieldReading(1, cells, nothing, np.zeros(10, dtype=np.int64), FieldQuality(3, 1, 0.3, 1.0, 0.0))


def test_red_cells_that_are_all_in_the_frame_are_looked_at_from_the_middle_out():
    wide = Twin(smear(), TwinConfig(system=TWIN.system.model_copy(update={"sample_px": 80}), led_board=BOARD), 3)
    codebook = Codebook((bright_field(wide.board, na=0.1),), (5.0,))
    where = CellPlace(place(0).xy_um, 0.0)
    search = find_cells(wide, _SeesThree(), codebook, world(), where, most=5)
    assert search.frame.image.shape == (16, 16)
    assert [each.centre_px for each in search.cells] == [(7.5, 6.0), (9.0, 9.0)]
    assert search.cells[0].xy_um == where.xy_um
    assert len(find_cells(wide, _SeesThree(), codebook, world(), where, most=1).cells) == 1


def test_the_frame_in_which_cells_were_found_is_kept_with_its_light_and_drawn(tmp_path: Path):
    wide = Twin(smear(), TwinConfig(system=TWIN.system.model_copy(update={"sample_px": 80}), led_board=BOARD), 3)
    codebook = Codebook((bright_field(wide.board, na=0.1),), (5.0,))
    search = find_cells(wide, _SeesThree(), codebook, world(), CellPlace(place(0).xy_um, 0.0), most=5)
    with CellRecorder(tmp_path / "run", world(), "script") as recorder:
        recorder.searched(search)
        recorder.begin(search.cells[0])
        run = run_cell(wide, Script((0, INFECTED)), world(), search.cells[0], on_decision=recorder.add)
        recorder.end(run)
        recorder.finish({})
    held = read_cells_record(tmp_path / "run")
    (kept,) = held.searches
    assert np.array_equal(kept.frame.image, search.frame.image)
    assert np.array_equal(kept.frame.shown.levels, codebook.patterns[0].levels)
    assert kept.cells_px == ((7.5, 6.0), (9.0, 9.0))
    # five LEDs at full drive for 5 ms
    assert kept.light_led_s == pytest.approx(0.025)
    assert [cell.of_search for cell in held.cells] == [0]
    assert "2 cells found in 'bright field', 1 looked at; 5 ms" in told_of(kept, held.cells)
    drawn = tmp_path / "place.png"
    drawn.write_bytes(search_png(held, kept))
    with Image.open(drawn) as picture:
        assert np.asarray(picture.convert("L")).std() > 20
    with open_record(tmp_path / "run" / RECORD) as recording:
        assert recording.n_frames == 2
        assert recording.decision(0)["search"] == 0
        assert recording.summary["searches"] == 1


def test_a_record_from_before_looks_were_kept_is_read(tmp_path: Path):
    folder = tmp_path / "run"
    with CellRecorder(folder, world(), "script") as recorder:
        recorder.begin(place(0))
        recorder.end(run_cell(twin(), Script((0, INFECTED)), world(), place(0), on_decision=recorder.add))
    lines = [json.loads(line) for line in (folder / DECISIONS).read_text().splitlines()]
    lines[0] = {key: value for key, value in lines[0].items() if key != "side_px"} | {"schema": READABLE[0]}
    del lines[1]["of_search"]
    (folder / DECISIONS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    held = read_cells_record(folder)
    assert held.searches == ()
    assert [(cell.declared, cell.of_search) for cell in held.cells] == [("infected", None)]


def test_another_rig_is_refused_in_one_sentence():
    with pytest.raises(ModelMismatch, match="with other LEDs"):
        run_cell(Twin(smear(), TwinConfig(), 1), Script((0,)), world(), place(0))
    facts = RigFacts.of_world(world())
    require_fit(Path("p"), world(), facts)
    with pytest.raises(ModelMismatch, match=r"p holds a policy for an objective of NA 0.1, its rig has 0.25\."):
        require_fit(Path("p"), world(), dataclasses.replace(facts, na=0.25))
    with pytest.raises(ModelMismatch, match="electrons per ms from an LED"):
        require_fit(Path("p"), world(), dataclasses.replace(facts, flux_e_per_ms=50.0))
    with pytest.raises(ModelMismatch, match="board"):
        require_fit(Path("p"), world(), RigFacts.of_rig(RigConfig.from_file(find_rig("simulated"))))
    twin_of_another_board = TwinConfig(led_board=GridBoardConfig(rows=5, columns=5, pitch_mm=4.5))
    with pytest.raises(ModelMismatch, match="the twin has"):
        require_fit(Path("p"), world(), RigFacts.of_twin(twin_of_another_board))


# 25 LEDs at 4 mm: the objective sees the middle five, the dark field has the other 20, at 20 mA each
DARK_FIELD_MA = 400.0


def test_a_light_that_the_board_would_dim_is_refused_before_the_run():
    facts = RigFacts.of_world(world())
    require_fit(Path("p"), world(), dataclasses.replace(facts, limit_ma=DARK_FIELD_MA))
    said = (
        r"^p holds a policy with the light 'dark field', which draws 400 mA; the board of its rig dims what draws more "
        r"than 399 mA\. Hint: .*without this light$"
    )
    with pytest.raises(ModelMismatch, match=said):
        require_fit(Path("p"), world(), dataclasses.replace(facts, limit_ma=DARK_FIELD_MA - 1))


def test_a_light_that_the_rig_refuses_is_refused_before_the_run():
    facts, travel = RigFacts.of_world(world()), (-1000.0, 1000.0)
    limits = Limits(x_um=travel, y_um=travel, z_um=travel, current_ma=DARK_FIELD_MA)
    require_fit(Path("p"), world(), dataclasses.replace(facts, limits=limits))
    less = limits.model_copy(update={"current_ma": 300.0})
    with pytest.raises(ModelMismatch, match=r"'dark field', which its rig refuses: current_ma = 400 .*\[0, 300\]"):
        require_fit(Path("p"), world(), dataclasses.replace(facts, limits=less))
    longest_ms = max(world().rules.exposures_ms)
    shorter = limits.model_copy(update={"exposure_ms": (0.01, 0.9 * longest_ms)})
    with pytest.raises(ModelMismatch, match="its rig refuses: exposure_ms"):
        require_fit(Path("p"), world(), dataclasses.replace(facts, limits=shorter))


def test_the_limit_of_a_rig_file_counts_where_the_board_is_our_own():
    rig = RigConfig.from_file(find_rig("simulated"))
    low = rig.model_copy(update={"led": rig.led.model_copy(update={"limit_ma": 90})})
    assert RigFacts.of_rig(rig).limit_ma is None  # the board tells it when it is connected
    assert RigFacts.of_rig(low).limit_ma == 90
    assert RigFacts.of_rig(low).limits == rig.limits
