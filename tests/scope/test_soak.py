"""The loop of the long run, briefly; and that its verdict notices what grows."""

import pytest

from lsm_sim.soak import Sample, SoakResult, fit, soak

SECONDS = 6.0


@pytest.mark.firmware
def test_seconds_of_running_open_nothing_that_stays_open():
    result = soak(SECONDS / 60, warm_up_minutes=SECONDS / 180, record_frames=60)
    assert result.frames > 60
    assert result.recordings >= 2
    assert result.handles[1] <= result.handles[0]
    assert result.threads[1] <= result.threads[0]


def _samples(mib_per_hour: float, handles_per_hour: int = 0) -> list[Sample]:
    """An hour in which memory grows steadily under noise of 0.2 MiB."""
    hours = [minute / 60 for minute in range(60)]
    return [
        Sample(at, 500 + mib_per_hour * at + 0.2 * (-1) ** i, 17 + round(handles_per_hour * at), 2)
        for i, at in enumerate(hours)
    ]


@pytest.mark.parametrize(
    ("mib_per_hour", "handles_per_hour", "kept"), [(0.0, 0, True), (0.7, 0, True), (1.5, 0, False), (0.0, 2, False)]
)
def test_growth_is_noticed(mib_per_hour: float, handles_per_hour: int, kept: bool):
    result = SoakResult(60, 0, 0)
    fit(result, _samples(mib_per_hour, handles_per_hour))
    # the median of slopes sees a 0.2 MiB alternation over an hour as at most some hundredths
    assert result.memory_mib_per_hour == pytest.approx(mib_per_hour, abs=0.05)
    assert result.promise_kept is kept
