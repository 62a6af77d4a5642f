# SPDX-License-Identifier: Apache-2.0
"""What the first server stands on: guest image, flavor, network, keypair, security group."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arbaro.cluster import this_machine
from arbaro.cluster.access import REGION, auth_url
from arbaro.cluster.guests import Guest
from arbaro.cluster.identity import Keeper
from arbaro.cluster.spec import CloudSpec
from arbaro.openstack import connect
from arbaro.steps import Note

if TYPE_CHECKING:
    from openstack.connection import Connection
    from openstack.image.v2.image import Image

NETWORK = "provider"
SECURITY_GROUP = "ping-and-ssh"
KEYPAIR = "arbaro"
FLAVOR = "tiny"

#: A service that cannot answer yet is asked again so often: for a minute.
PATIENCE = 7


@dataclass(frozen=True)
class Ground:
    """What a cloud's first server stands on, made and looked at as admin."""

    spec: CloudSpec
    keeper: Keeper
    guest: Guest

    @property
    def connection(self) -> "Connection":
        """This thread's connection as admin."""
        password = self.keeper.identity()["keystone_admin_password"]
        return connect(auth_url(self.spec), password, region=REGION, patience=PATIENCE)

    def image_is_missing(self) -> bool:
        """Say whether Glance lacks the guest image as it is built now."""
        found = self._images(self.guest.name)
        return not any(
            image.status == "active" and image.properties.get("arbaro_build") == self.guest.directory.name
            for image in found
        )

    def upload_image(self, note: Note) -> None:
        """Upload kernel and ramdisk, and the empty disk that names them; what an older build left goes first."""
        image = self.connection.image
        built = json.loads((self.guest.directory / "metadata.json").read_text())
        for suffix in ("", "-ramdisk", "-kernel"):
            for old in self._images(self.guest.name + suffix):
                image.delete_image(old)
        parts = {}
        for kind, file, container_format in (("kernel", "vmlinuz", "aki"), ("ramdisk", "initrd", "ari")):
            note(kind)
            parts[f"{kind}_id"] = self._upload_part(kind, file, container_format)
        image.create_image(
            self.guest.name,
            data=bytes(2**20),
            container_format="bare",
            disk_format="raw",
            visibility="public",
            min_ram=built["min_ram_mb"],
            os_command_line=built["command_line"],
            hw_rng_model="virtio",
            hw_machine_type="pc",
            arbaro_build=self.guest.directory.name,
            validate_checksum=False,
            **parts,
        )

    def _images(self, name: str) -> "list[Image]":
        """The admin's own images of this name; other projects may call theirs the same."""
        return list(self.connection.image.images(name=name, owner=self.connection.current_project_id))

    def own(self, listing: Callable[..., Iterable[Any]], name: str) -> Any:
        """The admin's own one of this name, or None. An admin's list has those of other projects too."""
        return next(iter(listing(name=name, project_id=self.connection.current_project_id)), None)

    def image_id(self) -> str:
        """The guest image's id; by name the client might find another project's."""
        return str(next(image.id for image in self._images(self.guest.name) if image.status == "active"))

    def network_id(self) -> str:
        """The servers' network's id."""
        return str(self.own(self.connection.network.networks, NETWORK).id)

    def security_group_id(self) -> str:
        """The security group's id."""
        return str(self.own(self.connection.network.security_groups, SECURITY_GROUP).id)

    def is_incomplete(self) -> bool:
        """Say whether flavor, network, keypair or security group is missing."""
        c = self.connection
        return not (
            c.compute.find_flavor(FLAVOR)
            and self.own(c.network.subnets, NETWORK)
            and c.compute.find_keypair(KEYPAIR)
            and (group := self.own(c.network.security_groups, SECURITY_GROUP))
            and len(group.security_group_rules) >= 4
        )

    def prepare(self, note: Note) -> None:
        """Make a flavor, the provider network, the operator's keypair and a security group for ping and SSH."""
        compute = self.connection.compute
        note("flavor, keypair")
        if not compute.find_flavor(FLAVOR):
            compute.create_flavor(name=FLAVOR, vcpus=1, ram=128, disk=1)
        if not compute.find_keypair(KEYPAIR):
            compute.create_keypair(name=KEYPAIR, public_key=self.keeper.authorized_key())
        note("network")
        self._make_network()
        note("security group")
        self._make_security_group()

    def _upload_part(self, kind: str, file: str, container_format: str) -> Any:
        part = self.connection.image.create_image(
            f"{self.guest.name}-{kind}",
            filename=str(self.guest.directory / file),
            container_format=container_format,
            disk_format=container_format,
            visibility="public",
            validate_checksum=False,
        )
        return part.id

    def _make_network(self) -> None:
        neutron, pool = self.connection.network, self.spec.provider
        network = self.own(neutron.networks, NETWORK) or neutron.create_network(
            name=NETWORK,
            is_shared=True,
            **self.spec.driver.network,
        )
        if not self.own(neutron.subnets, NETWORK):
            neutron.create_subnet(
                name=NETWORK,
                network_id=network.id,
                ip_version=4,
                cidr=str(pool),
                gateway_ip=str(pool[1]),
                allocation_pools=[{"start": str(pool[32]), "end": str(pool[-2])}],
                dns_nameservers=this_machine.nameservers(),
                **self._subnet_pool(),
            )

    def _subnet_pool(self) -> dict[str, Any]:
        """Where the driver wants all networks' addresses out of one pool: that pool, made if it is missing."""
        name, neutron = self.spec.driver.subnet_pool, self.connection.network
        if name is None:
            return {}
        pool = self.own(neutron.subnet_pools, name) or neutron.create_subnet_pool(
            name=name, is_shared=True, prefixes=[str(self.spec.provider)], default_prefix_length=24
        )
        return {"subnet_pool_id": pool.id}

    def _make_security_group(self) -> None:
        neutron = self.connection.network
        found = self.own(neutron.security_groups, SECURITY_GROUP)
        group = found or neutron.create_security_group(name=SECURITY_GROUP)
        allowed = {(rule.get("protocol"), rule.get("port_range_min")) for rule in group.security_group_rules}
        for protocol, port in (("icmp", None), ("tcp", 22)):
            if (protocol, port) not in allowed:
                neutron.create_security_group_rule(
                    security_group_id=group.id,
                    direction="ingress",
                    protocol=protocol,
                    port_range_min=port,
                    port_range_max=port,
                )
