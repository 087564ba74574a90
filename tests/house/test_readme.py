"""What the README shows runs: Python blocks one after the other, commands against the real command line."""

import os
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main

from lsm.cli.app import COMMANDS, app, loaded
from lsm.scope import RigConfig

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def _commands() -> list[str]:
    lines = [line.split("#")[0].strip() for block in _blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line]


def test_every_block_is_of_a_kind_that_is_checked():
    kinds = re.findall(r"^```(\w*)$", README, flags=re.MULTILINE)
    assert set(kinds[::2]) <= {"python", "sh", "toml", "text"}


def test_toml_blocks_are_rigs():
    for block in _blocks("toml"):
        assert RigConfig.from_table(tomllib.loads(block)).limits.x_um[0] == 0.0


def test_python_blocks_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    blocks = _blocks("python")
    assert blocks
    alone = re.search(r"^## Your own images\n(.*?)^## ", README, flags=re.DOTALL | re.MULTILINE)
    assert alone is not None
    for block in blocks:
        # these are pasted one without the other
        names: dict[str, object] = {} if block in alone[1] else namespace
        exec(compile(block, "README.md", "exec"), names)  # noqa: S102 -- the README's own code


@pytest.mark.parametrize("line", [line for line in _commands() if "lsm " in line])
def test_commands_and_options_exist(line: str):
    words = [os.path.basename(word) for word in shlex.split(line)[:1]] + shlex.split(line)[1:]
    while "=" in words[0]:
        words = words[1:]
    assert words[0] == "lsm"
    command: Any = loaded(words[1]) if words[1] in COMMANDS else typer.main.get_command(app)
    rest = words[2:] if words[1] in COMMANDS else words[1:]
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    known = {name for parameter in command.params for name in [*parameter.opts, *parameter.secondary_opts]}
    assert {word.split("=")[0] for word in rest if word.startswith("-")} <= known | {"--help"}


@pytest.mark.parametrize("line", [line for line in _commands() if line.startswith("make ")])
def test_make_targets_exist(line: str):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in line.split()[1:]:
        assert re.search(rf"^{re.escape(target)}:", makefile, flags=re.MULTILINE)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README))
def test_links_lead_somewhere(link: str):
    assert (ROOT / link).exists()
