"""What the jobs of these tests do; worker processes import it by name."""

import os
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np


def square(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"square": arguments["x"] ** 2}


def counted(arguments: dict[str, Any]) -> dict[str, Any]:
    """Leaves a trace of every execution, whatever becomes of it."""
    trace = Path(arguments["folder"]) / f"{arguments['x']}-{uuid.uuid4().hex}"
    part = trace.with_name(f"part.{trace.name[-32:]}")
    part.write_text(str(os.getpid()))
    part.rename(trace)
    if arguments["x"] == arguments.get("fails"):
        raise ValueError("not this one")
    time.sleep(arguments.get("sleep_s", 0.0))
    return square(arguments)


def traces(folder: Path) -> dict[int, list[int]]:
    """Process numbers of the executions of each x."""
    found: dict[int, list[int]] = {}
    for path in folder.glob("*-*"):
        found.setdefault(int(path.name.split("-")[0]), []).append(int(path.read_text()))
    return found


def killed_once_done(arguments: dict[str, Any]) -> dict[str, Any]:
    """The first execution of x = 2 does all its work, then its process is killed before it can answer."""
    first = arguments["x"] == 2 and 2 not in traces(Path(arguments["folder"]))
    result = counted(arguments)
    if first:
        os.kill(os.getpid(), signal.SIGKILL)
    return result


def deadly(arguments: dict[str, Any]) -> dict[str, Any]:
    counted(arguments)
    if arguments["x"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(arguments)


def threads(arguments: dict[str, Any]) -> dict[str, Any]:
    del arguments
    import torch

    return {"torch": torch.get_num_threads(), "variable": os.environ["OPENBLAS_NUM_THREADS"], "pid": os.getpid()}


def numpy_figures(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"mean": np.float32(0.5), "count": np.int64(3), "curve": np.arange(3), "given": arguments}


def not_finite(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"loss": float("nan") * arguments["x"]}


def no_dict(arguments: dict[str, Any]) -> Any:
    return [arguments["x"]]


def leaves(arguments: dict[str, Any]) -> dict[str, Any]:
    sys.exit(arguments["x"])


def prints(arguments: dict[str, Any]) -> dict[str, Any]:
    print("the job talks")
    return square(arguments)


def scored(arguments: dict[str, Any]) -> dict[str, Any]:
    """Best with two captures and the largest aperture; what a search of these tests runs."""
    if arguments.get("fail_at") == arguments["seed"]:
        raise ValueError("this seed fails")
    noise = 0.01 * (-1) ** arguments["seed"]
    best = -((arguments["captures"] - 2) ** 2) + arguments["rig"]["na"] + noise + arguments.get("fold", 0)
    return {"accuracy": best, "light": arguments["captures"] * 1.5}


def slow_scored(arguments: dict[str, Any]) -> dict[str, Any]:
    """The first two captures at once, the others only when nobody waits any more."""
    if arguments["captures"] > 2:
        counted(arguments | {"x": arguments["captures"], "sleep_s": 60})
    return scored(arguments)
