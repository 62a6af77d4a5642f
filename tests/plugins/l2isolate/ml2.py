# SPDX-License-Identifier: Apache-2.0
"""A real ML2 plug-in of Zed with our drivers, for tests.

Real: stevedore, ML2 with its managers, API and database (sqlite), the agent's record, port binding. Stands in: nothing but what
neutron's own unit tests replace (RPC, notifiers), through neutron's own base class.
"""

import datetime

from arbaro_l2isolate import names
from neutron.tests.unit.plugins.ml2 import test_plugin
from neutron_lib import constants, context
from neutron_lib.api.definitions import portbindings, provider_net
from neutron_lib.plugins import directory
from oslo_config import cfg
from oslo_utils import timeutils


class L2IsolateTestCase(test_plugin.Ml2PluginV2TestCase):
    """An ML2 plug-in with our two drivers and one agent that is alive on hv1."""

    _mechanism_drivers = ("l2isolate",)

    def setUp(self):
        cfg.CONF.set_override("type_drivers", ["l2isolate", "local"], group="ml2")
        cfg.CONF.set_override("tenant_network_types", ["local"], group="ml2")
        super().setUp()
        self.plugin = directory.get_plugin()
        self.admin = context.get_admin_context()
        self.register_agent("hv1")

    def register_agent(self, host):
        state = {
            "binary": names.AGENT_BINARY,
            "host": host,
            "topic": constants.L2_AGENT_TOPIC,
            "configurations": {},
            "agent_type": names.AGENT_TYPE,
            "start_flag": True,
        }
        now = timeutils.utcnow()
        self.plugin.create_or_update_agent(self.admin, state, now + datetime.timedelta(seconds=1))

    def make_network(self, **extra):
        attributes = {provider_net.NETWORK_TYPE: "l2isolate", **extra}
        return self._create_network(self.fmt, "routed", True, arg_list=tuple(attributes), **attributes)

    def make_port(self, host="hv1", **extra):
        network = self.deserialize(self.fmt, self.make_network())
        self._make_subnet(self.fmt, network, "10.64.1.1", "10.64.1.0/24")
        attributes = {portbindings.HOST_ID: host, "device_owner": "compute:nova", **extra}
        response = self._create_port(self.fmt, network["network"]["id"], arg_list=tuple(attributes), **attributes)
        return self.deserialize(self.fmt, response)["port"]
