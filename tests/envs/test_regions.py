# SPDX-License-Identifier: Apache-2.0
"""The region that was chosen is the one that every program in that shell uses: the client, SDK programs, Ansible.

openstacksdk does not heed OS_REGION_NAME beside OS_CLOUD; it takes the first region of the entry.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ARBARO, Home

TOOLS = Path(sys.executable).parent
#: What the collection openstack.cloud does in each of its modules (module_utils/openstack.py), without any parameter.
MODULE = """\
#!/usr/bin/python
import openstack
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule(argument_spec={"cloud": {"type": "raw"}, "region_name": {}})
cloud = openstack.connect(cloud=module.params["cloud"], region_name=module.params["region_name"], auth_type=None,
                          verify=None, cacert=None, cert=None, key=None, api_timeout=None, interface=None)
module.exit_json(region=cloud.config.region_name, project=cloud.config.config["auth"].get("project_name"))
"""
SDK = "import openstack as o; c = o.connect().config; a = c.config['auth']; print('SDK', c.region_name, a['project_name'], a['username'], a['password'])"
CLOUDS = """\
clouds:
  test-x:
    auth: {auth_url: 'http://127.0.0.1:1/v3', username: me, project_name: p}
    regions:
      - r-1
      - {name: r-2, values: {auth: {username: other}, image_api_version: 2}}
      - r-3
"""


@pytest.fixture
def regions(home: Home) -> Home:
    home.clouds.write_text(CLOUDS)
    home.clouds.with_name("secure.yaml").write_text("clouds: {test-x: {auth: {password: '0123'}}}\n")
    (home.path / "modules").mkdir()
    (home.path / "modules/where.py").write_text(MODULE)
    (home.path / "sdk.py").write_text(SDK)
    return home


def asked(home: Home) -> list[str]:
    """Commands that say where each kind of program goes."""
    ansible = f"{TOOLS}/ansible localhost -c local -M {home.path}/modules -m where -o -e ansible_python_interpreter={sys.executable}"
    return [f"{sys.executable} sdk.py", f"{TOOLS}/openstack configuration show -f value -c region_name", ansible]


def test_every_program_goes_to_the_region_of_its_shell(regions: Home, shell: str) -> None:
    others = "\n".join(f"arbaro env use test-x/{region}\n{asked(regions)[0]}" for region in ("r-3", "r-1"))
    seen = regions.shell(shell, "\n".join(["arbaro env use test-x/r-2", *asked(regions), others]))
    assert [line for line in seen.splitlines() if line.startswith("SDK")] == [
        "SDK r-2 p other 0123", "SDK r-3 p me 0123", "SDK r-1 p me 0123",
    ], seen  # fmt: skip
    assert "\nr-2\n" in seen and '"region": "r-2"' in seen, seen


@pytest.mark.parametrize("words", [("exec",), ("each",)])
def test_the_same_without_a_switch(regions: Home, words: tuple[str, ...]) -> None:
    for region, user in (("r-3", "me"), ("r-2", "other")):
        done = subprocess.run(
            [ARBARO, "env", *words, f"test-x/{region}", "--", sys.executable, "sdk.py"],
            env=regions.variables, cwd=regions.path, capture_output=True, text=True,
        )  # fmt: skip
        assert f"SDK {region} p {user} 0123" in done.stdout, done.stderr


def test_another_project_is_the_project_of_every_program(regions: Home, shell: str) -> None:
    seen = regions.shell(shell, f"arbaro env use test-x/r-3 --project q\n{sys.executable} sdk.py\narbaro env current")
    assert "SDK r-3 q me 0123" in seen and "test-x/r-3 q" in seen, seen


def test_the_views_hold_no_password_and_are_private(regions: Home) -> None:
    regions.shell("bash", "arbaro env use test-x/r-2")
    views = list((regions.path / "state/arbaro/env").rglob("*.yaml"))
    assert len(views) == 3 and not any("0123" in view.read_text() for view in views)
    assert {view.stat().st_mode & 0o777 for view in views} == {0o600}
    # They follow the files: a region that is gone has none, a change is in all.
    regions.clouds.write_text(CLOUDS.replace("      - r-3\n", "").replace("project_name: p", "project_name: new"))
    seen = regions.shell("bash", f"arbaro env use test-x/r-2; {sys.executable} sdk.py")
    assert "SDK r-2 new other 0123" in seen
    assert len(list((regions.path / "state/arbaro/env").rglob("*.yaml"))) == 2
