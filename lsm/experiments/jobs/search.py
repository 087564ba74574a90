"""A search over designs: which fields of one configuration vary, and the jobs that come of it."""

import copy
import difflib
import itertools
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from lsm.config import Config
from lsm.errors import ConfigError, FileMissing
from lsm.experiments.jobs.call import named
from lsm.experiments.jobs.cluster import Ray
from lsm.experiments.jobs.executor import Executor, Job, Serial
from lsm.experiments.jobs.processes import Processes

Settings = dict[str, Any]


class SearchConfig(Config):
    """What is searched, and with what. Fields of the base are named in dotted form: "light.bits".

    run: the function of one run, "module:function"; it is called with the base, one design's settings and `seed`.
    score: the figure of its result, in dotted form, by which designs are ranked; best: which end of it is.
    base: the arguments that all runs share, or the TOML file (beside this one) that holds them.
    settings: a Config class, "module:class", that gives the base its defaults and checks every design before any runs.
    axes: values of fields, all combined with all. points: further designs, each a table of the fields it changes.
    average: values of fields over which each seed's score is averaged, such as folds.
    executor: where runs go; workers: how many at once; address: of a Ray cluster, else one of this machine.
    """

    name: Annotated[str, Field(pattern=r"^[\w][\w.-]*$")]
    run: str
    score: str
    best: Literal["highest", "lowest"] = "highest"
    base: dict[str, Any] | str
    settings: str = ""
    axes: dict[str, Any] = Field(default_factory=dict)
    points: tuple[dict[str, Any], ...] = ()
    average: dict[str, Any] = Field(default_factory=dict)
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    executor: Literal["serial", "processes", "ray"] = "serial"
    workers: Annotated[int, Field(ge=1)] = 1
    address: str = ""

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("each seed may stand there once")
        return seeds


@dataclass(frozen=True)
class Design:
    """One candidate. settings: of every field that varies in the search. keys: of its jobs, [seed][repeat]."""

    settings: Settings
    keys: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Plan:
    """The designs of a search, and all its jobs: whole rounds of all designs, so that a stopped search compares."""

    designs: tuple[Design, ...]
    jobs: tuple[Job, ...]


def plan(config: SearchConfig, folder: Path = Path(), changes: Mapping[str, Any] | None = None) -> Plan:
    """The jobs of a search.

    folder: where a base that is a file lies. changes: fields of the base that have other values, in dotted form.
    Raises ConfigError for a field that the base does not have or a value that `settings` refuses, FileMissing.
    """
    function = named(config.run)
    base = _base(config, folder)
    model = _model(config.settings)
    if model is None:
        base = _changed(base, changes or {}, "The option")
    else:
        # defaults first, so that options and axes find every field
        base = _complete(model, base, config)
        base = _complete(model, _changed(base, changes or {}, "The option"), config)
    known = _flat(base)
    axes, average = (_values(config, key, base) for key in ("axes", "average"))
    points = [_flat(point) for point in config.points]
    for point in points:
        _changed(base, point, "A point")
    repeats = list(_grid(average))
    names = dict.fromkeys([*axes, *(name for point in points for name in point)])
    # a point that is in the grid is one design with it
    candidates = {
        _label(each, known): each
        for point in [*(_grid(axes) if axes or not points else ()), *points]
        for each in [{name: point.get(name, known[name]) for name in names}]
    }
    jobs: dict[str, Job] = {}
    keys: dict[str, list[tuple[str, ...]]] = {label: [] for label in candidates}
    for seed in config.seeds:
        for label, settings in candidates.items():
            row = []
            for repeat in repeats:
                arguments = _changed(base, settings | repeat, "A design") | {"seed": seed}
                if model is not None:
                    arguments = model.from_table(arguments, source=f"the design '{label}'").model_dump(mode="json")
                key = f"{_label(settings | repeat, known)}; seed {seed}"
                jobs[key] = Job(key, function, arguments)
                row.append(key)
            keys[label].append(tuple(row))
    designs = [Design(settings, tuple(keys[label])) for label, settings in candidates.items()]
    return Plan(tuple(designs), tuple(jobs.values()))


def executor_of(config: SearchConfig) -> Executor:
    """What the configuration names. Raises ConfigError where workers or address do not fit it."""
    if config.executor == "serial" and config.workers > 1:
        raise ConfigError(f"{config.workers} workers were asked for, but serial is one.", hint="--executor processes")
    if config.address and config.executor != "ray":
        raise ConfigError(f"The executor '{config.executor}' has no address.", hint="--executor ray")
    if config.executor == "ray":
        return Ray(config.address or None, workers=config.workers)
    return Processes(config.workers) if config.executor == "processes" else Serial()


def option_value(text: str) -> tuple[str, Any]:
    """Field and value of "field=value"; the value as in TOML, or else a word. Raises ConfigError."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"'{text}' does not set a field.", hint="--set light.bits=1")
    try:
        found = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        return name.strip(), value
    return name.strip(), found["value"]


def _base(config: SearchConfig, folder: Path) -> dict[str, Any]:
    base = config.base
    if isinstance(base, str):
        path = folder / base
        if not path.is_file():
            raise FileMissing(f"The base {path} of the search '{config.name}' does not exist.", hint="check the path")
        try:
            base = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not TOML: {error}.") from error
    if "seed" in base:
        raise ConfigError(f"The base of the search '{config.name}' has a seed.", hint="remove it: 'seeds' lists them")
    return base


def _model(name: str) -> type[Config] | None:
    if not name:
        return None
    found: object = named(name)
    if not isinstance(found, type) or not issubclass(found, Config):
        raise ConfigError(f"'{name}' is not a class of configurations.", hint="name a subclass of lsm.config.Config")
    return found


def _complete(model: type[Config], base: dict[str, Any], config: SearchConfig) -> dict[str, Any]:
    whole = model.from_table(base | {"seed": config.seeds[0]}, source=f"the base of the search '{config.name}'")
    table = whole.model_dump(mode="json")
    return {key: value for key, value in table.items() if key != "seed"}


def _values(config: SearchConfig, key: str, base: dict[str, Any]) -> dict[str, list[Any]]:
    """Of each field in `axes` or `average`, its values."""
    found = _flat(getattr(config, key))
    for name, values in found.items():
        if not isinstance(values, list) or not values:
            raise ConfigError(
                f"The search '{config.name}': '{key}.{name}' = {values!r} is not a list of values.",
                hint=f"{name} = [1, 2]",
            )
        _changed(base, {name: values[0]}, "An axis")
    return found


def _grid(axes: Mapping[str, list[Any]]) -> Iterator[Settings]:
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Settings:
    """Fields in dotted form; TOML reads a bare `light.bits` as nested tables. A table without fields is a value."""
    found: Settings = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def _changed(base: dict[str, Any], changes: Mapping[str, Any], whose: str) -> dict[str, Any]:
    """A copy of the base with other values. Raises ConfigError for a field that it does not have."""
    table = copy.deepcopy(base)
    known = _flat(base)
    for name, value in changes.items():
        if name not in known:
            near = difflib.get_close_matches(name, [*known, "seed"], n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"fields are {', '.join(sorted(known))}"
            if name == "seed":
                hint = "seeds are listed under 'seeds'"
            raise ConfigError(f"{whose} names the field '{name}', which the base does not have.", hint=hint)
        *path, last = name.split(".")
        place = table
        for part in path:
            place = place[part]
        place[last] = value
    return table


def _label(settings: Settings, base: Settings) -> str:
    """What differs from the base, so that a job keeps its name when a search gains axes."""
    parts = [f"{name}={json.dumps(value)}" for name, value in sorted(settings.items()) if value != base[name]]
    return ", ".join(parts) or "base"
