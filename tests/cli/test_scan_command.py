"""`lsm scan` as it is typed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from useq import Channel, GridRowsColumns, MDASequence

from lsm.cli import main
from lsm.cli._scan_light import channel_light
from lsm.illum import LightCapture, LightFile, bright_field, dark_field
from lsm.record import open_record
from lsm.scope import RigConfig, find_rig
from lsm.scope.useq_import import Meaning, plan_of_file

RIG = RigConfig.from_file(find_rig("simulated"))
BOARD = RIG.led.board.build()


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["scan", *map(str, words)])
    return int(ended.value.code or 0)


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def test_a_scan_under_all_patterns_of_the_model_is_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "scan.json"
    words = ("export", "simulated", out, "--light", "learned", "--size", 2, 2, "--json")
    assert run(*words) == 0
    facts = told(capsys)
    assert facts["places"] == 4
    assert facts["captures"] == 4 * len(facts["patterns"]) > 4
    # adaptive stopping, focus, limits and the light between events are told
    for word in ("When to stop", "Focus", "limits", "stays lit"):
        assert any(word in note for note in facts["notes"])
    plan = plan_of_file(out, BOARD, Meaning()).plan
    assert len(plan) == facts["captures"]
    assert len({capture.xy_um for capture in plan.captures}) == 4


def test_light_that_is_chosen_on_the_way_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("export", "simulated", tmp_path / "scan.json", "--light", "agent") == 2
    said = capsys.readouterr().err
    assert "after it was seen" in said
    assert "--light learned" in said
    assert not (tmp_path / "scan.json").exists()


def test_a_light_file_says_which_images_are_subtracted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    lights = [(bright_field(BOARD, na=0.1), 1, "plus"), (dark_field(BOARD, na=0.1, na_max=0.2), -1, "minus")]
    light = LightFile.of(
        BOARD, [LightCapture.of(each.levels, exposure_ms=9.0, sign=sign, name=name) for each, sign, name in lights]
    )
    light.save(tmp_path / "light.json")
    out = tmp_path / "scan.json"
    words = ("--light-file", tmp_path / "light.json", "--size", 1, 1, "--as", "action", "--json")
    assert run("export", "simulated", out, *words) == 0
    facts = told(capsys)
    assert facts["patterns"] == ["plus", "minus"]
    assert any("'minus'" in note for note in facts["notes"])
    assert any("lit_engine" in note for note in facts["notes"])


def test_a_region_beyond_the_rig_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ("--size", 3, 3, "--corner", 2000, 0)
    assert run("export", "simulated", tmp_path / "scan.json", *words) == 2
    assert "beyond the travel" in capsys.readouterr().err


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    path = tmp_path / "sequence.yaml"
    planned = MDASequence(
        channels=[Channel(config="BF", exposure=5.0), Channel(config="DF", exposure=50.0)],
        stage_positions=[{"x": 600.0, "y": 600.0}],
        grid_plan=GridRowsColumns(rows=1, columns=2),
        axis_order="pgc",
    )
    path.write_text(planned.yaml())
    return path


CHANNELS = ("--channel", "BF=bright-field", "--channel", "DF=dark-field")


def test_a_sequence_becomes_a_plan_by_the_size_of_the_rigs_images(
    sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "plan.json"
    assert run("import", "simulated", sequence, out, *CHANNELS, "--json") == 0
    assert told(capsys)["captures"] == 4
    captures = plan_of_file(out, BOARD, Meaning()).plan.captures
    # 192 pixels of 1.2 um from field to field
    assert captures[2].xy_um[0] - captures[0].xy_um[0] == pytest.approx(230.4)
    assert captures[1].pattern == dark_field(BOARD, na=0.1)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--channel", "BF=bright-field"), "'DF'"),
        (("--channel", "bright-field"), "says no light"),
        (("--channel", "BF=sunlight"), "'sunlight'"),
        (("--channel", "BF=none.json"), "does not exist"),
    ],
)
def test_channels_without_a_meaning_are_refused(
    words: tuple[str, ...], named: str, sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run("import", "simulated", sequence, tmp_path / "plan.json", *words) == 2
    assert named in capsys.readouterr().err


def test_a_sequence_beyond_the_limits_is_refused(sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    sequence.write_text(sequence.read_text().replace("600.0", "6000.0"))
    assert run("import", "simulated", sequence, tmp_path / "plan.json", *CHANNELS) == 1
    assert "Capture 1 of 4: x_um" in capsys.readouterr().err


@pytest.mark.firmware
def test_a_sequence_runs_on_the_rig_and_is_recorded(sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "plan.h5"
    lights = ("BF=bright-field", "DF=dpc-left")
    assert run("run", "simulated", sequence, out, "--channel", lights[0], "--channel", lights[1], "--json") == 0
    assert told(capsys)["notes"] == []
    meaning = Meaning(field_um=(230.4, 230.4), channels=dict(channel_light(BOARD, each, na=0.1) for each in lights))
    plan = plan_of_file(sequence, BOARD, meaning).plan
    with open_record(out) as recording:
        frames = list(recording.frames())
    assert len(frames) == len(plan)
    for frame, capture in zip(frames, plan.captures, strict=True):
        assert np.array_equal(frame.shown.levels, capture.pattern.levels)
        # the simulated stage stops within 0.5 um
        assert frame.xy_um == pytest.approx(capture.xy_um, abs=0.5)
