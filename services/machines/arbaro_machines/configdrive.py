# SPDX-License-Identifier: Apache-2.0
"""Config drives: the files that cloud-init reads at first boot, as an ISO image with the label config-2."""

import base64
import io
import ipaddress
import json
from collections.abc import Mapping
from typing import Any

import pycdlib

META_DATA = "openstack/latest/meta_data.json"
NETWORK_DATA = "openstack/latest/network_data.json"


def wanted_files(
    files: Mapping[str, str], network: list[dict[str, Any]], machine_id: str, name: str
) -> dict[str, bytes]:
    """The files as bytes; what cloud-init cannot do without is added where it is missing."""
    wanted = {path: base64.b64decode(content) for path, content in files.items()}
    if META_DATA not in wanted:
        wanted[META_DATA] = json.dumps({"uuid": machine_id, "name": name, "hostname": name}).encode()
    if network and NETWORK_DATA not in wanted:
        wanted[NETWORK_DATA] = json.dumps(network_data(network)).encode()
    return wanted


def network_data(network: list[dict[str, Any]]) -> dict[str, Any]:
    """nova's form of what each interface is connected to."""
    return {
        "links": [_link(number, port) for number, port in enumerate(network)],
        "networks": [_network(number, port) for number, port in enumerate(network)],
        "services": [{"type": "dns", "address": one} for port in network for one in port.get("dns", [])],
    }


def _link(number: int, port: dict[str, Any]) -> dict[str, Any]:
    link = {"id": f"link{number}", "type": "phy", "ethernet_mac_address": port["mac"]}
    return link | {"mtu": port["mtu"]} if "mtu" in port else link


def _network(number: int, port: dict[str, Any]) -> dict[str, Any]:
    entry = {"id": f"network{number}", "link": f"link{number}", "network_id": port.get("port_id", f"network{number}")}
    if "address" not in port:
        return entry | {"type": "ipv4_dhcp"}
    own = ipaddress.ip_interface(port["address"])
    entry |= {"type": f"ipv{own.version}", "ip_address": str(own.ip), "netmask": str(own.netmask), "routes": []}
    if "gateway" in port:
        nowhere = ipaddress.ip_network("0.0.0.0/0" if own.version == 4 else "::/0")
        route = {"network": str(nowhere.network_address), "netmask": str(nowhere.netmask), "gateway": port["gateway"]}
        entry["routes"] = [route]
    return entry


def make_iso(files: Mapping[str, bytes]) -> bytes:
    """Make the image. Rock Ridge and Joliet keep the names as they are."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="config-2")
    made: dict[str, str] = {"": ""}
    for path, content in sorted(files.items()):
        *parents, name = path.split("/")
        directory = ""
        for parent in parents:
            above, directory = directory, f"{directory}/{parent}"
            if directory not in made:
                made[directory] = f"{made[above]}/D{len(made)}"
                iso.add_directory(made[directory], rr_name=parent, joliet_path=directory)
        iso_path = f"{made[directory]}/F{len(made)}.;1"
        made[f"/{path}"] = iso_path
        iso.add_fp(io.BytesIO(content), len(content), iso_path, rr_name=name, joliet_path=f"/{path}")
    out = io.BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()
