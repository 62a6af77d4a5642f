# SPDX-License-Identifier: Apache-2.0
"""`openstack machine …`, the real client with our plug-in, against the real service."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..site import Site, wait_for
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


def test_one_machine_by_hand(site: Site, openstack, image, tmp_path: Path, number: int) -> None:
    """create, set, maintenance, reserve, deploy, power, console, rescue, unrescue, release, delete: each seen to work."""
    name, secret = f"h{number}", tmp_path / "bmc-password"
    secret.write_text(AUTH[1])
    where = ["--resource-class", "CUSTOM_PM_HAND", "--model", "R640", "--room", "icn1-a", "--rack", "a01"]
    bmc = ["--bmc-address", site.bmc, "--bmc-system", f"/redfish/v1/Systems/{site.system(number)}"]
    bmc += ["--bmc-username", AUTH[0], "--bmc-password-file", str(secret)]
    refused = openstack("create", name, *where, *bmc, "--interface", "52:54")
    assert (refused.returncode, "52:54 is no MAC address" in refused.stderr) == (1, True)
    nic = f"52:54:00:00:01:{number:02x}"
    made = openstack("create", name, *where, *bmc, "--interface", f"{nic},eth0", as_json=True)
    assert made["interfaces"] == [{"mac": nic, "name": "eth0", "boot": True}]
    done(openstack("set", name, "--rack", "a09", "--boot-method", "network", "--console-url", "tcp://10.0.0.1:7000"))
    seen = openstack("show", name, as_json=True)
    assert (seen["rack"], seen["boot"]) == ("a09", {"method": "network", "firmware": "uefi"})
    done(openstack("set", name, "--boot-method", "virtual-media"))
    done(openstack("maintenance", "set", name, "--reason", "fan 3"))
    (listed,) = openstack("list", "--maintenance", "--resource-class", "CUSTOM_PM_HAND", as_json=True)
    assert (listed["name"], listed["maintenance"]) == (name, "fan 3")
    done(openstack("maintenance", "unset", name))
    done(openstack("inspect", "--wait", name))
    done(openstack("provide", "--wait", name))
    openstack("reserve", "CUSTOM_PM_HAND", token="alice", as_json=True)
    (tmp_path / "script").write_text("#!/bin/sh\necho from-the-cli\n")
    (tmp_path / "key.pub").write_text("ssh-ed25519 AAAA alice\n")
    what = ["--image", image["id"]]
    what += ["--user-data", str(tmp_path / "script"), "--public-key", str(tmp_path / "key.pub"), "--hostname", "web1"]
    deployed = openstack("deploy", name, *what, "--wait", token="alice", as_json=True)
    assert (deployed["state"], deployed["power"]) == ("active", "on")
    disk = site.hardware.disks[f"m{number}"]
    for words in (b"echo from-the-cli", b"ssh-ed25519 AAAA alice", b'"hostname": "web1"'):
        assert words in disk["drive"]
    done(openstack("power", "--wait", "off", name, token="alice"))
    assert openstack("show", name, as_json=True)["power"] == "off"
    assert openstack("console", "show", name, token="alice", as_json=True)["port"] == 7000
    done(openstack("rescue", "--public-key", str(tmp_path / "key.pub"), "--wait", name, token="alice"))
    assert disk["rescue"]["key0"] == "ssh-ed25519 AAAA alice"
    done(openstack("unrescue", "--wait", name, token="alice"))
    done(openstack("release", name, token="alice"))
    wait_for("it to be clean", lambda: site.show(name)["state"] == "available")
    done(openstack("delete", name))
    assert "There is no machine" in openstack("show", name).stderr


def test_quota_of_a_project(openstack) -> None:
    project = "0123456789abcdef0123456789abcdef"
    done(openstack("quota", "set", "--machines", "7", project))
    shown = openstack("quota", "show", project, as_json=True)
    assert shown == {"project_id": project, "machines": 7, "used": 0, "is_default": False}
    done(openstack("quota", "unset", project))
    assert openstack("quota", "show", project, as_json=True)["is_default"] is True
    refused = openstack("quota", "set", "--machines", "7", project, token="alice")
    assert (refused.returncode, "no operator" in refused.stderr) == (1, True)
    assert "give the id" in openstack("quota", "show", "nobody").stderr


def done(process: Any) -> None:
    assert process.returncode == 0, process.stderr


def test_yaml_is_enrolled_all_or_none(openstack, tmp_path: Path) -> None:
    bmc = {"address": "https://10.0.0.1", "system": "/redfish/v1/Systems/1", "password": "calvin-1"}
    row = {"resource_class": "CUSTOM_PM_YAML", "model": "R640", "room": "icn1-a", "rack": "a01", "bmc": bmc}
    file = tmp_path / "machines.yaml"
    file.touch(0o600)
    file.write_text(json.dumps([row | {"name": "y1"}, row | {"name": "y2"}, row | {"name": "y1"}]))
    refused = openstack("enrol", str(file))
    assert (refused.returncode, "name-taken" in refused.stderr) == (1, True)
    file.write_text(json.dumps([row | {"name": "y1"}, row | {"name": "y2"}]))
    openstack("enrol", str(file), "--dry-run", as_json=True)
    assert openstack("list", "--resource-class", "CUSTOM_PM_YAML", as_json=True) == []
    openstack("enrol", str(file), as_json=True)
    listed = openstack("list", "--resource-class", "CUSTOM_PM_YAML", as_json=True)
    assert [one["name"] for one in listed] == ["y1", "y2"]
