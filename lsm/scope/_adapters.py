"""Why a Micro-Manager configuration does not load: which device adapters it wants, and what they were built for."""

import ctypes
import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

from lsm.scope.rig import RigConfig

NAMES = {"win32": "mmgr_dal_{}.dll", "darwin": "libmmgr_dal_{}", "linux": "libmmgr_dal_{}.so.0"}


def explain_adapters(rig: RigConfig) -> Iterator[tuple[str, str]]:
    """A sentence and a hint for each adapter of the rig's configuration that is missing or of another version.

    Nothing where the configuration or the folder of adapters cannot be found.
    """
    from pymmcore import CMMCore
    from pymmcore_plus import find_micromanager

    folder = Path(rig.micro_manager or find_micromanager() or "")
    cfg = next((path for path in (rig.cfg, folder / (rig.cfg or "")) if path is not None and path.is_file()), None)
    if cfg is None or not folder.is_dir():
        return
    core_interface = int(CMMCore.getMMDeviceDeviceInterfaceVersion())
    prefix, suffix = NAMES.get(sys.platform, NAMES["linux"]).split("{}")
    present = sorted(
        path.name[len(prefix) : len(path.name) - len(suffix)] for path in folder.glob(f"{prefix}*{suffix}")
    )
    for number, label, library in _loaded(cfg):
        if library not in present:
            near = difflib.get_close_matches(library, present, n=1) or present
            yield (
                f"Line {number} of {cfg.name} loads '{label}' from the adapter '{library}', which is not in {folder}.",
                f"install a Micro-Manager that has it; there are: {', '.join(near[:12])}",
            )
            continue
        interface = _interface(folder / f"{prefix}{library}{suffix}")
        if interface not in (None, core_interface):
            yield (
                f"The adapter '{library}' in {folder} was built for device interface {interface}; the core of this "
                f"program has interface {core_interface}.",
                f"install a Micro-Manager with device interface {core_interface}, or the pymmcore release whose "
                f"version has {interface} as its fourth number",
            )


def _loaded(cfg: Path) -> Iterator[tuple[int, str, str]]:
    """Line number, label and library of each vendor device, once per library."""
    seen: set[str] = set()
    for number, line in enumerate(cfg.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 4 and parts[0].lower() == "device" and parts[2] not in seen:
            seen.add(parts[2])
            yield number, parts[1], parts[2]


def _interface(library: Path) -> int | None:
    """The device interface that an adapter was built for; None for a file that cannot be loaded at all."""
    try:
        ask = ctypes.CDLL(str(library)).GetDeviceInterfaceVersion
    except (OSError, AttributeError):
        return None
    ask.restype = ctypes.c_long
    return int(ask())
