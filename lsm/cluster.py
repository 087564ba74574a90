"""A Ray cluster: one of this machine for the time of a run, or one that is there."""

import importlib
import logging
import os
import signal
import sys
import threading
from typing import Any, Final

from lsm.errors import InputError, ToolMissing

ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    "1",
)
"""Environment of a worker: numpy's and torch's own threads would only wait for those of the other workers."""

STORE_BYTES: Final = 100_000_000
"""For what workers return; Ray would take a third of the memory."""


def ray_module() -> Any:
    """Ray, with its usage reports switched off. Raises ToolMissing."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise ToolMissing(
            "Ray, on which the work should run, is not installed.",
            hint="pip install 'learned-sensing-microscope[cluster]', or work without it",
        ) from error


def connect(ray: Any, address: str | None, *, workers: int, store_bytes: int = STORE_BYTES) -> None:
    """Connect to the cluster at "host:port", or start one of so many cores here. Raises InputError.

    Workers here find the modules that this program finds; on other machines lsm has to be installed.
    """
    environment = dict(ONE_THREAD)
    if not address:
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    # said here and not with each task, so that the workers which Ray starts ahead of the tasks fit
    options: dict[str, Any] = {"address": address, "runtime_env": {"env_vars": environment}}
    if not address:
        options |= {"address": "local", "num_cpus": workers, "object_store_memory": store_bytes}
        options |= {"include_dashboard": False}
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"at {address}" if address else "on this machine"
        raise InputError(
            f"No Ray cluster answers {where}: {lines(error)[0]}",
            hint="`ray start --head` starts one and prints its address; versions of Ray and Python must agree",
        ) from error
    finally:
        if main:
            # Ray puts its own in its place, and the command would no longer end as on Ctrl-C
            signal.signal(signal.SIGTERM, before)


def lines(error: Exception) -> list[str]:
    """What an error of Ray says, which may be a whole traceback, by line."""
    return str(error).strip().splitlines() or ["no reason given"]
