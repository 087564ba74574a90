"""Writes firmware/core/protocol.h, lsm/led/_constants.py and firmware/PROTOCOL.md from protocol.toml.

The document's sentences are in protocol_prose.md. --check only compares.
"""

import sys
import tomllib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
HEADER = FOLDER / "core" / "protocol.h"
CONSTANTS = FOLDER.parent / "lsm" / "led" / "_constants.py"
DOCUMENT = FOLDER / "PROTOCOL.md"
PROSE = FOLDER / "protocol_prose.md"
# table: Python class, C prefix
ENUMS = {
    "command": ("Command", "LSM_CMD_"),
    "status": ("Status", "LSM_STATUS_"),
    "flag": ("Flag", "LSM_FLAG_"),
    "bank": ("Bank", "LSM_BANK_"),
    "sequence_state": ("SequenceState", "LSM_SEQUENCE_STATE_"),
    "trigger_when": ("TriggerWhen", "LSM_TRIGGER_WHEN_"),
    "text_error": ("TextError", "LSM_TEXT_"),
}
HEX = {"command", "flag"}


def c_header(table: dict) -> str:
    """The C header as text."""
    lines = [
        "/* Generated from protocol.toml by generate.py; edit that file. */",
        "#ifndef LSM_PROTOCOL_H",
        "#define LSM_PROTOCOL_H",
        "",
        f"#define LSM_PROTOCOL_VERSION {table['version']}u",
    ]
    for key, value in table["limits"].items():  # a small board may ask its compiler for less
        lines += [f"#ifndef LSM_{key.upper()}", f"#define LSM_{key.upper()} {value}u", "#endif"]
    for group, (_, prefix) in ENUMS.items():
        lines.append("")
        lines += [f"#define {prefix}{key} {_number(group, value)}u" for key, value in _codes(table, group).items()]
    lines += ["", "/* Each request that a host may send: name, name of its function, whether it changes anything. */"]
    requests = [(name, str(entry.get("changes", False)).lower()) for name, entry in _requests(table).items()]
    rows = [f"    X({name}, {name.lower()}, {changes})" for name, changes in requests]
    width = max(len(row) for row in rows) + 1
    lines.append("#define LSM_COMMANDS(X)".ljust(width) + "\\")
    lines += [row.ljust(width) + "\\" for row in rows[:-1]] + rows[-1:]
    return "\n".join([*lines, "", "#endif", ""])


def python_module(table: dict) -> str:
    """The Python constants as text."""
    lines = [
        '"""Numbers of the LED board\'s wire, generated from firmware/protocol.toml by firmware/generate.py."""',
        "",
        "from enum import IntEnum, IntFlag",
        "from typing import Final",
        "",
        f"PROTOCOL_VERSION: Final = {table['version']}",
    ]
    lines += [f"{key.upper()}: Final = {value}" for key, value in table["limits"].items()]
    for group, (name, _) in ENUMS.items():
        base = "IntFlag" if group == "flag" else "IntEnum"
        lines += ["", "", f"class {name}({base}):", f'    """Table [{group}] of protocol.toml."""', ""]
        lines += [f"    {key} = {_number(group, value)}" for key, value in _codes(table, group).items()]
    changing = [f"        Command.{name}," for name, entry in _requests(table).items() if entry.get("changes")]
    lines += ["", "", "# executed at most once for one number", "CHANGING: Final = frozenset("]
    lines += ["    {", *changing, "    }", ")"]
    return "\n".join([*lines, ""])


def document(table: dict) -> str:
    """PROTOCOL.md: the prose with the tables and numbers of the definition filled in."""
    rows = ["| command | payload | answer |", "|---|---|---|"]
    for name, entry in _requests(table).items():
        answer = ". ".join(part for part in (entry["reply"], entry.get("note", "").rstrip(".")) if part)
        mark = " *" if entry.get("changes") else ""
        rows.append(f"| {name} {entry['code']:02X}{mark} | {entry['payload']} | {answer} |")
    fields = {key: str(value) for key, value in table["limits"].items()} | {"version": str(table["version"])}
    fields["commands"] = "\n".join(rows)
    for group in ENUMS:
        if group != "command":
            fields[group] = ", ".join(f"{key} {value}" for key, value in table[group].items())
    text = PROSE.read_text(encoding="utf-8")
    for key, value in fields.items():
        text = text.replace("{" + key + "}", value)
    return text


def main(arguments: list[str]) -> int:
    """0 when both files are up to date or were written, 1 when --check found one that is not."""
    table = tomllib.loads((FOLDER / "protocol.toml").read_text(encoding="utf-8"))
    wanted = {HEADER: c_header(table), CONSTANTS: python_module(table), DOCUMENT: document(table)}
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path} differs from protocol.toml; run python firmware/generate.py")
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    return 0


def _requests(table: dict) -> dict:
    return {name: entry for name, entry in table["command"].items() if name != "NAK"}


def _codes(table: dict, group: str) -> dict:
    return {key: value["code"] if group == "command" else value for key, value in table[group].items()}


def _number(group: str, value: int) -> str:
    return f"0x{value:02X}" if group in HEX else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
