# SPDX-License-Identifier: Apache-2.0
"""What the SDK raises ends as one of our errors, wherever it was asked."""

from pathlib import Path

import pytest
from openstack.exceptions import HttpException

from arbaro import progress, settings
from arbaro.cli import options
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
