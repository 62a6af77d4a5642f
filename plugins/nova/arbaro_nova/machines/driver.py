# SPDX-License-Identifier: Apache-2.0
"""`compute_driver = arbaro_machines.MachineDriver`: nova's questions and orders, in the machines API's words.

A machine is a node, named by its id; one resource provider with one unit of its class. Several nova-computes share the
machines: each serves those that the ring gives it, and those that its own servers are on.
"""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

import nova.conf
from nova import context as nova_context
from nova import exception, objects
from nova.compute import power_state, task_states
from nova.console import type as console_type
from nova.virt import driver, hardware
from oslo_log import log as logging

from arbaro_nova.machines import deployment, options, ports, resources, spread
from arbaro_nova.machines.client import MachinesClient
from arbaro_nova.machines.deployment import FirstBoot
from arbaro_nova.machines.errors import ApiError
from arbaro_nova.machines.inventory import Inventory
from arbaro_nova.machines.machine import Machine
from arbaro_nova.machines.takeover import POWER
from arbaro_nova.machines.view import View
from arbaro_nova.machines.waiting import wait_for_task

LOG = logging.getLogger(__name__)
CONF = nova.conf.CONF
options.register(CONF)
#: Seconds within which the last look answers even a question that wants no old answer: a start asks for each server.
FRESH = 10


class MachineDriver(driver.ComputeDriver):
    """Physical machines as nova's hypervisors, one server each."""

    capabilities = {  # noqa: RUF012 - nova's own form
        **driver.ComputeDriver.capabilities,
        "has_imagecache": False,
        "supports_image_type_raw": True,
        "supports_image_type_qcow2": True,
    }
    #: Nodes move between nova-computes; nova's resource tracker moves their records with them.
    rebalances_nodes = True

    def __init__(self, virtapi, client: MachinesClient | None = None):
        """Remember nothing: all there is to know is in the API and in nova's database."""
        super().__init__(virtapi)
        self._settings = CONF[options.SECTION]
        self._host = CONF.host
        self._client = client
        self._view: View | None = None

    @property
    def client(self) -> MachinesClient:
        """The API; opened late, since keystone may start after us."""
        if self._client is None:
            self._client = MachinesClient(options.adapter(CONF))
        return self._client

    @property
    def view(self) -> View:
        """What we know."""
        if self._view is None:
            self._view = View(self.client, self._settings, self._host)
        return self._view

    @property
    def inventory(self) -> Inventory:
        """All machines as last seen."""
        return self.view.inventory

    # What there is.

    def init_host(self, host):
        """Nothing needs to be prepared; what was going on is taken up by the periodic look."""
        self._host = host

    def get_available_nodes(self, refresh=False):
        """Look at all machines, and at what was left undone; return the ids of those that this nova-compute serves."""
        with reported_as_not_ready():
            self.view.look()
        return [machine.id for machine in self.view.served()]

    def node_is_available(self, nodename):
        """Whether a node is a machine at all; whose it is does not matter here."""
        with contextlib.suppress(ApiError):
            return bool(self.inventory.get(nodename))
        return False

    def get_available_resource(self, nodename):
        """Describe a node."""
        return resources.described(self._machine(nodename))

    def update_provider_tree(self, provider_tree, nodename, allocations=None):
        """Say what placement may give out of a node."""
        machine = self._machine(nodename)
        if not machine.resource_class:
            raise exception.NoResourceClass(node=nodename)
        provider_tree.update_inventory(nodename, resources.inventory_of(machine))

    def _machine(self, nodename) -> Machine:
        with reported_as_not_ready():
            if not self.inventory:
                self.inventory.refresh()
            return self.inventory.get(nodename)

    def list_instance_uuids(self):
        """List the servers that we answer for. A deleted one among them is nova's to clean up, whoever was its host."""
        with reported_as_not_ready():
            self.inventory.refresh()
        return self.view.servers_to_answer_for()

    def list_instances(self):
        """List the same by name."""
        uuids = {"uuid": self.list_instance_uuids()}
        return [i.name for i in objects.InstanceList.get_by_filters(nova_context.get_admin_context(), uuids)]

    def get_num_instances(self):
        """Count our own servers that have a machine."""
        return len(self.view.own_servers())

    def instance_exists(self, instance):
        """Whether a server has a machine."""
        return bool(self.client.held_for(instance.uuid))

    def get_info(self, instance, use_cache=True):
        """Say whether a server's machine is on."""
        if not self.inventory:
            # Nova starts, and the API is silent: "unknown" for each of its servers, not a minute's wait.
            return hardware.InstanceInfo(state=power_state.NOSTATE)
        fresh = use_cache or self.inventory.age() < FRESH
        machine = self.inventory.held_for(instance.uuid) if fresh else None
        with reported_as_not_ready():
            machine = machine or self._held(instance)
        return hardware.InstanceInfo(state=POWER.get(machine.power, power_state.NOSTATE))

    def get_host_ip_addr(self):
        """Return this nova-compute's address; no server is on it."""
        return CONF.my_ip

    # Build and take down.

    def spawn(self, context, instance, image_meta, injected_files, admin_password, allocations, network_info=None, **_):
        """Take the machine that the scheduler chose, and deploy it."""
        machine = None
        with self._working_on(instance):
            deployment.show_config_drive(instance)
            try:
                machine = self.client.reserve(instance.node, instance.project_id, instance.uuid, context.request_id)
                self.inventory.remember(machine)
                spread.check(context, self.client, instance, machine)
                self._deploy(context, instance, machine, FirstBoot(injected_files, admin_password, network_info))
            except ApiError as error:
                raise deployment.build_error(self.client, instance, machine, error) from error

    def rebuild(self, context, instance, image_meta, injected_files, admin_password, allocations, bdms, *_, **more):
        """Deploy the same machine again: nobody else can get it in between."""
        with self._working_on(instance), reported_as(exception.InstanceDeployFailure):
            instance.task_state = task_states.REBUILD_SPAWNING
            instance.save(expected_task_state=[task_states.REBUILDING])
            first_boot = FirstBoot(injected_files, admin_password, more.get("network_info"))
            self._deploy(context, instance, self._held(instance), first_boot)

    def _deploy(self, context, instance, machine, first_boot):
        machine = deployment.begin(self.client, context, instance, machine, first_boot)
        timeout = self._settings.deploy_timeout
        self._wait(machine, "deployment", "active", timeout, lambda: deployment.stop_if_deleted(instance))

    def destroy(self, context, instance, network_info, *_, **__):
        """Give the machine back. It is wiped without us; the server is gone as soon as the API has taken it."""
        with reported_as(exception.InstanceTerminationFailure):
            for machine in self.client.held_for(instance.uuid):
                self.inventory.remember(self.client.release(machine.id, instance.uuid, context.request_id))
        ports.unplug(context, network_info)

    def cleanup(self, context, instance, network_info, *_, **__):
        """Nothing is left here when the machine is given back."""

    # Switch and rescue.

    def reboot(self, context, instance, network_info, reboot_type, *_, **__):
        """Start the machine anew, gently if asked so."""
        with reported_as(exception.InstanceRebootFailure):
            self._switch(instance, "soft-reboot" if reboot_type == "SOFT" else "reboot")

    def power_on(self, context, instance, network_info, *_, **__):
        """Switch the machine on."""
        with reported_as(exception.InstancePowerOnFailure):
            self._switch(instance, "on")

    def power_off(self, instance, timeout=0, retry_interval=0):
        """Switch the machine off; with a timeout the operating system may end by itself first."""
        with reported_as(exception.InstancePowerOffFailure):
            if timeout:
                with contextlib.suppress(ApiError):
                    if self._switch(instance, "soft-off").power == "off":
                        return
            self._switch(instance, "off")

    def _switch(self, instance, target) -> Machine:
        machine = self.client.power(self._held(instance).id, target)
        return self._wait(machine, f"power {target}", None, self._settings.power_timeout)

    def rescue(self, context, instance, network_info, image_meta, rescue_password, *_, **__):
        """Start the rescue system; the server's key and the password that nova tells open it."""
        with reported_as(exception.InstanceDeployFailure):
            keys = [instance.key_data] if instance.key_data else []
            machine = self.client.rescue(self._held(instance).id, instance.uuid, keys, rescue_password)
            self._wait(machine, "rescue", "rescued", self._settings.rescue_timeout)

    def unrescue(self, *arguments, **_):
        """Start from its own disk again. Nova passes (context, instance); Victoria (instance, network_info)."""
        instance = next(a for a in arguments if isinstance(a, objects.Instance))
        with reported_as(exception.InstanceDeployFailure):
            machine = self.client.unrescue(self._held(instance).id, instance.uuid)
            self._wait(machine, "unrescue", "active", self._settings.rescue_timeout)

    def _wait(self, machine, doing, wanted, timeout, look=lambda: None) -> Machine:
        interval = self._settings.poll_interval
        machine = wait_for_task(self.client, machine, doing, wanted, timeout=timeout, interval=interval, look=look)
        self.inventory.remember(machine)
        return machine

    def _held(self, instance) -> Machine:
        """Return the server's machine as it is now."""
        for machine in self.client.held_for(instance.uuid):
            self.inventory.remember(machine)
            return machine
        raise exception.InstanceNotFound(instance_id=instance.uuid)

    def get_serial_console(self, context, instance):
        """Say where nova's console proxy finds the serial console."""
        try:
            console = urlsplit(self.client.console(self._held(instance).id)["url"])
        except ApiError as error:
            LOG.info("No serial console: %s", error, instance=instance)
            raise exception.ConsoleTypeUnavailable(console_type="serial") from error
        if console.scheme != "tcp" or not console.port:
            raise exception.ConsoleTypeUnavailable(console_type="serial")
        return console_type.ConsoleSerial(host=console.hostname, port=console.port)

    # Network.

    def network_binding_host_id(self, context, instance):
        """No agent of any host plugs the machine in, so the port is bound to none."""
        return None  # noqa: RET501 - a value that nova uses

    def plug_vifs(self, instance, network_info):
        """A machine's interfaces are plugged in by people."""

    def unplug_vifs(self, instance, network_info):
        """See plug_vifs."""

    @contextlib.contextmanager
    def _working_on(self, instance):
        """Note that this process waits for the server's machine; else the periodic look would."""
        self.view.busy.add(instance.uuid)
        try:
            yield
        finally:
            self.view.busy.discard(instance.uuid)


@contextlib.contextmanager
def reported_as(kind):
    """Let nova show the user an API error's text: it shows its own exceptions' texts only."""
    try:
        yield
    except ApiError as error:
        raise kind(str(error)) from error


@contextlib.contextmanager
def reported_as_not_ready():
    """Let nova's periodic work skip a turn while the API cannot be asked."""
    try:
        yield
    except ApiError as error:
        LOG.warning("%s", error)
        raise exception.VirtDriverNotReady() from error
