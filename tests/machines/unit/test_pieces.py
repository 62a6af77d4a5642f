# SPDX-License-Identifier: Apache-2.0
"""Small pieces: the personal CD, config drives, tokens, access rules, images that are refused, files of machines."""

import base64
import io
import json
from pathlib import Path

import pycdlib
import pytest
from arbaro_machines import bootmedia, configdrive, convert
from arbaro_machines.api.access_rules import allows
from arbaro_machines.client.enrol import read_machines
from arbaro_machines.database.models import Machine, Task
from arbaro_machines.faults import Fault
from arbaro_machines.results import changes_of
from arbaro_machines.sealing import Seal, new_key
from arbaro_machines.steps import ramdisk
from arbaro_machines.steps.work import Work
from osc_lib.exceptions import CommandError

MARKER = bootmedia.MARKER.ljust(bootmedia.LENGTH, b"=")
RECIPE = Path(__file__).parents[3] / "images/agents/deploy"


@pytest.mark.parametrize("before", [0, 1, 999, 1000, 1001, 1299])
def test_every_marker_is_overwritten_wherever_pieces_end(tmp_path: Path, before: int) -> None:
    template = tmp_path / "deploy.iso"
    template.write_bytes(b"a" * before + MARKER + b"b" * 50 + MARKER + b"c" * 3000)
    cd = bootmedia.PersonalCd(template, "arbaro.token=t")
    made = b"".join(cd.read(range(cd.size), 1000))
    assert len(made) == template.stat().st_size
    assert made.count(b"arbaro.token=t ") == 2
    assert bootmedia.MARKER not in made


def test_recipe_makes_the_marker_that_the_service_looks_for() -> None:
    script = (RECIPE / "iso").read_text()
    assert f"marker={bootmedia.MARKER.decode()}\n" in script
    assert f"-lt {bootmedia.LENGTH} ]" in script


def test_tokens_fit_on_the_command_line() -> None:
    token = Seal([new_key().encode()]).token("0b6c1d2e-0000-0000-0000-000000000000")
    assert len(bootmedia.arguments("https://machines.icn1.cloud.example.com:8780", token)) < bootmedia.LENGTH


def test_token_is_of_one_task_only() -> None:
    seal = Seal([new_key().encode()])
    assert seal.task_of(seal.token("task-1")) == "task-1"
    assert seal.task_of("task-2" + seal.token("task-1")[6:]) is None
    assert seal.task_of("task-1") is None
    assert seal.task_of("") is None
    assert Seal([new_key().encode()]).task_of(seal.token("task-1")) is None


def test_newer_key_on_top_changes_neither_secrets_nor_tokens() -> None:
    old = new_key().encode()
    before, after = Seal([old]), Seal([new_key().encode(), old])
    assert after.open(before.close("x")) == "x"
    assert after.token("t") == before.token("t")


def test_config_drive_has_the_files_under_their_names() -> None:
    given = {"openstack/latest/user_data": base64.b64encode(b"#!/bin/sh\n").decode()}
    port = {"mac": "52:54:00:00:00:01", "address": "10.0.0.5/24", "gateway": "10.0.0.1", "dns": ["10.0.0.2"]}
    made = configdrive.make_iso(configdrive.wanted_files(given, [port], "id-1", "m1"))
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(made))

    def read(path: str) -> bytes:
        out = io.BytesIO()
        iso.get_file_from_iso_fp(out, rr_path=path)
        return out.getvalue()

    assert read("/openstack/latest/user_data") == b"#!/bin/sh\n"
    assert json.loads(read("/openstack/latest/meta_data.json"))["uuid"] == "id-1"
    network = json.loads(read("/openstack/latest/network_data.json"))
    assert network["networks"][0]["routes"] == [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.0.0.1"}]
    assert network["services"] == [{"type": "dns", "address": "10.0.0.2"}]


@pytest.mark.parametrize(
    ("path", "method", "asked", "allowed"),
    [
        ("/v1/machines", "GET", "/v1/machines", True),
        ("/v1/machines", "GET", "/v1/machines/a", False),
        ("/v1/machines/*", "GET", "/v1/machines/a", True),
        ("/v1/machines/{id}", "GET", "/v1/machines/a/console", False),
        ("/v1/**", "GET", "/v1/machines/a/console", True),
        ("/v1/**", "POST", "/v1/machines/a/console", False),
        ("**", "GET", "/v1/machines", True),
        ("/v1/machine.", "GET", "/v1/machines", False),
    ],
)
def test_access_rules(path: str, method: str, asked: str, allowed: bool) -> None:
    rule = {"service": "physical-machine", "method": method, "path": path}
    assert allows(rule, "physical-machine", "GET", asked) is allowed
    assert not allows(rule | {"service": "compute"}, "physical-machine", "GET", asked)


@pytest.mark.parametrize(
    "info",
    [{"backing-filename": "/etc/shadow"}, {"format-specific": {"data": {"data-file": "/etc/shadow"}}}],
)
def test_images_that_would_read_files_of_this_host_are_refused(info: dict) -> None:
    with pytest.raises(Fault, match="another file"):
        convert.refuse_foreign_files(info)
    convert.refuse_foreign_files({"format-specific": {"data": {"compat": "1.1"}}})


def test_what_a_task_saw_becomes_the_machines() -> None:
    machine = Machine(properties={"cpus": 4})
    cleaned = Task(verb="clean", notes={}, word={"disk_bytes": "8000000000"})
    assert changes_of(cleaned, machine) == {"power": "off", "properties": {"cpus": 4, "disk_gb": 8}}
    switched = Task(verb="power", request={"target": "soft-reboot"}, notes={}, word={})
    assert changes_of(switched, machine) == {"power": "on"}


CSV = """name,resource_class,model,room,rack,bmc.address,bmc.system,bmc.username,bmc.password_file,bmc.verify_tls,interfaces,properties.cpus
a1,CUSTOM_PM_SMALL,R640,icn1-a,a01,https://10.0.0.1,/redfish/v1/Systems/1,admin,secret,no,"52:54:00:00:00:01,eth0 52:54:00:00:00:02",32
a2,CUSTOM_PM_SMALL,R640,icn1-a,a01,https://10.0.0.2,/redfish/v1/Systems/1,admin,secret,,,
"""


def test_csv_of_machines(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(CSV)
    (tmp_path / "secret").write_text("calvin\n")
    first, second = read_machines(tmp_path / "m.csv")
    assert first["bmc"] == {
        "address": "https://10.0.0.1",
        "system": "/redfish/v1/Systems/1",
        "username": "admin",
        "password": "calvin",
        "verify_tls": False,
    }
    assert first["interfaces"] == [
        {"mac": "52:54:00:00:00:01", "name": "eth0", "boot": True},
        {"mac": "52:54:00:00:00:02", "name": "", "boot": False},
    ]
    assert first["properties"] == {"cpus": 32}
    assert "interfaces" not in second


def test_file_with_passwords_must_be_private(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("- {name: a1, bmc: {address: 'https://10.0.0.1', password: calvin}}\n")
    file.chmod(0o644)
    with pytest.raises(CommandError, match="chmod 600"):
        read_machines(file)
    file.chmod(0o600)
    assert read_machines(file)[0]["bmc"]["password"] == "calvin"


def test_ramdisk_that_has_spoken_is_not_started_again() -> None:
    """It has written and switched the machine off while the worker was dead; a second start would write a second time."""
    work = Work(Task(word={"phase": "done"}), Machine(), *[None] * 4, "token")
    assert ramdisk.start_ramdisk(work) is None
