# SPDX-License-Identifier: Apache-2.0
"""Each check of environments: silent on healthy evidence, one finding on ill evidence; and where a process is."""

from dataclasses import replace

import pytest

from arbaro.envs import health, switch
from arbaro.envs.current import look
from arbaro.envs.environment import Environment
from arbaro.envs.evidence import Evidence, Seen

CLOUDS = "/home/me/.config/openstack/clouds.yaml"
SECURE = "/home/me/.config/openstack/secure.yaml"
SEEN = Seen("prod-1", "https://k.example/v3", certificate_days=300, credential_days=300)
HEALTHY = Evidence(CLOUDS, modes={CLOUDS: 0o644, SECURE: 0o600}, environments=(SEEN,))
ILL = {
    "file_is_open": replace(HEALTHY, modes={SECURE: 0o640}),
    "secret_in_clouds_yaml": replace(HEALTHY, open_secrets=("a",), modes={CLOUDS: 0o600}),
    "secret_of_nobody": replace(HEALTHY, orphans=("a",)),
    "same_place_twice": replace(HEALTHY, twins=(("a", "b"),)),
    "entry_is_wrong": replace(HEALTHY, environments=(replace(SEEN, fault="its entry is empty"),)),
    "file_in_this_directory": replace(HEALTHY, strays=("/tmp/clouds.yaml",)),
    "tokens_are_not_cached": replace(HEALTHY, caches_tokens=False),
    "ca_file_is_missing": replace(HEALTHY, environments=(replace(SEEN, no_cacert="/nowhere"),)),
    "endpoint_is_dead": replace(HEALTHY, environments=(replace(SEEN, door="it does not answer"),)),
    "certificate_ends_soon": replace(HEALTHY, environments=(replace(SEEN, certificate_days=3),)),
    "login_is_refused": replace(HEALTHY, environments=(replace(SEEN, login="HTTP 401"),)),
    "credential_ends_soon": replace(HEALTHY, environments=(replace(SEEN, credential_days=3),)),
}


def test_a_healthy_one_is_silent() -> None:
    assert health.findings(HEALTHY) == []


@pytest.mark.parametrize("check", health.CHECKS, ids=lambda check: check.__name__)
def test_each_ill_one_is_named_with_what_to_type(check: object) -> None:
    (finding,) = health.findings(ILL[check.__name__])  # type: ignore[attr-defined]
    assert finding.where and finding.saw and finding.run


def test_where_a_process_is_and_what_was_changed_by_hand() -> None:
    environment = Environment("test-1", "test", "test-1", "", "kr-1", "p", "me", "u", "file")
    chosen = switch.variables(switch.plain(environment))
    assert look(chosen)["wrong"] == "" and look(chosen)["region"] == "kr-1"
    assert "OS_TOKEN is set by hand" in look({**chosen, "OS_TOKEN": "x"})["wrong"]
    assert "changed by hand" in look({**chosen, "OS_CLOUD": "other"})["wrong"]
    assert look({"OS_CLOUD": "x"})["wrong"] == "OS_CLOUD is set by hand." and look({})["wrong"] == ""


def test_nothing_of_another_cloud_goes_along() -> None:
    environment = Environment("a", "test", "a", "", "", "p", "me", "u", "file")
    before = {"PATH": "x", "OS_PASSWORD": "s", "ARBARO_ENV": "b", "ARBARO_ENV_DEPTH": "1", "OS_REGION_NAME": "r"}
    after = switch.process_environment(switch.plain(environment), before)
    assert {"PATH", "ARBARO_ENV_DEPTH"} <= set(after) and not {"OS_PASSWORD", "OS_REGION_NAME"} & set(after)
    assert after["ARBARO_ENV"] == after["OS_CLOUD"] == "a"
