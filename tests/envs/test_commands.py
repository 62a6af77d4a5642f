# SPDX-License-Identifier: Apache-2.0
"""exec, shell, each, check and the guard, by the real command and the real openstack client, on FAKE clouds."""

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.fakes import keystone
from tests.fakes.keystone import FakeKeystone

from .conftest import ARBARO, Home

CLIENT = Path(sys.executable).with_name("openstack")
AUTH = (
    "auth: {{auth_url: '{url}', username: me, project_name: one, user_domain_id: default, project_domain_id: default}}"
)
ENTRY = "  {name}: {{" + AUTH + ", region_name: kr-1}}\n"


class Clouds:
    """A fake cloud behind prod-1 and test-1, and dead-1 behind a closed port."""

    def __init__(self, home: Home, fake: FakeKeystone) -> None:
        self.home, self.fake = home, fake
        text = "cache: {auth: true}\nclouds:\n"
        text += "".join(ENTRY.format(name=name, url=fake.url) for name in ("prod-1", "test-1"))
        home.clouds.write_text(text + ENTRY.format(name="dead-1", url="http://127.0.0.1:1/v3"))
        secret = "".join(f"  {name}: {{auth: {{password: right}}}}\n" for name in ("prod-1", "test-1", "dead-1"))
        home.clouds.with_name("secure.yaml").write_text(f"clouds:\n{secret}")
        home.clouds.with_name("secure.yaml").chmod(0o600)

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [ARBARO, "env", *words], env=self.home.variables, cwd=self.home.path, capture_output=True, text=True
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done


@pytest.fixture
def clouds(home: Home) -> Iterator[Clouds]:
    with keystone.running() as fake:
        yield Clouds(home, fake)


def test_exec_hands_over_no_secret_and_nothing_of_the_shell(clouds: Clouds) -> None:
    clouds.home.variables |= {"OS_AUTH_URL": "elsewhere", "OS_PASSWORD": "old", "ARBARO_ENV": "x"}
    seen = dict(line.split("=", 1) for line in clouds.run("exec", "test-1", "--", "env").stdout.splitlines())
    assert seen["OS_CLOUD"] == seen["ARBARO_ENV"] == "test-1"
    assert "OS_AUTH_URL" not in seen and "OS_PASSWORD" not in seen
    assert "right" not in seen.values()


def test_production_reads_and_cannot_write_with_the_real_client(clouds: Clouds) -> None:
    assert "u1" in clouds.run("exec", "prod-1", "--", str(CLIENT), "token", "issue", "-f", "json").stdout
    refused = clouds.run("exec", "prod-1", "--", str(CLIENT), "application", "credential", "create", "x", code=1)
    assert "refused by rules" in refused.stderr
    clouds.run("exec", "test-1", "--", str(CLIENT), "token", "issue", "-f", "json")


def test_tokens_are_kept_and_private(clouds: Clouds) -> None:
    for _ in range(3):
        clouds.run("exec", "test-1", "--", str(CLIENT), "token", "issue", "-f", "json")
    assert clouds.fake.logins == 1
    kept = [path for path in (clouds.home.path / "state").rglob("*.token")]
    assert [stat.S_IMODE(path.stat().st_mode) for path in kept] == [0o600]
    # One that is over is not used.
    clouds.fake.token_life = 1
    kept[0].unlink()
    for _ in range(2):
        clouds.run("exec", "test-1", "--", str(CLIENT), "token", "issue", "-f", "json")
    assert clouds.fake.logins == 3


def test_each_merges_and_a_dead_one_holds_nobody_up(clouds: Clouds) -> None:
    done = clouds.run(
        "each", "*-1", "--json", "--", str(CLIENT), "token", "issue", "-f", "json", "-c", "user_id", code=1
    )
    found = json.loads(done.stdout)
    assert found["rows"] == [{"environment": n, "user_id": "u1"} for n in ("prod-1", "test-1")]
    assert list(found["failed"]) == ["dead-1"]
    table = clouds.run("each", "test", "--", str(CLIENT), "token", "issue", "-f", "json", "-c", "user_id").stdout
    assert table.splitlines() == ["ENVIRONMENT  USER_ID", "test-1       u1"]
    assert clouds.run("each", "test", "--", "echo", "a line").stdout == "test-1  a line\n"


def test_check_names_what_is_dead_and_unsafe(clouds: Clouds) -> None:
    clouds.home.clouds.with_name("secure.yaml").chmod(0o644)
    rows = json.loads(clouds.run("check", "--json", code=1).stdout)
    found = {row["where"]: row for row in rows if not row["consequence_of"]}
    assert "does not answer" in found["dead-1"]["saw"]
    assert found[str(clouds.home.clouds.with_name("secure.yaml"))]["run"].startswith("chmod 600")
    assert "test-1" in found["prod-1"]["saw"]
    assert "right" not in json.dumps(list(found.values())).replace("copyright", "")


def test_check_is_silent_when_all_is_well(clouds: Clouds) -> None:
    assert clouds.run("check", "test-1", code=1).stdout.count("\n") == 1  # the twin prod-1
    clouds.run("rm", "prod-1")
    clouds.run("rm", "dead-1")
    assert clouds.run("check").stdout == "All is well in 1 environments.\n"


def test_writing_is_typed_for_in_a_terminal(clouds: Clouds) -> None:
    assert "no terminal" in clouds.run("exec", "prod-1", "--write", "--", "true", code=2).stderr
    argv = ["env", "exec", "prod-1", "--write", "--", "sh", "-c", "echo mode $ARBARO_ENV_MODE"]
    child = pexpect.spawn(str(ARBARO), argv, env=clouds.home.variables, encoding="utf-8", timeout=20)
    child.expect("prod-1 is production. Type kr-1 to write there")
    child.sendline("kr-1")
    child.expect("mode write")
    (made,) = clouds.fake.credentials.values()
    assert "access_rules" not in made


def test_a_sub_shell_shows_its_depth_and_leaves_the_outer_one(clouds: Clouds, shell: str) -> None:
    env = {**clouds.home.variables, "SHELL": f"/usr/bin/{shell}"}
    child = pexpect.spawn(
        str(ARBARO), ["env", "shell", "test-1"], env=env, encoding="utf-8", timeout=20, dimensions=(40, 160)
    )
    child.sendline("echo EN''D; arbaro env current")
    child.expect("END\r?\n")
    child.expect("test-1 kr-1 one ↳1")
    child.close(force=True)


def test_a_shell_is_put_into_production_read_only(clouds: Clouds, shell: str) -> None:
    seen = clouds.home.shell(
        shell,
        "arbaro env use prod-1; arbaro env current; arbaro env use test-1; arbaro env use prod-1\narbaro env current",
    )
    assert seen.splitlines() == ["prod-1 kr-1 one read-only 10h"] * 2 or "read-only 9h" in seen, seen
    assert clouds.fake.logins <= 2, "the second time the credential is used again"


def test_a_cloud_that_cannot_enforce_it_leaves_the_shell_where_it_was(clouds: Clouds, shell: str) -> None:
    clouds.fake.careless = {"image"}
    seen = clouds.home.shell(shell, "arbaro env use test-1; arbaro env use prod-1; arbaro env current")
    assert "glance does not refuse to write (it answered 404)." in seen and "test-1 kr-1 one\n" in seen


def test_export_is_private_and_can_be_sourced(clouds: Clouds, tmp_path: Path) -> None:
    target = tmp_path / "rc"
    clouds.run("export", "test-1", str(target))
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    seen = subprocess.run(
        ["bash", "-c", f". {target}; env"], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
    ).stdout
    assert "OS_PASSWORD=right" in seen and f"OS_AUTH_URL={clouds.fake.url}" in seen


def test_add_reads_the_password_from_standard_input(clouds: Clouds) -> None:
    argv = [
        ARBARO,
        "env",
        "add",
        "new",
        "--auth-url",
        clouds.fake.url,
        "--username",
        "me",
        "--project",
        "one",
        "--kind",
        "test",
    ]
    subprocess.run(argv, env=clouds.home.variables, input="right\n", text=True, check=True, capture_output=True)
    assert "u1" in clouds.run("exec", "new", "--", str(CLIENT), "token", "issue", "-f", "json").stdout
    assert "right" not in clouds.home.clouds.read_text().replace("arbaro", "")


def test_an_openrc_that_asks_is_asked_once(clouds: Clouds) -> None:
    rc = clouds.home.path / "test-9-openrc.sh"
    rc.write_text(
        f"export OS_AUTH_URL={clouds.fake.url} OS_USERNAME=me OS_PROJECT_NAME=one OS_USER_DOMAIN_ID=default\n"
        "export OS_PROJECT_DOMAIN_ID=default\necho 'Password: '\nread -sr OS_PASSWORD_INPUT\n"
        "export OS_PASSWORD=$OS_PASSWORD_INPUT\n"
    )
    clouds.run("import", str(rc))
    refused = clouds.run("each", "test-9", "--", str(CLIENT), "token", "issue", code=2)
    assert "test-9 asks for its password" in refused.stderr
    argv = [ARBARO, "env", "exec", "test-9", "--", CLIENT, "token", "issue", "-f", "json"]
    for typed in ("right\n", ""):
        done = subprocess.run(argv, env=clouds.home.variables, input=typed, text=True, capture_output=True)
        assert "u1" in done.stdout, done.stderr
    everything = [path.read_text() for path in clouds.home.path.rglob("*") if path.suffix in (".yaml", ".yaml~")]
    assert "test-9: {auth: {password" not in "".join(everything)


def test_without_a_keyring_it_says_so(clouds: Clouds) -> None:
    argv = [ARBARO, "env", "add", "k", "--auth-url", "u", "--username", "me", "--keyring"]
    done = subprocess.run(argv, env=clouds.home.variables, input="s\n", text=True, capture_output=True)
    assert done.returncode == 2 and "has no keyring" in done.stderr and "Traceback" not in done.stderr
    assert "k:" not in clouds.home.clouds.read_text()


def test_an_unreachable_keystone_is_one_sentence(clouds: Clouds) -> None:
    refused = clouds.run("exec", "dead-1", "--read-only", "--", "true", code=2)
    assert refused.stderr.startswith("Error: Keystone of dead-1 (http://127.0.0.1:1/v3) cannot be reached.")
    assert "Traceback" not in refused.stderr and "right" not in refused.stderr
