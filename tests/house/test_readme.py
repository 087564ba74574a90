"""What README and documentation show runs: Python blocks, commands against the real command line, links."""

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
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/*.md"))}
PAGES["README.md"] = (ROOT / "README.md").read_text(encoding="utf-8")
PASTED_ALONE = "docs/images-of-your-own.md"


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], flags=re.DOTALL | re.MULTILINE)


def _commands() -> list[str]:
    lines = [
        line.split("#")[0].strip() for page in PAGES for block in _blocks(page, "sh") for line in block.splitlines()
    ]
    return sorted({line for line in lines if line})


def _links() -> list[tuple[str, str]]:
    return [(page, link) for page, text in PAGES.items() for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_kind_that_is_checked(page: str):
    kinds = re.findall(r"^```(\w*)$", PAGES[page], flags=re.MULTILINE)
    assert set(kinds[::2]) <= {"python", "sh", "toml", "text"}


def test_toml_blocks_are_rigs():
    blocks = [block for page in PAGES for block in _blocks(page, "toml")]
    assert blocks
    for block in blocks:
        assert RigConfig.from_table(tomllib.loads(block)).limits.x_um[0] == 0.0


@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page, "python")])
def test_python_blocks_run_in_order(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in _blocks(page, "python"):
        names: dict[str, object] = {} if page == PASTED_ALONE else namespace
        exec(compile(block, page, "exec"), names)  # noqa: S102 -- the documentation's own code


@pytest.mark.parametrize("line", [line for line in _commands() if "lsm " in line])
def test_commands_and_options_exist(line: str):
    words = [os.path.basename(word) for word in shlex.split(line)[:1]] + shlex.split(line)[1:]
    while "=" in words[0]:
        words = words[1:]
    assert words[0] == "lsm"
    known_words = next((n for n in (2, 1) if " ".join(words[1 : n + 1]) in COMMANDS), 0)
    name, rest = " ".join(words[1 : known_words + 1]), words[known_words + 1 :]
    command: Any = loaded(name) if name else typer.main.get_command(app)
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    known = {name for parameter in command.params for name in [*parameter.opts, *parameter.secondary_opts]}
    assert {word.split("=")[0] for word in rest if word.startswith("-")} <= known | {"--help"}


@pytest.mark.parametrize("line", [line for line in _commands() if line.startswith("make ")])
def test_make_targets_exist(line: str):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in line.split()[1:]:
        assert re.search(rf"^{re.escape(target)}:", makefile, flags=re.MULTILINE)


@pytest.mark.parametrize(("page", "link"), _links())
def test_links_lead_somewhere(page: str, link: str):
    assert (ROOT / page).parent.joinpath(link).exists()
