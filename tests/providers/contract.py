# SPDX-License-Identifier: Apache-2.0
"""The contract of providers: one suite that each of them runs, with hosts of its own.

A class derived from Contract has a fixture `lab`, which says what to try it with. Nothing of the clouds may be there before.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Network

import pytest

from arbaro.cluster.providers import Files, Provider
from arbaro.cluster.spec import CloudSpec
from arbaro.errors import ArbaroError
from arbaro.hosts import Host
from arbaro.steps import Step

FILES: Files = {
    "/etc/hosts": (0o644, b"127.0.0.1 localhost\n"),
    "/etc/arbaro-contract/secret": (0o600, b"a secret\n"),
}


@dataclass(frozen=True)
class Lab:
    """A provider to try: a cloud that it may make, an image for its hosts, and how a file of a host is read."""

    provider: Provider
    spec: CloudSpec
    image: str
    #: (host's name, path) → (mode, content)
    read: Callable[[str, str], tuple[int, bytes]]


def needed(plan: Iterable[Step | Iterable[Step]]) -> list[str]:
    """The titles of the steps that there is something to do for."""
    steps = (step for part in plan for step in ([part] if isinstance(part, Step) else part))
    return [str(step) for step in steps if step.needed()]


def carry_out(plan: Iterable[Step | Iterable[Step]]) -> None:
    """Do what is to do, in order."""
    for part in plan:
        for step in [part] if isinstance(part, Step) else part:
            if step.needed():
                step.apply(lambda _: None)
                assert not step.needed(), f"{step} did not take"


class Contract:
    """What every provider must do."""

    def states(self, lab: Lab) -> dict[str, str]:
        return {state.name: state.state for state in lab.provider.list_hosts(lab.spec.name)}

    def make(self, lab: Lab, host: Host) -> None:
        lab.provider.create_host(lab.spec, host, lab.image, FILES)

    def test_of_a_cloud_that_there_is_not_nothing_is_found(self, lab: Lab) -> None:
        provider, name = lab.provider, lab.spec.name
        assert provider.find_cloud(name) is None
        assert provider.list_hosts(name) == []
        assert not provider.has_parts(name)
        # It may be taken away all the same: a run was killed before it had made anything.
        provider.delete_cloud(name)

    def test_its_ground_carries_the_spec_and_is_laid_once(self, lab: Lab) -> None:
        provider, spec = lab.provider, lab.spec
        free = provider.taken_networks()
        assert not [network for network in free if network.overlaps(spec.underlay) or network.overlaps(spec.provider)]
        assert needed(provider.ground(spec))
        carry_out(provider.ground(spec))
        assert provider.find_cloud(spec.name) == spec
        assert spec in provider.list_clouds()
        assert provider.has_parts(spec.name)
        assert any(network.overlaps(spec.underlay) for network in provider.taken_networks())
        assert needed(provider.ground(spec)) == []

    def test_a_host_is_created_then_runs_and_is_stopped_and_started(self, lab: Lab) -> None:
        provider, host = lab.provider, lab.spec.controller
        carry_out(provider.ground(lab.spec))
        self.make(lab, host)
        assert self.states(lab) == {host.name: "created"}
        assert [state.image for state in provider.list_hosts(lab.spec.name)] == [lab.image]
        # A run that was killed before the files were on the disk does it again.
        self.make(lab, host)
        assert self.states(lab) == {host.name: "created"}
        for act, state in (
            (provider.start_host, "running"),
            (provider.stop_host, "exited"),
            (provider.start_host, "running"),
        ):
            act(lab.spec.name, host.name)
            assert self.states(lab) == {host.name: state}

    def test_files_are_there_before_the_first_start_and_stay(self, lab: Lab) -> None:
        host = lab.spec.controller
        carry_out(lab.provider.ground(lab.spec))
        self.make(lab, host)
        lab.provider.start_host(lab.spec.name, host.name)
        for path, wanted in FILES.items():
            assert lab.read(host.name, path) == wanted

    def test_a_host_beyond_the_number_of_computes_counts(self, lab: Lab) -> None:
        carry_out(lab.provider.ground(lab.spec))
        larger = replace(lab.spec, computes=lab.spec.computes + 1)
        self.make(replace(lab, spec=larger), larger.compute(larger.computes))
        assert lab.provider.find_cloud(lab.spec.name) == larger

    def test_hosts_are_joined_once_and_again_after_one_was_started_anew(self, lab: Lab) -> None:
        provider, spec = lab.provider, lab.spec
        carry_out(provider.ground(spec))
        for host in spec.hosts:
            self.make(lab, host)
            provider.start_host(spec.name, host.name)
        carry_out(provider.junction(spec))
        assert needed(provider.junction(spec)) == []
        provider.stop_host(spec.name, spec.hosts[-1].name)
        provider.start_host(spec.name, spec.hosts[-1].name)
        carry_out(provider.junction(spec))
        assert needed(provider.junction(spec)) == []

    def test_a_cloud_is_taken_away_whole_and_its_neighbour_stays(self, lab: Lab) -> None:
        provider, spec = lab.provider, lab.spec
        before = provider.taken_networks()
        neighbour = replace(
            spec,
            name=f"{spec.name}-2",
            underlay=IPv4Network((spec.underlay.network_address + 1024, 24)),
            provider=IPv4Network((spec.provider.network_address + 1024, 24)),
        )
        for one in (spec, neighbour):
            carry_out(provider.ground(one))
            provider.create_host(one, one.controller, lab.image, FILES)
        provider.start_host(spec.name, spec.controller.name)
        provider.delete_cloud(spec.name)
        assert not provider.has_parts(spec.name)
        assert provider.find_cloud(spec.name) is None
        assert provider.find_cloud(neighbour.name) == neighbour
        assert [state.name for state in provider.list_hosts(neighbour.name)] == [neighbour.controller.name]
        provider.delete_cloud(neighbour.name)
        provider.delete_cloud(neighbour.name)
        assert provider.taken_networks() == before

    def test_its_preparation_is_done_once_and_images_are_published_once(self, lab: Lab) -> None:
        carry_out(lab.provider.preparation())
        assert needed(lab.provider.preparation()) == []
        carry_out(lab.provider.publication([lab.image]))
        assert needed(lab.provider.publication([lab.image])) == []
        assert lab.provider.has_image(lab.image)
        assert not lab.provider.has_image("localhost/arbaro/nosuch:0")

    def test_what_it_cannot_hold_is_refused_with_numbers(self, lab: Lab) -> None:
        lab.provider.check_capacity(lab.spec, [])
        with pytest.raises(ArbaroError, match=r"\d") as caught:
            lab.provider.check_capacity(lab.spec, lab.spec.hosts * 10000)
        assert caught.value.hint

    def test_it_says_what_its_hosts_are(self, lab: Lab) -> None:
        kind = lab.provider.host_kind()
        assert kind.cores >= 1
        assert kind.virt_type in ("kvm", "qemu")
        assert kind.virt_reason
