"""Bad input: one sentence with a hint, the promised exit status, no traceback, nothing overwritten."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from PIL import Image

from lsm.cli import main
from lsm.cli.app import COMMANDS, loaded
from lsm.diagnose.slide import DiagnoseConfig

SIMULATED = Path(__file__).parents[2] / "lsm" / "configs" / "rigs" / "simulated.toml"


def _run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit status and standard error; a traceback fails the test."""
    with pytest.raises(SystemExit) as stopped:
        main(words)
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return int(stopped.value.code or 0), err


def _explained(err: str) -> bool:
    return err.startswith("Error: ") and "\nHint: " in err


def test_unknown_key_in_a_configuration(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = tmp_path / "demo.toml"
    path.write_text("sed = 3\n", encoding="utf-8")
    status, err = _run(capsys, "demo", "--config", str(path))
    assert status == 2
    assert _explained(err)
    assert "'sed'" in err
    assert "'seed'" in err


@pytest.mark.parametrize(
    "words",
    [
        ("demo", "--cells", "no/such/cells.npz"),
        ("demo", "--config", "no/such.toml"),
        ("demo", "--model", "no-such-model"),
        ("design", "no-such-design"),
        ("train-policy", "--model", "no-such-model"),
        ("record", "info", "no/such/record.h5"),
        ("scope", "check", "no-such-rig"),
        ("scope", "check", "[/bold]"),
    ],
)
def test_missing_file(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    status, err = _run(capsys, *words)
    assert status == 2
    assert _explained(err)
    assert list(tmp_path.iterdir()) == []


def test_cell_images_of_the_wrong_shape(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = tmp_path / "cells.npz"
    n = 3
    np.savez(
        path,
        images=np.zeros((n, 50, 50, 3), np.uint8),
        labels=np.zeros(n, np.int64),
        patient=np.array(["a"] * n),
    )
    status, err = _run(capsys, "demo", "--cells", str(path), "--out", str(tmp_path / "out"))
    assert status == 2
    assert _explained(err)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_cell_images(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "cell.png")
    status, err = _run(capsys, "demo", "--cells", str(tmp_path), "--out", str(tmp_path / "out"))
    assert status == 2
    assert _explained(err)


def test_busy_serial_port(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """A port that another program holds is a finding among others: exit status 1."""
    controller, device = pty.openpty()
    try:
        import serial

        with serial.Serial(os.ttyname(device), exclusive=True):
            rig = tmp_path / "rig.toml"
            text = SIMULATED.read_text(encoding="utf-8").split("[simulator]")[0]
            rig.write_text(f'{text}\n[led]\nport = "{os.ttyname(device)}"\n')
            with pytest.raises(SystemExit) as stopped:
                main(["scope", "check", str(rig)])
    finally:
        os.close(controller)
        os.close(device)
    assert stopped.value.code == 1
    told = capsys.readouterr().out
    assert "wrong   light: Another program holds the serial port" in told
    assert "Hint: " in told


def test_missing_compiler(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    status, err = _run(capsys, "demo", "--out", str(tmp_path / "out"))
    assert status == 2
    assert _explained(err)
    assert "compiler" in err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_empty_is_left_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")
    for words in (("demo",), ("design", "tiny"), ("train-policy",)):
        status, err = _run(capsys, *words, "--out", str(tmp_path))
        assert status == 2
        assert _explained(err)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_errors_are_readable_by_machines_too(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["demo", "--json", "--model", "no-such-model"])
    told = json.loads(capsys.readouterr().out)
    assert told["error"] == "FileMissing"
    assert told["hint"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--slide", "A-17", "--captures", "3"), "--captures is the budget of a search"),
        (("--size", "2", "2"), "--size, --overlap and --target are options of a scan"),
        (("--corner", "nan", "0"), "The option 'corner_um.0' = nan is not valid"),
    ],
)
def test_options_that_mean_nothing_are_refused_and_the_shipped_file_is_not_blamed(
    words: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    status, err = _run(capsys, "diagnose", "simulated", "--out", str(tmp_path / "out"), *words)
    assert status == 2
    assert said in err
    assert not (tmp_path / "out").exists()


def test_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    status, err = _run(capsys, "demo", "--sed", "3")
    assert status == 2
    assert "--sed" in err


def _helps(command: Any) -> Iterator[str]:
    """Help of a command, or of all commands of a group."""
    if not hasattr(command, "commands"):
        yield command.help
    for each in getattr(command, "commands", {}).values():
        yield from _helps(each)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_and_the_summary_that_the_list_shows(name: str):
    command = loaded(name)
    assert command.name == name
    assert str(command.help).split("\n\n")[0] == COMMANDS[name][1]
    for told in _helps(command):
        assert "Example: lsm" in told
        # lines break where the terminal does, not where the source does
        assert "\n" not in told.replace("\n\n", "")


def test_the_list_of_commands_reads_none_of_them():
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "lsm.cli", "--help"], capture_output=True, text=True, check=True
    )
    assert all(name in told.stdout for name in COMMANDS)
    assert "lsm.cli.app" in told.stderr
    for module in ("numpy", "torch", "lsm.cli.demo"):
        assert f" {module}\n" not in told.stderr


def test_a_stack_that_the_rig_refuses_leaves_no_file(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    status, err = _run(capsys, "record", "stack", "simulated", str(tmp_path / "leds.h5"), "--place", "1e9", "0")
    assert status == 1
    assert _explained(err)
    assert "outside the rig's limit" in err
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_diagnosis_tells_how_to_go_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(settings: DiagnoseConfig, folder: Path, **_: Any) -> NoReturn:
        folder.mkdir()
        (folder / "record.h5").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("lsm.cli.diagnose.diagnose_slide", interrupted)
    folder = tmp_path / "slide [1]"
    status, err = _run(capsys, "diagnose", "simulated", "--out", str(folder))
    assert status == 130
    assert f"Go on with: lsm diagnose simulated --resume '{folder}'" in err
    assert "Interrupted: the light is off, what was recorded is kept." in err


def test_ctrl_c_while_modules_are_read_ends_in_a_word():
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "lsm.cli", "design", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        # torch takes long enough to be interrupted in
        while "torch._utils" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.rstrip().endswith("Interrupted.")
    assert "Traceback" not in told
