# SPDX-License-Identifier: Apache-2.0
"""The steps that wait: until APIs answer, until all services report. They judge by the checks of `status`."""

from collections.abc import Callable
from dataclasses import replace

from arbaro.checks import Finding, judge, wait_until_silent
from arbaro.cluster import evidence
from arbaro.cluster.checks.hosts import HOST_DOWN, HOST_UNREACHABLE, UNIT_DOWN
from arbaro.cluster.checks.openstack import API_SILENT, OPENSTACK_REFUSES, SERVICE_SILENT
from arbaro.cluster.cloud import Cloud
from arbaro.steps import Note, Step


def wait_for_controller(cloud: Cloud) -> Step:
    """Wait until the APIs answer and every unit is ready: a compute that finds no conductor tries again much later."""

    def look() -> list[Finding]:
        return judge([API_SILENT], evidence.of_apis(cloud.spec)) or judge(
            [HOST_UNREACHABLE, UNIT_DOWN], evidence.of_hosts(cloud, [cloud.spec.controller])
        )

    return _wait("Wait for the APIs", cloud, look, 30)


def wait_for_services(cloud: Cloud) -> Step:
    """Wait until nova and neutron hear of everything that must report on all hosts."""

    def look() -> list[Finding]:
        return judge([HOST_DOWN], evidence.of_provider(cloud)) or judge(
            [OPENSTACK_REFUSES, SERVICE_SILENT], evidence.of_reports(cloud)
        )

    return in_cloud(cloud, _wait("Wait for all services and agents", cloud, look, 25))


def in_cloud(cloud: Cloud, step: Step) -> Step:
    """The same step, looked at only if there is a cloud to ask; without one it is needed."""
    return replace(step, needed=lambda: not evidence.is_reachable(cloud) or step.needed())


def _wait(title: str, cloud: Cloud, look: Callable[[], list[Finding]], expected: float) -> Step:
    def apply(note: Note) -> None:
        hint = f"arbaro status {cloud.spec.name}"
        wait_until_silent(look, what=f"{title!r}", timeout=300, note=note, hint=hint)

    return Step(title, lambda: bool(look()), apply, expected)
