# SPDX-License-Identifier: Apache-2.0
"""The steps that wait: until APIs answer, until all services report."""

from collections.abc import Callable
from dataclasses import replace

from arbaro.checks import Finding, wait_until_silent
from arbaro.cluster import status
from arbaro.cluster.cloud import Cloud
from arbaro.errors import ArbaroError
from arbaro.steps import Note, Step


def wait_for_controller(cloud: Cloud) -> Step:
    """Wait until the APIs answer and every unit is ready: a compute that finds no conductor tries again much later."""
    spec = cloud.spec

    def look() -> list[Finding]:
        apis = {name: status.api_state(spec, port) for name, port in status.wanted_apis().items()}
        if found := list(status.api_does_not_answer(status.Evidence(spec.name, (), (), apis=apis))):
            return found
        units = status.units_of(spec, cloud.keeper, spec.controller)
        return list(status.unit_is_down(status.Evidence(spec.name, (), (), units=units)))

    return _wait("Wait for the APIs", cloud, look, 30)


def wait_for_services(cloud: Cloud) -> Step:
    """Wait until nova and neutron hear of everything that must report on all hosts."""
    spec = cloud.spec

    def look() -> list[Finding]:
        hosts = status.Evidence(spec.name, cloud.provider.list_hosts(spec.name), [host.name for host in spec.hosts])
        if found := list(status.host_is_down(hosts)):
            return found
        try:
            reports = status.heartbeats(spec, cloud.keeper)
        except ArbaroError as error:
            return [Finding("OpenStack", error.why or error.what)]
        evidence = status.Evidence(spec.name, (), (), services=reports, wanted_services=status.wanted_services(spec))
        return list(status.service_does_not_report(evidence))

    return in_cloud(cloud, _wait("Wait for all services and agents", cloud, look, 25))


def in_cloud(cloud: Cloud, step: Step) -> Step:
    """The same step, looked at only if there is a cloud to ask; without one it is needed."""
    return replace(step, needed=lambda: not status.is_reachable(cloud.spec, cloud.keeper) or step.needed())


def _wait(title: str, cloud: Cloud, look: Callable[[], list[Finding]], expected: float) -> Step:
    def apply(note: Note) -> None:
        hint = f"arbaro status {cloud.spec.name}"
        wait_until_silent(look, what=f"{title!r}", timeout=300, note=note, hint=hint)

    return Step(title, lambda: bool(look()), apply, expected)
