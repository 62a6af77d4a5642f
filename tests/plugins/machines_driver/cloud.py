# SPDX-License-Identifier: Apache-2.0
"""Nova's own functional harness with our driver. What stands in: neutron and glance (nova's fixtures), keystone, the queue
(calls within the process), and the machines API (fake_api)."""

import collections
import pathlib
import tempfile

import fixtures
import jinja2
import nova.conf
import yaml
from arbaro_nova.machines import launcher
from fake_api import FakeApi
from keystoneauth1 import loading
from neutron_ports import Neutron
from nova import context as nova_context
from nova import objects
from nova.conf import serial_console
from nova.tests.functional import integrated_helpers
from oslo_config import cfg

IMAGE = "155d900f-4e14-4e4c-a73d-069cbf4541e6"  # one of the fixture's
PASTE = """\
[composite:osapi_compute]
use = call:nova.api.openstack.urlmap:urlmap_factory
/v2.1: openstack_compute_api_v21
[composite:openstack_compute_api_v21]
use = call:nova.api.auth:pipeline_factory_v21
keystone = req_id faults authtoken keystonecontext app
noauth2 = req_id faults noauth2 app
[filter:req_id]
paste.filter_factory = nova.api.compute_req_id:ComputeReqIdMiddleware.factory
[filter:faults]
paste.filter_factory = nova.api.openstack:FaultWrapper.factory
[filter:noauth2]
paste.filter_factory = nova.api.openstack.auth:NoAuthMiddleware.factory
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
[filter:keystonecontext]
paste.filter_factory = nova.api.auth:NovaKeystoneContext.factory
[app:app]
paste.app_factory = nova.api.openstack.compute:APIRouterV21.factory
"""


def as_the_role_writes_it(section, *names):
    """Return options of nova-compute's configuration as the role nova_compute_machines writes it."""
    ansible = pathlib.Path(__file__).parents[3] / "ansible"
    places = [ansible / "roles" / "nova_compute_machines" / "templates", ansible / "playbooks" / "templates"]
    known = {
        "public_address": "198.51.100.1",
        "inventory_hostname": "controller",
        "identity": collections.defaultdict(str),
        **yaml.safe_load((ansible / "services.yml").read_text()),
    }
    defaults = yaml.safe_load((places[0].parent / "defaults" / "main.yml").read_text())
    # What is not said here stands for itself: of these sections nobody asks.
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(places), undefined=jinja2.ChainableUndefined)
    values = {name: environment.from_string(str(value)).render(known) for name, value in defaults.items()}
    text = environment.get_template("nova-compute-machines.conf.j2").render(**known, **values)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(text)
        file.flush()
        read = cfg.ConfigOpts()
        read([], default_config_files=[file.name])
        serial_console.register_opts(read)
        return {name: read[section][name] for name in names}


class Cloud(integrated_helpers._IntegratedTestBase):
    """A nova with a fake machines API; each test enrols the machines that it needs."""

    microversion = "2.90"
    machines = 2

    def setUp(self):
        self.useFixture(fixtures.MonkeyPatch("nova.tests.fixtures.NeutronFixture", Neutron))
        super().setUp()

    def __delattr__(self, name):
        # Nova's harness forgets all that is set on a test when it ends; pytest then wants to take away what it set itself.
        if name in self.__dict__:
            super().__delattr__(name)

    def _setup_services(self):
        paste = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / "paste.ini"
        paste.write_text(PASTE)
        self.flags(api_paste_config=str(paste), group="wsgi")
        launcher.make_known()
        self._reach(self._start_machines())
        self.flags(compute_driver="arbaro_machines.MachineDriver")
        ours = ["nova.scheduler.filters.all_filters", "arbaro_nova.scheduler.spread.MachineSpreadFilter"]
        enabled = ["ComputeFilter", "ServerGroupAntiAffinityFilter", "MachineSpreadFilter"]
        self.flags(available_filters=ours, enabled_filters=enabled, group="filter_scheduler")
        super()._setup_services()
        self.flavor = self._create_flavor(
            vcpu=2, memory_mb=1024, disk=4, ephemeral=0,
            extra_spec={"resources:VCPU": "0", "resources:MEMORY_MB": "0", "resources:DISK_GB": "0",
                        "resources:CUSTOM_PM_SMALL": "1"},
        )  # fmt: skip

    def _start_machines(self):
        """Start the machines API; returns its address."""
        self.api_of_machines = FakeApi()
        self.addCleanup(self.api_of_machines.close)
        self.api_of_machines.add(self.machines)
        return self.api_of_machines.url

    def _reach(self, url):
        """Tell the driver where the API is, and to be impatient."""
        nova.conf.CONF.register_opts(loading.get_auth_plugin_conf_options("admin_token"), group="machines")
        self.settings(auth_type="admin_token", token="operator", endpoint=url, endpoint_override=url)
        self.settings(connect_retries=2, connect_retry_delay=0.01, status_code_retries=1, status_code_retry_delay=0.01)
        self.settings(poll_interval=0.02, relist_interval=0, takeover_after=0)

    def settings(self, **values):
        """Set options of [machines]."""
        self.flags(group="machines", **values)

    def create(self, expected="ACTIVE", **more):
        """Create a server of our flavor."""
        networks = more.pop("networks", "auto")
        body = {**self._build_server(flavor_id=self.flavor, networks=networks, image_uuid=IMAGE), **more}
        server = self.api.post_server({"server": body})
        return self._wait_for_state_change(server, expected) if expected else server

    def machine_of(self, server):
        """Return the fake's document of a server's machine."""
        held = [
            m for m in self.api_of_machines.machines.values() if (m["holder"] or {}).get("server_id") == server["id"]
        ]
        return held[0] if held else None

    def admin_context(self):
        """Return what nova's periodic work has."""
        return nova_context.get_admin_context()

    def instance(self, server):
        """Return nova's object."""
        return objects.Instance.get_by_uuid(self.admin_context(), server["id"])

    def reserved(self):
        """Return machine id → what placement has reserved of it."""
        inventories = {m: self._get_provider_inventory(m) for m in self.api_of_machines.machines}
        return {m: inventory["CUSTOM_PM_SMALL"]["reserved"] for m, inventory in inventories.items()}
