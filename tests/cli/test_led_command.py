"""`lsm led` and `lsm bench led`, as a newcomer types them."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lsm.cli.main import app
from lsm.errors import FileMissing, InputError

pytestmark = pytest.mark.firmware


@pytest.fixture(autouse=True)
def _compiler() -> None:
    if shutil.which("cc") is None or shutil.which("make") is None:
        pytest.skip("no C compiler or make: apt-get install gcc make")


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["led", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_info_tells_what_the_board_is():
    facts = json.loads(run("info", "simulated", "--json"))
    assert facts["LEDs"] == 169
    assert facts["damaged frames"] == 0
    assert "sequence memory" in run("info", "simulated")


@pytest.mark.parametrize(
    ("light", "lit"), [("bright-field", 9), ("dark-field", 160), ("led", 1), ("dpc-left", 3), ("dark", 0)]
)
def test_show_lights_what_it_says(light: str, lit: int):
    words = ["show", "simulated", light, "--seconds", "0.1", "--level", "40", "--json"]
    assert json.loads(run(*words))["leds_lit"] == lit


def test_show_says_when_the_current_limit_dimmed_it():
    text = run("show", "simulated", "dark-field", "--colour", "white", "--seconds", "0")
    assert "scaled down by the board's current limit" in text


def test_a_sequence_runs_by_the_boards_clock():
    facts = json.loads(run("sequence", "simulated", "--leds", "0-4,9", "--period-ms", "5", "--rounds", "3", "--json"))
    assert facts == {
        "patterns": 6,
        "bits_per_led": 1,
        "shown": 18,
        "missed_edges": 0,
        "limited_to": 1.0,
        "ended": "done",
    }


def test_a_sequence_without_triggers_ends_by_its_longest_time():
    facts = json.loads(run("sequence", "simulated", "--period-ms", "0", "--longest", "0.2", "--json"))
    assert (facts["shown"], facts["ended"]) == (0, "fault")


def test_watch_shows_the_board():
    assert "trigger edges missed" in run("watch", "simulated", "--seconds", "0.1")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["info", "nowhere"], FileMissing),
        (["info", "/dev/ttyNONE"], FileMissing),
        (["show", "simulated", "--colour", "mauve"], InputError),
        (["sequence", "simulated", "--leds", "1,x"], InputError),
        (["sequence", "simulated", "--leds", "999"], InputError),
    ],
)
def test_wrong_words_are_one_readable_sentence(words: list[str], error: type[InputError]):
    result = CliRunner().invoke(app, ["led", *words])
    assert isinstance(result.exception, error)
    assert result.exception.hint


def test_the_benchmark_measures_what_it_says(tmp_path: Path):
    out = tmp_path / "led.json"
    result = CliRunner().invoke(app, ["bench", "led", "--quick", "--json", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    rows = {row["light"]: row for row in json.loads(out.read_text())["rows"]}
    grey = rows["grey, one colour"]
    assert grey["information"] == 1024
    assert 1024 < grey["sent"] <= 1.05 * 1024
    assert grey["text_sent"] > grey["sent"]
