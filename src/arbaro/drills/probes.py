# SPDX-License-Identifier: Apache-2.0
"""What a user tries to see whether it works again: each probe is a round trip on the real cloud.

A probe returns what the user sees, or nothing when it works.
"""

import contextlib
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from arbaro import shell
from arbaro.cluster.evidence import api_state, wanted_apis
from arbaro.cluster.ground import FLAVOR, KEYPAIR
from arbaro.cluster.guest_console import host_keys
from arbaro.cluster.identity import write_private
from arbaro.drills.catalogue import Symptom
from arbaro.errors import ArbaroError, CommandError
from arbaro.openstack import cloud_errors
from arbaro.reach import Reach
from arbaro.runs import current_run

if TYPE_CHECKING:
    from arbaro.cluster.cloud import Cloud

Values = Mapping[str, str]
Probe = Callable[["Cloud", Values], str]
#: What a probe calls the server that it makes and deletes again.
NEW_SERVER = "drill-check"
#: Seconds for a new server; nova gives a port 120.
BUILD = 170
#: So many connections at once show each of two ways: the fabric chooses by the ports.
CONNECTIONS = 32


def look(cloud: "Cloud", symptom: Symptom, values: Values) -> str:
    """Try what the user tries; returns what they see, or nothing when it works."""
    try:
        with cloud_errors(f"arbaro status {cloud.spec.name}"):
            return PROBES[symptom](cloud, values)
    except ArbaroError as error:
        return str(error)


def ping(cloud: "Cloud", values: Values) -> str:
    """The server answers this machine."""
    return _ping(values["A"], "-c", "3")


def steady_ping(cloud: "Cloud", values: Values) -> str:
    """The server answers for ten seconds on end."""
    return _ping(values["A"], "-c", "50", "-i", "0.2")


def big_ping(cloud: "Cloud", values: Values) -> str:
    """The server answers packets that fill a frame."""
    return _ping(values["A"], "-c", "3", "-s", "1410", "-M", "do")


def ssh(cloud: "Cloud", values: Values) -> str:
    """The server's SSH says who it is."""
    return "" if _greets(values["A"]) else f"{values['VM']} ({values['A']}) does not answer on port 22"


def many_connections(cloud: "Cloud", values: Values) -> str:
    """Connections from many ports all get through."""
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        greeted = list(threads.map(_greets, [values["A"]] * CONNECTIONS))
    lost = greeted.count(False)
    return f"{lost} of {CONNECTIONS} connections to {values['VM']} hang" if lost else ""


def outward(cloud: "Cloud", values: Values) -> str:
    """The server reaches the address of the cloud's APIs."""
    return _in_guest(cloud, values, f"ping -c 3 -W 2 {cloud.spec.guest_router}")


def dhcp(cloud: "Cloud", values: Values) -> str:
    """The server is offered its address when it asks; what it has stays as it is."""
    return _in_guest(cloud, values, "udhcpc -n -q -f -i eth0 -t 4 -T 2 -s /bin/true")


def metadata(cloud: "Cloud", values: Values) -> str:
    """The server gets its metadata."""
    return _in_guest(cloud, values, "wget -T 10 -q -O - http://169.254.169.254/openstack/latest/meta_data.json")


def new_server(cloud: "Cloud", values: Values) -> str:
    """A new server comes up on the host in question."""
    return _build(cloud, values, availability_zone=f"nova:{values['COMPUTE']}")


def any_server(cloud: "Cloud", values: Values) -> str:
    """A new server comes up, wherever nova puts it."""
    return _build(cloud, values)


def server_in_aggregate(cloud: "Cloud", values: Values) -> str:
    """A new server comes up in the aggregate that it asks for."""
    name = f"fast{values['SEED']}"
    found = next((one for one in cloud.ground.connection.compute.aggregates() if one.name == name), None)
    if found is None:
        return "the aggregate is not there any more"
    return _build(cloud, values, scheduler_hints={"aggregate_id": str(found.id)})


def server_idle(cloud: "Cloud", values: Values) -> str:
    """Nova takes orders for the server: no task of an earlier one goes on."""
    task = cloud.ground.connection.compute.get_server(values["UUID"]).task_state
    return f"{values['VM']} is still {task}" if task else ""


def script_ran(cloud: "Cloud", values: Values) -> str:
    """The newest server called batch1 has run its script."""
    compute = cloud.ground.connection.compute
    for server in compute.servers(name="^batch1$"):
        if "user script done" in str(compute.get_server_console_output(server)["output"]):
            return ""
    return "no server batch1 has run its script"


def apis(cloud: "Cloud", values: Values) -> str:
    """A login works, and each API gives a list."""
    silent = [name for name, port in wanted_apis().items() if api_state(cloud.spec, port) != "up"]
    if silent:
        return f"no answer from {', '.join(silent)}"
    connection = cloud.ground.connection
    # A token that was drawn before proves nothing.
    connection.session.invalidate()
    for listing in (connection.compute.servers, connection.network.networks, connection.image.images):
        next(iter(listing()), None)
    return ""


def image_download(cloud: "Cloud", values: Values) -> str:
    """The image can be downloaded."""
    # The person may have uploaded it anew. The SDK's own download takes an error's text for the image.
    answer = cloud.ground.connection.image.get(f"/images/{cloud.ground.image_id()}/file")
    return "" if answer.status_code == 200 else f"the image's download ends with HTTP {answer.status_code}"


PROBES: Mapping[Symptom, Probe] = {
    "ping": ping,
    "steady-ping": steady_ping,
    "big-ping": big_ping,
    "ssh": ssh,
    "many-connections": many_connections,
    "outward": outward,
    "dhcp": dhcp,
    "metadata": metadata,
    "new-server": new_server,
    "any-server": any_server,
    "server-in-aggregate": server_in_aggregate,
    "server-idle": server_idle,
    "script-ran": script_ran,
    "apis": apis,
    "image-download": image_download,
}


def _ping(address: str, *options: str) -> str:
    try:
        printed = shell.run(["ping", "-n", "-q", "-W", "2", *options, address])
    except CommandError as error:
        return f"ping {address}: {' '.join(_losses(error.output)) or error.what}"
    return "" if " 0% packet loss" in printed else f"ping {address}: {' '.join(_losses(printed))}"


def _losses(printed: str) -> list[str]:
    return re.findall(r"[0-9.]+% packet loss", printed)


def _greets(address: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, 22), timeout=5) as connection:
        connection.settimeout(5)
        return connection.recv(64).startswith(b"SSH-")
    return False


def _in_guest(cloud: "Cloud", values: Values, command: str) -> str:
    """Run a command in the server, whose host keys its console tells; returns why it failed."""
    compute, keeper = cloud.ground.connection.compute, cloud.keeper
    known = keeper.directory / "known_drill"
    keys = host_keys(str(compute.get_server_console_output(values["UUID"])["output"]))
    write_private(known, "".join(f"{values['A']} {key}\n" for key in keys))
    reach = Reach(values["VM"], values["A"], "root", key=keeper.key, known_hosts=known, shared=False)
    try:
        reach.run(["sh", "-c", command])
    except CommandError as error:
        return f"in {values['VM']}, `{command.split()[0]}` fails: {(error.why.splitlines() or [error.what])[-1]}"
    finally:
        known.unlink(missing_ok=True)
    return ""


def _build(cloud: "Cloud", values: Values, **wishes: Any) -> str:
    """Make a server, wait until nova calls it ACTIVE, and delete it; returns why it did not come up."""
    with _server(cloud, values, **wishes) as (compute, server):
        deadline = time.monotonic() + BUILD
        while time.monotonic() < deadline:
            found = compute.get_server(server.id)
            if found.status == "ACTIVE":
                return ""
            if found.status == "ERROR":
                return f"a new server ends in ERROR: {(found.fault or {}).get('message', 'nova gives no reason')}"
            current_run().sleep(2)
        return f"a new server is {found.status} ({found.task_state}) after {BUILD} s"


@contextlib.contextmanager
def _server(cloud: "Cloud", values: Values, **wishes: Any) -> Iterator[tuple[Any, Any]]:
    """A server that goes away again, whatever becomes of it."""
    compute = cloud.ground.connection.compute
    server = compute.create_server(
        name=NEW_SERVER,
        image_id=values["IMAGE"],
        flavor_id=compute.find_flavor(FLAVOR).id,
        networks=[{"uuid": values["NET"]}],
        key_name=KEYPAIR,
        security_groups=[{"name": values["GROUP"]}],
        **wishes,
    )
    try:
        yield compute, server
    finally:
        compute.delete_server(server.id, ignore_missing=True)
        compute.wait_for_delete(server, wait=60)
