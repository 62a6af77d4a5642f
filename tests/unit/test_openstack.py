# SPDX-License-Identifier: Apache-2.0
"""What the SDK raises ends as one of our errors, wherever it was asked."""

import threading
from pathlib import Path

import pytest
from openstack.connection import Connection
from openstack.exceptions import HttpException

from arbaro import progress, settings
from arbaro.cli import options
from arbaro.openstack import connect
from arbaro.runs import Run
from arbaro.steps import Step


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_step_that_openstack_refuses_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], dry_run: bool
) -> None:
    monkeypatch.setattr(settings, "log_file", lambda name, verb: tmp_path / "log")
    monkeypatch.setattr(progress, "cache_dir", lambda: tmp_path)

    def needed() -> bool:
        raise HttpException("no token for you")

    with pytest.raises(SystemExit, match="2"):
        options.run("lab", "up", lambda: [Step("a", needed, lambda _: None)], verbose=False, dry_run=dry_run)
    said = capsys.readouterr().err
    assert "no token for you" in said
    assert "Next: arbaro status lab" in said


#: The SDK warns of what its own configuration hands itself.
no_warnings = pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK60Warning")


@no_warnings
def test_each_thread_has_its_own_connection_and_all_share_one_token() -> None:
    with Run().entered() as run:
        barrier = threading.Barrier(3)

        def ask(_: int) -> list[Connection]:
            barrier.wait(30)
            return [connect("http://192.0.2.1:5000/v3", "secret") for _ in range(2)]

        pairs = run.side_by_side(ask, range(3), at_once=3)
    assert all(one is two for one, two in pairs), "one for each thread"
    assert len({id(one) for one, _ in pairs}) == 3
    assert len({id(one.session) for one, _ in pairs}) == 3
    assert len({id(one.session.auth) for one, _ in pairs}) == 1
    assert {one.config.region_name for one, _ in pairs} == {"RegionOne"}
    assert {one.session.timeout for one, _ in pairs} == {30}


@no_warnings
def test_another_run_logs_in_for_itself() -> None:
    found = []
    for _ in range(2):
        with Run().entered():
            found.append(connect("http://192.0.2.1:5000/v3", "secret"))
    assert found[0].session.auth is not found[1].session.auth
