"""What goes wrong, as an operator sees it on the page: a stop in mid-run, devices that fail, limits that refuse."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from console.pages import DARK_WITHIN_S, IN_CHROMIUM, PATIENT_MS, picture, press_go_on, start_scan
from console.rigs import Served, rig_config, served, until
from console.watched import Watched
from lsm.record import verify_record
from lsm_sim.board import Board, NativeBoard, read_led_frames
from lsm_sim.device_faults import DeviceFaults
from lsm_sim.rig import SimulatedMicroscope

pytestmark = IN_CHROMIUM
PATIENT_S = PATIENT_MS / 1000


@pytest.fixture(scope="module")
def board_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("board")


@pytest.fixture(scope="module")
def watched() -> Watched:
    return Watched(rig_config())


@pytest.fixture(scope="module")
def boards() -> Iterator[ExitStack]:
    """Those that were plugged in; they stay until the console is closed."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def here(
    tmp_path_factory: pytest.TempPathFactory, watched: Watched, board_folder: Path, boards: ExitStack
) -> Iterator[Served]:
    # moves take time too, so that a run lasts long enough to be stopped in its middle
    rig = rig_config(exposure_takes_time=True, move_ms=300.0)
    folder = tmp_path_factory.mktemp("runs")
    with served(folder, rig=rig, renderer=watched, board_folder=board_folder) as console:
        yield console


@pytest.fixture(autouse=True)
def _nothing_worse(here: Served, page: Page, watched: Watched) -> Iterator[None]:
    """Whatever fails: no script of the page does, and nothing moves or shines beyond a limit."""
    yield
    faults(here).end()
    assert watched.outside == []


def faults(here: Served) -> DeviceFaults:
    simulated = here.scope.microscope
    assert isinstance(simulated, SimulatedMicroscope)
    assert simulated.world is not None
    return simulated.world.faults


def go_on(here: Served, page: Page, fields: int) -> None:
    """The last run, to its end."""
    press_go_on(page)
    expect(page.locator("#run-title")).to_contain_text("Done")
    assert here.console.state.now.run.taken == fields


def test_a_stop_in_mid_run_is_dark_in_time_and_the_run_goes_on_later(here: Served, page: Page):
    start_scan(page, "B-3", columns=6)
    run = here.console.state
    until(lambda: run.now.run.captures >= 2, PATIENT_S)
    pressed_ns = time.monotonic_ns()
    page.keyboard.press("Escape")
    expect(page.locator("#doing")).to_have_text("STOPPED: dark and still")
    expect(page.locator("#run-title")).to_contain_text("Stopped: ")
    expect(page.locator("#said")).to_contain_text("it can be gone on with")
    picture(page, "stopped")
    frames = read_led_frames(here.board.frames_path)
    in_time_ns = pressed_ns + int(1e9 * DARK_WITHIN_S)
    assert not [levels for t_ns, levels in frames if t_ns <= in_time_ns][-1].any()
    assert not any(levels.any() for t_ns, levels in frames if t_ns > in_time_ns)
    record = here.console.runs.path(run.now.run.name) / "record.h5"
    checked = verify_record(record)
    assert checked.faults == ()
    assert 2 <= run.now.run.captures < 6
    page.click("#release")
    expect(page.locator("#doing")).to_have_text("Idle, dark")
    go_on(here, page, 6)
    assert verify_record(record).faults == ()


def test_a_camera_that_fails_in_mid_run_is_told_and_the_run_goes_on_when_it_works(here: Served, page: Page):
    start_scan(page, "B-4", columns=4)
    until(lambda: here.console.state.now.run.captures >= 1, PATIENT_S)
    faults(here).camera.raises = True
    expect(page.locator("#run-title")).to_contain_text("Failed: ")
    expect(page.locator("#doing")).to_have_text("Fault")
    for place in ("#notice", "#said"):
        expect(page.locator(place)).to_contain_text("Camera 'Camera' failed")
        expect(page.locator(place)).to_contain_text("check the device and its cable")
    assert not here.board.lit().any()
    picture(page, "fault")
    faults(here).end()
    go_on(here, page, 4)
    expect(page.locator("#notice")).to_be_empty()


def test_a_stage_that_is_stuck_is_told(here: Served, page: Page):
    faults(here).stage.raises = True
    page.click("[data-move='1,0']")
    expect(page.locator("#notice")).to_contain_text("refuses to move")
    expect(page.locator("#doing")).to_have_text("Fault")
    faults(here).end()
    page.click("#snap")
    expect(page.locator("#doing")).to_have_text("Idle, dark")


def test_too_much_light_is_refused_with_the_limit(here: Served, page: Page):
    page.fill("#exposure", "500")
    page.press("#exposure", "Enter")
    until(lambda: here.console.owner.exposure_ms == 500)
    page.click("#presets button[data-name='dark field']")
    lit = len(read_led_frames(here.board.frames_path))
    page.click("#snap")
    expect(page.locator("#toast")).to_contain_text("capture_dose_led_ms")
    expect(page.locator("#doing")).to_have_text("Idle, dark")
    assert not any(levels.any() for _, levels in read_led_frames(here.board.frames_path)[lit:])
    page.fill("#exposure", "5")
    page.press("#exposure", "Enter")
    page.click("#presets button[data-name='bright field']")


def test_a_board_that_is_pulled_out_is_told_and_works_again_when_it_is_back(
    here: Served, page: Page, board_folder: Path, boards: ExitStack
):
    page.click("#snap")
    expect(page.locator("#shown-text")).to_contain_text("9 LEDs read back")
    before = here.console.state.now.light.latch
    here.board.close()
    page.click("#snap")
    expect(page.locator("#doing")).to_have_text("Fault")
    expect(page.locator("#notice")).to_contain_text(re.compile("LED board"))
    page.click("#tab-log")
    expect(page.locator("#log li").first).to_contain_text("LED board")
    picture(page, "unplugged")
    boards.enter_context(plugged_in(board_folder))
    page.click("#snap")
    expect(page.locator("#doing")).to_have_text("Idle, dark")
    expect(page.locator("#notice")).to_be_empty()
    assert here.console.state.now.light.latch != before


def plugged_in(folder: Path) -> Board:
    """The board again, at the port that it had."""
    geometry = rig_config().led.board
    return NativeBoard(
        rows=geometry.rows,
        columns=geometry.columns,
        pitch_mm=geometry.pitch_mm,
        distance_mm=geometry.distance_mm,
        run_dir=folder,
    )
