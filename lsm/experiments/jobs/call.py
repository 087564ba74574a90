"""What goes to a worker and what comes back: a function by name with its arguments as JSON, and one row."""

import hashlib
import importlib
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, model_validator

from lsm.commit import source_commit
from lsm.config import Config
from lsm.errors import ConfigError, LsmError, WrongFormat

Function = Callable[[dict[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class Call:
    """A job as it travels. function: "module:name". arguments: canonical JSON, so equal ones have equal digests.

    places: names of the arguments that say where files lie; the same job in another place has the same digest.
    """

    key: str
    function: str
    arguments: str
    places: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of function and arguments, without places."""
        told = {name: value for name, value in json.loads(self.arguments).items() if name not in self.places}
        return hashlib.sha256(f"{self.function}({canonical(told)})".encode()).hexdigest()[:16]


class Row(Config):
    """What became of one job: its result, or in `error` why there is none.

    arguments_digest: of the Call. seconds: of the attempt that counted. host, pid: where it ran. attempts: how many
    workers were given the job. commit: of the source that ran; None in rows that were kept without it.
    """

    key: str
    arguments_digest: str
    result: dict[str, Any] | None = None
    error: str | None = None
    seconds: Annotated[float, Field(ge=0)]
    host: str
    pid: int
    attempts: Annotated[int, Field(ge=1)] = 1
    commit: str | None = None

    @property
    def source(self) -> str:
        """The commit that the row or its result tells, else 'unknown'."""
        told = (self.result or {}).get("commit")
        return self.commit or (told if isinstance(told, str) else "unknown")

    @model_validator(mode="after")
    def _one_of_two(self) -> "Row":
        if (self.result is None) == (self.error is None):
            raise ValueError("a row has either a result or an error")
        return self


def canonical(table: Mapping[str, Any]) -> str:
    """A table as JSON, in one form only. Raises TypeError or ValueError for what JSON does not hold."""
    return json.dumps(dict(table), sort_keys=True, separators=(",", ":"), allow_nan=False)


def attempt(call: Call) -> Row:
    """The row of one attempt in this process; whatever the function raises becomes the row's error.

    What the function prints goes to standard error, so that a command's own output stays clean.
    """
    # before anything is imported: what git says later may be of files that did not run
    commit = source_commit()
    started = time.monotonic()
    result: dict[str, Any] | None = None
    error: str | None = None
    with redirect_stdout(sys.stderr):
        try:
            result = _plain(named(call.function)(json.loads(call.arguments)))
        except (Exception, SystemExit) as failure:  # noqa: BLE001 -- the other jobs go on; the row says what it was
            error = _reason(failure)
    return Row(
        key=call.key,
        arguments_digest=call.digest,
        result=result,
        error=error,
        seconds=round(time.monotonic() - started, 3),
        host=socket.gethostname(),
        pid=os.getpid(),
        commit=commit,
    )


def lost(call: Call, reason: str, *, seconds: float, pid: int, attempts: int) -> Row:
    """The row of a job whose workers died."""
    return Row(
        key=call.key,
        arguments_digest=call.digest,
        error=reason,
        seconds=round(seconds, 3),
        host=socket.gethostname(),
        pid=pid,
        attempts=attempts,
    )


def named(name: str) -> Function:
    """The function called "module:name". Raises ConfigError."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ConfigError(f"The function '{name}' is not named as module:function.", hint="for example lsm.bench:speed")
    try:
        found: Any = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"The function '{name}' cannot be imported: {error}.",
            hint="its module must be installed or in PYTHONPATH, here and on every worker",
        ) from error
    if not callable(found):
        raise ConfigError(f"'{name}' is a {type(found).__name__}, not a function.", hint="name a function of a module")
    function: Function = found
    return function


def _plain(result: object) -> dict[str, Any]:
    """The result as JSON gives it back; numpy's and torch's numbers and arrays become plain ones."""
    hint = "return a dict of numbers, words and lists; None for a figure that does not exist; arrays belong in files"
    if not isinstance(result, Mapping):
        raise WrongFormat(f"The function returned a {type(result).__name__}, not a dict.", hint=hint)
    try:
        text = json.dumps(dict(result), allow_nan=False, default=_listed)
    except (TypeError, ValueError) as error:
        raise WrongFormat(f"The result is not plain JSON: {error}.", hint=hint) from error
    plain: dict[str, Any] = json.loads(text)
    return plain


def _listed(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def _reason(failure: BaseException) -> str:
    """One line: of our own errors the sentence, of others also where in the source."""
    if isinstance(failure, LsmError):
        return str(failure)
    last = traceback.extract_tb(failure.__traceback__)[-1]
    place = f"{os.path.basename(last.filename)}, line {last.lineno}"
    return f"{type(failure).__name__}: {failure} ({place})"
