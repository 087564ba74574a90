"""Faults between computer and board, and boards that go away and come back."""

import os
import signal
import threading
from collections.abc import Callable

from lsm.devices import Frame
from lsm_sim.faults import Fault, Kind, Way
from lsm_sim.torture.bench import LIGHT_S, Bench
from lsm_sim.torture.tally import Trial

LATE_S = 0.3
PIECES = 12
"""Frames on the wire during one capture, each way."""
NAMES = {
    Kind.FLIP: "wire: bit flip",
    Kind.LOSE: "wire: lost bytes",
    Kind.DOUBLE: "wire: duplicated bytes",
    Kind.REPEAT: "wire: repeated frame",
    Kind.LATE: "wire: late bytes",
    Kind.CUT: "wire: truncated frame",
    Kind.NOISE: "wire: inserted bytes",
}


def _wire(kind: Kind) -> Callable[[Bench], Trial]:
    def run(bench: Bench) -> Trial:
        fault = Fault(
            kind=kind,
            way=list(Way)[bench.rng.integers(2)],
            piece=int(bench.rng.integers(PIECES)),
            at=int(bench.rng.integers(2**20)),
            size=int(bench.rng.integers(1, 9)),
            late_s=float(bench.rng.uniform(0.0, LATE_S)),
        )
        bench.line.arm(fault)
        return bench.trial(
            NAMES[kind],
            lambda: bench.observe(bench.request(), bench.request(moved=False)),
            allowed_s=LIGHT_S,
            note=str(fault),
        )

    return run


def _board(kind: str, event: Callable[[Bench], None]) -> Callable[[Bench], Trial]:
    """The event comes before a capture, or while the exposure is on."""

    def run(bench: Bench) -> Trial:
        bench.observe(bench.request())
        amid = bench.rng.random() < 0.5

        def work() -> list[Frame]:
            if amid:
                bench.faults.amid_exposure = lambda: event(bench)
            else:
                event(bench)
            return bench.observe(bench.request(), bench.request(moved=False))

        return bench.trial(kind, work, allowed_s=2 * LIGHT_S, note="amid an exposure" if amid else "between captures")

    return run


def _silent(bench: Bench) -> Trial:
    """The board's program stands still for a while; nothing is lost, all comes late."""
    for_s = float(bench.rng.uniform(0.02, 1.5))

    def stop() -> None:
        pid = bench.native.pid
        os.kill(pid, signal.SIGSTOP)
        threading.Timer(for_s, os.kill, (pid, signal.SIGCONT)).start()

    def work() -> list[Frame]:
        if bench.rng.random() < 0.5:
            bench.faults.amid_exposure = stop
        else:
            stop()
        return bench.observe(bench.request(), bench.request(moved=False))

    return bench.trial("board stands still", work, allowed_s=2 * LIGHT_S + for_s, note=f"for {for_s:.2f} s")


WIRE: dict[str, Callable[[Bench], Trial]] = {
    **{name: _wire(kind) for kind, name in NAMES.items()},
    "board unplugged": _board("board unplugged", Bench.unplug),
    "board unplugged and plugged in": _board("board unplugged and plugged in", Bench.replug),
    "board rebooted": _board("board rebooted", Bench.reboot),
    "board stands still": _silent,
}
