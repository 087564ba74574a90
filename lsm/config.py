"""Frozen configuration that forbids typos, read from TOML and identified by a digest."""

import difflib
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from lsm.errors import ConfigError, FileMissing

ConfigT = TypeVar("ConfigT", bound="Config")
_SHIPPED = Path(__file__).parent / "configs"


class Config(BaseModel):
    """Base of every configuration: immutable, no unknown keys, values checked against their range."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)

    @classmethod
    def from_file(cls: type[ConfigT], path: Path, **overrides: Any) -> ConfigT:
        """Read a TOML file; keys in `overrides` that are not None replace those of the file.

        Raises FileMissing, or ConfigError naming the key, the value and what is allowed.
        """
        if not path.is_file():
            raise FileMissing(f"The configuration {path} does not exist.", hint="check the path")
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not TOML: {error}.", hint="see configs/ for examples") from error
        given = {key: value for key, value in overrides.items() if value is not None}
        return cls._valid(table | given, str(path), given)

    @classmethod
    def from_table(cls: type[ConfigT], table: dict[str, Any], *, source: str = "the configuration") -> ConfigT:
        """Validate a table of plain values. Raises ConfigError for the first fault found."""
        return cls._valid(table, source, {})

    @classmethod
    def _valid(cls: type[ConfigT], table: dict[str, Any], source: str, options: dict[str, Any]) -> ConfigT:
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            faults = error.errors()
            # a misspelt key also leaves a required one missing: the misspelling is what helps
            fault = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
            place = ".".join(str(part) for part in fault["loc"]) or "top level"
            if fault["type"] == "extra_forbidden":
                raise ConfigError(
                    f"{source} has the unknown key '{place}'.", hint=_closest(cls, fault["loc"])
                ) from error
            if fault["type"] == "missing":
                raise ConfigError(f"{source} lacks the key '{place}'.", hint="add it: it has no default") from error
            where = "The option" if str((*fault["loc"], "")[0]) in options else f"{source}:"
            raise ConfigError(
                f"{where} '{place}' = {fault.get('input')!r} is not valid.", hint=str(fault["msg"]).lower()
            ) from error

    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the canonical JSON form."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def shipped_config(name: str) -> Path:
    """A configuration file that comes with the package, such as rigs/simulated.toml, or a folder of them."""
    return _SHIPPED / name


def _closest(cls: type[BaseModel], location: tuple[int | str, ...]) -> str:
    model: Any = cls
    for part in location[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field is not None else None
    known = sorted(getattr(model, "model_fields", {}))
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known keys: {', '.join(known)}" if known else "remove it"
