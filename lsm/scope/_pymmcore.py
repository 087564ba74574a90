"""Make an in-process core that mixes vendor adapters and Python devices the core of pycromanager.

pycromanager starts a plain CMMCore, which knows no Python devices. pymmcore-plus has UniMMCore, which does.
Everything that reaches into private names of these packages, and every work-around, is in this file:

* pycromanager calls methods in snake case; its launcher converts those of CMMCore only, not inherited ones.
* `pycromanager.Core()` returns the first entry of `mmpycorex.launcher._PYMMCORES`, so one core is open at a time.
* The acquisition engine is a singleton that outlives its core with dead executors, so it is dropped and made anew.
* A Python device that fails to initialise is only logged, so its state is asked for.
* A core whose callback relay is attached while the interpreter ends aborts the process (status 134), because
  a C++ thread then calls into Python. Detaching the relay ends that thread.
"""

import atexit
import re
import threading
import types
from functools import cache
from pathlib import Path
from typing import Any

from lsm.errors import DeviceError, FileMissing, LsmError
from lsm.scope._watchdog import DRIVER_ERRORS

_starting = threading.Lock()


def open_core(cfg: Path, *, adapters: Path | None = None) -> Any:
    """The Core() of pycromanager, with the devices of the Micro-Manager configuration `cfg`.

    adapters: folder with Micro-Manager's device adapters; None searches MICROMANAGER_PATH and the usual places.
    Raises FileMissing, or DeviceError: a device does not load, or a core is open in this process already.
    """
    from pycromanager import Core

    cfg = _find_cfg(cfg, adapters)

    with _starting:
        _refuse_second_core()
        core = _snake_case_core()(mm_path=None if adapters is None else str(adapters))
        try:
            core.loadSystemConfiguration(str(cfg))
            _refuse_failed_devices(core)
        except (*DRIVER_ERRORS, ImportError) as error:
            _detach(core)
            raise DeviceError(
                f"Micro-Manager cannot load {cfg}: {error}.",
                hint="load the same file in Micro-Manager to see which device",
            ) from error
        except LsmError:
            _detach(core)
            raise
        _register(core)
    atexit.register(close_core, core)
    return Core()


def close_core(core: Any) -> None:
    """Unload all devices and forget the core; may be called twice. Never raises for a device that fails."""
    from mmpycorex import launcher

    atexit.unregister(close_core)
    if core in launcher._PYMMCORES:  # noqa: SLF001
        launcher._PYMMCORES.remove(core)  # noqa: SLF001
    _drop_engine()
    _detach(core)


def _find_cfg(cfg: Path, adapters: Path | None) -> Path:
    from pymmcore_plus import find_micromanager

    if adapters is not None and not adapters.is_dir():
        raise FileMissing(
            f"The Micro-Manager folder {adapters} does not exist.", hint="check 'micro_manager' in the rig file"
        )
    folder = adapters or find_micromanager()
    for candidate in (cfg, *([Path(folder) / cfg] if folder else [])):
        if candidate.is_file():
            return candidate
    raise FileMissing(
        f"The Micro-Manager configuration {cfg} does not exist.",
        hint="check 'cfg' in the rig file; it lies beside that file or in the Micro-Manager folder",
    )


def _refuse_second_core() -> None:
    from mmpycorex import launcher

    if launcher._PYMMCORES:  # noqa: SLF001
        raise DeviceError(
            "A Micro-Manager core is open in this process already.",
            hint="close() the other microscope first, or use a second process",
        )


def _refuse_failed_devices(core: Any) -> None:
    for label in filter(core.isPyDevice, core.getLoadedDevices()):
        failure = core._pydevices[label]._initialized_  # noqa: SLF001
        if isinstance(failure, Exception):
            raise DeviceError(
                f"The device '{label}' does not start: {failure}", hint="check its lines in the configuration file"
            ) from failure


def _register(core: Any) -> None:
    from mmpycorex import launcher
    from pycromanager.acquisition.acq_eng_py.internal.engine import Engine

    core.get_tagged_image = types.MethodType(launcher.get_tagged_image, core)
    core.pop_next_tagged_image = types.MethodType(launcher.pop_next_tagged_image, core)
    core.TaggedImage = launcher.TaggedImage
    launcher._PYMMCORES.append(core)  # noqa: SLF001
    _drop_engine()
    Engine(core)


def _drop_engine() -> None:
    from pycromanager.acquisition.acq_eng_py.internal.engine import Engine

    engine = Engine.get_instance()
    if engine is not None:
        engine.shutdown()
        del Engine.singleton


def _detach(core: Any) -> None:
    from pymmcore import CMMCore

    CMMCore.registerCallback(core, None)
    try:
        core.unloadAllDevices()
    except DRIVER_ERRORS as error:
        core.logMessage(f"unloading failed: {error}")


@cache
def _snake_case_core() -> type:
    """UniMMCore with a snake-case alias for every method, bound late so that overrides are honoured."""
    from pymmcore_plus.experimental.unicore import UniMMCore

    aliases = {
        snake: _alias(name)
        for name in dir(UniMMCore)
        if not name.startswith("_")
        and callable(getattr(UniMMCore, name))
        and not hasattr(UniMMCore, snake := snake_case(name))
    }
    return type("PycromanagerCore", (UniMMCore,), aliases)


def snake_case(name: str) -> str:
    """A Micro-Manager method name as pycromanager spells it: getXYPosition is get_xy_position."""
    words = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z0-9])([A-Z])", r"\1_\2", words).lower()


def _alias(name: str) -> Any:
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        return getattr(self, name)(*arguments, **named)

    return call
