"""The short form of the fault campaign, and proof that it notices a board that is not careful."""

import shutil
from pathlib import Path

import pytest

from lsm_sim import _build, wire_campaign
from lsm_sim._build import firmware_folder

pytestmark = pytest.mark.firmware

REPLY_S = 0.02
CARELESS = {
    "a request that comes twice is executed twice": {
        "core/link.c": [
            ("if (command->changes && (stale ||", "if (command->changes && stale && count == 9999 && (stale ||"),
            ("if (command.changes && earlier != NULL &&", "if (count == 9999 && earlier != NULL &&"),
        ]
    },
    "damaged frames and patterns are believed": {
        "core/link.c": [("#ifndef LSM_FUZZ_WITHOUT_CRC", "#ifdef LSM_NEVER")],
        "core/leds.c": [("if (wanted_crc != NULL &&", "if (wanted_crc != NULL && leds->count == 9999 &&")],
    },
}


@pytest.fixture
def settings(tmp_path: Path):
    return {"seed": 3, "reply_s": REPLY_S, "rows": 13, "folder": tmp_path}


def test_no_fault_shows_a_wrong_light_or_executes_twice(settings: dict):
    cut = wire_campaign.cuts(**settings, every=53)
    drawn = wire_campaign.random_faults(400, **settings)
    for tally in (cut, drawn):
        assert tally.faults > 100
        assert (tally.wrong, tally.twice) == (0, 0), tally.notes
        assert max(tally.recovery_s) <= 1.0
    assert len(drawn.by_kind) == 7
    assert drawn.lit_frames > 400


@pytest.mark.parametrize("fault", CARELESS)
def test_a_careless_board_is_noticed(settings: dict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str):
    careless = tmp_path / "firmware"
    shutil.copytree(firmware_folder(), careless)
    for name, changes in CARELESS[fault].items():
        text = (careless / name).read_text()
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        (careless / name).write_text(text)
    monkeypatch.setattr(_build, "firmware_folder", lambda: careless)
    tally = wire_campaign.random_faults(150, **settings)
    assert tally.wrong + tally.twice > 0
