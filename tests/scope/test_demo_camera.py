"""Micro-Manager's real C++ demonstration adapters, with the firmware as their light."""

from collections.abc import Iterator

import numpy as np
import pytest

from lsm.devices import Observe
from lsm.errors import LimitExceeded
from lsm.illum import bright_field
from lsm.safety import Interlock
from lsm.scope import RigConfig, connect, find_rig

pytest.importorskip("mm_test_adapters", reason="Micro-Manager's demonstration adapters are not installed")
pytestmark = pytest.mark.firmware


@pytest.fixture(scope="module")
def scope() -> Iterator[Interlock]:
    with connect(RigConfig.from_file(find_rig("demo_camera"))) as scope:
        yield scope


def test_it_moves_snaps_and_reads_back(scope: Interlock):
    pattern = bright_field(scope.board, na=0.1)
    frame = scope.observe(Observe(pattern, 5.0, (123.4, -56.7), 12.0))
    assert frame.image.shape == (512, 512)
    assert frame.image.dtype == np.uint16
    assert np.ptp(frame.image) > 0
    # the demonstration stage moves in steps of 0.015 um
    assert frame.xy_um == pytest.approx((123.4, -56.7), abs=0.015)
    assert frame.z_um == pytest.approx(12.0, abs=0.015)
    assert np.array_equal(frame.shown.levels, pattern.levels)
    assert frame.metadata["Camera"] == "Camera"


def test_an_exposure_takes_its_time(scope: Interlock):
    frame = scope.observe(Observe(bright_field(scope.board, na=0.1), 80.0))
    assert frame.ended_ns - frame.started_ns >= 80e6


def test_limits_hold_for_real_adapters_too(scope: Interlock):
    before = scope.observe(Observe(bright_field(scope.board, na=0.1), 1.0)).xy_um
    with pytest.raises(LimitExceeded, match="y_um"):
        scope.observe(Observe(bright_field(scope.board, na=0.1), 1.0, (0.0, 5001.0)))
    assert scope.observe(Observe(bright_field(scope.board, na=0.1), 1.0)).xy_um == before
