# SPDX-License-Identifier: Apache-2.0
"""Each check of environments: silent on healthy evidence, one finding on ill evidence; and where a process is."""

from typing import Any

import pytest

from arbaro.checks import UNKNOWN, Check, judge
from arbaro.envs import health, switch
from arbaro.envs.current import look
from arbaro.envs.environment import Environment
from arbaro.evidence import Evidence, Seen

CLOUDS = "/home/me/.config/openstack/clouds.yaml"
SECURE = "/home/me/.config/openstack/secure.yaml"
ENV, URL = "prod-1", "https://k.example/v3"
FACTS: dict[str, dict[str, Any]] = {
    CLOUDS: {
        "secrets in clouds.yaml": [],
        "secrets of nobody": [],
        "names of one place": [],
        "files in this directory": [],
        "cache of tokens": True,
    },
    SECURE: {"mode": 0o600},
    ENV: {
        "entry": "",
        "CA file": "",
        "keystone": "",
        "login": "",
        "days of the certificate": 300,
        "days of the credential": 300,
    },
}


def but(place: str, **facts: Any) -> Evidence:
    """Evidence of files and one environment where all is well, but for these facts; `_` stands for a blank."""
    changed = {what.replace("_", " "): value for what, value in facts.items()}
    all_facts = {**FACTS, place: FACTS[place] | changed}
    seen = {
        where: {what: value if isinstance(value, Seen) else Seen(value) for what, value in of.items()}
        for where, of in all_facts.items()
    }
    wanted = {where: dict.fromkeys(of) | {"URL": URL} for where, of in all_facts.items()}
    return Evidence(CLOUDS, seen, wanted)


ILL = {
    "file-open": but(SECURE, mode=0o640),
    "secret-in-clouds-yaml": but(CLOUDS, **{"secrets in clouds.yaml": ["a"]}),
    "secret-of-nobody": but(CLOUDS, secrets_of_nobody=["a"]),
    "same-place-twice": but(CLOUDS, names_of_one_place=[["a", "b"]]),
    "entry-wrong": but(ENV, entry="its entry is empty"),
    "file-in-this-directory": but(CLOUDS, files_in_this_directory=["/tmp/clouds.yaml"]),
    "tokens-not-cached": but(CLOUDS, cache_of_tokens=False),
    "ca-file-missing": but(ENV, CA_file="/nowhere"),
    "endpoint-dead": but(ENV, keystone="it does not answer"),
    "certificate-ends-soon": but(ENV, days_of_the_certificate=3),
    "login-refused": but(ENV, login="HTTP 401"),
    "credential-ends-soon": but(ENV, days_of_the_credential=3),
}


def test_a_healthy_one_is_silent() -> None:
    assert judge(health.CHECKS, but(ENV)) == []


@pytest.mark.parametrize("check", health.CHECKS, ids=lambda check: check.id)
def test_each_ill_one_is_named_with_what_to_type(check: Check) -> None:
    (finding,) = judge(health.CHECKS, ILL[check.id])
    assert finding.check == check.id and finding.where and finding.saw and finding.run


def test_no_ill_case_has_lost_its_check() -> None:
    assert set(ILL) == {check.id for check in health.CHECKS}


def test_a_dead_endpoint_is_one_cause_and_the_login_was_not_tried() -> None:
    cause, login = judge(
        health.CHECKS, but(ENV, keystone="it does not answer", login=Seen(error="keystone was not reached"))
    )
    assert (cause.check, cause.consequence_of) == ("endpoint-dead", ())
    assert (login.check, login.severity, login.consequence_of) == ("login-refused", UNKNOWN, (cause.key,))


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
