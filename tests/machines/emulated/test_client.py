# SPDX-License-Identifier: Apache-2.0
"""`openstack machine …`, the real client with our plug-in, against the real service."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..site import Site
from ..standin import AUTH

pytestmark = pytest.mark.emulator


@pytest.fixture
def openstack(site: Site, tmp_path: Path):
    """Type a command as the operator."""

    def type_(*words: str, as_json: bool = False, token: str = "operator") -> Any:
        command = [
            str(Path(sys.executable).with_name("openstack")),
            "machine",
            *words,
            *(["-f", "json"] if as_json else []),
        ]
        login = {"OS_AUTH_TYPE": "admin_token", "OS_ENDPOINT": site.api, "OS_TOKEN": token}
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONWARNINGS": "ignore"} | login
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        if as_json:
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)
        return done

    return type_


def test_operators_day(site: Site, openstack, tmp_path: Path, numbers) -> None:
    chosen = [next(numbers), next(numbers)]
    (tmp_path / "bmc-password").write_text(AUTH[1])
    lines = ["name,resource_class,model,room,rack,bmc.address,bmc.system,bmc.username,bmc.password_file"]
    lines += [
        f"c{number},CUSTOM_PM_CLI,R640,icn1-a,a{number},{site.bmc},/redfish/v1/Systems/{site.system(number)},{AUTH[0]},bmc-password"
        for number in chosen
    ]
    (tmp_path / "machines.csv").write_text("\n".join(lines))
    first, second = names = [f"c{number}" for number in chosen]
    openstack("enrol", str(tmp_path / "machines.csv"), as_json=True)
    assert openstack("inspect", "--wait", *names).returncode == 0
    assert openstack("provide", "--wait", first, second).stderr == ""
    listed = openstack("list", "--resource-class", "CUSTOM_PM_CLI", as_json=True)
    assert [(one["name"], one["state"]) for one in listed] == [(first, "available"), (second, "available")]
    reserved = openstack("reserve", "CUSTOM_PM_CLI", "--count", "2", "--spread", "rack", token="alice", as_json=True)
    assert {one["name"] for one in reserved} == set(names)
    (stock,) = openstack("stock", "list", "--by", "resource_class", "--resource-class", "CUSTOM_PM_CLI", as_json=True)
    assert (stock["free"], stock["held"]) == (0, 2)
    refused = openstack("deploy", first, "--image", "http://nowhere/x", token="alice")
    assert "wants --checksum" in refused.stderr
    assert openstack("release", *names, token="alice").returncode == 0
    texts = [one["text"] for one in openstack("event", "list", first, "--type", "state", as_json=True)]
    assert "available → reserved" in texts
    gone = openstack("show", "no-such")
    assert (gone.returncode, "There is no machine 'no-such'" in gone.stderr) == (1, True)
