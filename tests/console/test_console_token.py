"""A console with a token tells nothing to those who do not show it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as open_socket

from console.rigs import Served, ask, served
from lsm.safety import Interlock
from lsm.scope import MicroManagerMicroscope
from scope.fakes import FakeCore, FakeLight, make_rig

TOKEN = "a token of the tests"  # noqa: S105 - of no other console


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    rig, diary = make_rig(), list[str]()
    scope = Interlock(MicroManagerMicroscope(FakeCore(diary), FakeLight(diary), rig), rig.limits)
    with served(tmp_path_factory.mktemp("runs"), token=TOKEN, rig=rig, scope=scope) as console:
        yield console


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer other"}, {"Cookie": "lsm_console=other"}])
def test_nothing_is_told_or_done_without_it(here: Served, headers: dict[str, str]):
    for method, path in (("GET", "/api/state"), ("POST", "/api/stop"), ("GET", "/api/openapi.json")):
        assert ask(here, method, path, **headers)[0] == 401
    assert not here.scope.halted
    with pytest.raises(InvalidStatus):
        open_socket(f"ws://127.0.0.1:{here.port}/api/frames", additional_headers=headers)


def test_the_page_without_anything_of_the_rig_is_shown_so_that_it_can_ask(here: Served):
    status, content = ask(here, "GET", "/")
    assert status == 200
    assert b"needs its token" in content
    assert ask(here, "GET", "/page/main.js")[0] == 200


def test_the_token_opens_the_interface_to_programs(here: Served):
    with here.client(token=TOKEN) as client:
        assert client.rig()["name"] == "fake"
        assert client.snap()["light"]["shown"] == []


def test_the_token_is_exchanged_for_a_cookie(here: Served, tmp_path: Path):
    login = b'{"token": "%s"}'
    assert ask(here, "POST", "/api/login", login % b"other", Content_Type="application/json")[0] == 401
    assert ask(here, "POST", "/api/login", login % TOKEN.encode(), Content_Type="application/json")[0] == 204
    assert ask(here, "GET", "/api/state", Cookie=f'lsm_console="{TOKEN}"')[0] == 200
