# SPDX-License-Identifier: Apache-2.0
"""The agent: neutron's common agent loop with our manager; run by launcher.py."""

import pathlib
import sys
import threading
import time

from neutron.common import config as common_config
from neutron.conf import service as service_config
from neutron.conf.agent import common as agent_config
from neutron.plugins.ml2.drivers.agent import _common_agent
from neutron_lib.agent import topics
from oslo_config import cfg
from oslo_log import log
from oslo_service import service

from arbaro_l2isolate import (
    dnsmasq,
    dnsmasq_process,
    dnsmasq_supervised,
    groups,
    names,
    netlink,
    options,
    plugin_rpc,
    ports,
    pushes,
)
from arbaro_l2isolate.failures import Failures
from arbaro_l2isolate.firewall.driver import L2IsolateFirewallDriver
from arbaro_l2isolate.manager import L2IsolateManager
from arbaro_l2isolate.subnets import Subnets

LOG = log.getLogger(__name__)
# How often a tap is looked at whose server is on its way here: an arrival is to cost less than a tenth of a second.
LOOKOUT_SECONDS = 0.02

# What only the host itself can set (its role does): /proc/sys is read-only in a container.
HOST_SETTINGS = {"net/ipv4/ip_forward": "1", "net/ipv4/conf/all/rp_filter": "0"}


class L2IsolateAgent(_common_agent.CommonAgentLoop):
    """The common loop, with four differences.

    It works in batches, with few messages for many devices; its reports do not hold it up; it hears of devices that
    are not served here; and it goes on, with all it knows, whatever fails.
    """

    _lookout: threading.Thread | None = None
    _is_resync = True
    _has_been_through = False

    def setup_rpc(self):
        """Set the stock messages up, ours in place of some, and listen to what comes by no message to agents."""
        self._failures = Failures()
        super().setup_rpc()
        self.plugin_rpc = plugin_rpc.PluginApi(self.context, topics.PLUGIN, self.agent_id)
        self.sg_plugin_rpc = groups.GroupsApi(topics.PLUGIN, lambda: self.plugin_rpc.listing)
        self.sg_agent = self.rpc_callbacks.sg_agent = groups.SecurityGroupAgent(self.context, self.sg_plugin_rpc)
        self.mgr.subnets = Subnets(self.context)
        listeners = {
            pushes.SUBNET: self.mgr.subnets.has_changed,
            pushes.ADDRESS_GROUP: lambda group: self.sg_agent.security_groups_member_updated([group]),
        }
        self._pushes = pushes.listen(listeners)

    def process_network_devices(self, device_info):
        """Go through a turn as the stock loop does: filters first, then taps and DHCP. Return whether to start over."""
        with self._failures.survived("Serving this host's servers"):
            asked = device_info["added"] | device_info["updated"]
            self.plugin_rpc.begin_turn(asked, device_info["current"], self._is_resync)
            return super().process_network_devices(device_info)
        return True

    def treat_devices_added_updated(self, devices):
        """Ask neutron about devices, make all their taps so, then report each; return whether to ask again.

        What is raised here makes the loop start over with all devices.
        """
        for answers in self.plugin_rpc.details(devices):
            self.mgr.serve(answers, self._coming(answers))
            self._tell_gateways()
            # Neutron has deleted these; their servers may have the taps a while longer.
            self.sg_agent.remove_devices_filter([answer["device"] for answer in answers if ports.is_unknown(answer)])
            self._look_out_for_arrivals()
            for details in answers:
                self._process_device_if_exists(details)
        return False

    def _coming(self, answers):
        """Return how the taps should be whose servers are on their way here: the firewall was told of their ports."""
        told = self.sg_agent.firewall.ports
        inactive = (told.get(details["device"], {}) for details in answers if ports.is_inactive(details))
        return {port["device"]: ports.coming_tap(port) for port in inactive if ports.is_coming(port, cfg.CONF.host)}

    def _look_out_for_arrivals(self):
        """Look more often than the loop does, as long as servers are on their way here."""
        if self.mgr.expects_any() and not (self._lookout and self._lookout.is_alive()):
            self._lookout = threading.Thread(target=self._look_out, daemon=True)
            self._lookout.start()

    def _look_out(self):
        while self.mgr.expects_any():
            self.mgr.welcome()
            time.sleep(LOOKOUT_SECONDS)

    def scan_devices(self, previous, sync):
        """Scan as the stock loop does, and see that the firewall is there. An exception would end the loop.

        When out of step with neutron-server, its subnets may have changed as well.
        """
        self._is_resync = sync
        if sync:
            self.mgr.subnets.forget()
        self._say_when_through(sync)
        self._look_after_firewall()
        with self._failures.survived("Looking for this host's taps"):
            self.rpc_callbacks.look_again(self.mgr.users_of_changed_subnets())
            found = super().scan_devices(previous, sync)
            # The stock loop would first serve and then remove a tap that went, while it was failing, and came back.
            return {**found, "removed": found["removed"] - found["current"]}
        # Nothing new is known, and nothing is forgotten: the next turn begins with all devices.
        self.fullsync = True
        known = previous or {"current": set(), "removed": set(), "timestamps": {}}
        return {**known, "added": set(), "updated": set(), "removed": known["removed"] if sync else set()}

    def _say_when_through(self, sync):
        """Log once that the turn before this one left nothing to do again, and neutron-server has taken our reports.

        The playbooks that roll the agent wait for this line (ansible/playbooks/tasks/stays-up.yml).
        """
        if self._has_been_through or sync or "start_flag" in self.agent_state:
            return
        if self.plugin_rpc.reports.all_are_told():
            self._has_been_through = True
            LOG.info("A whole turn has gone through: all taps here are as neutron-server wants them")

    def _look_after_firewall(self):
        if isinstance(self.sg_agent.firewall, L2IsolateFirewallDriver):
            with self._failures.survived("Looking after the firewall"):
                self.sg_agent.firewall.look_after()
                self._tell_gateways()

    def _tell_gateways(self):
        if isinstance(self.sg_agent.firewall, L2IsolateFirewallDriver):
            self.sg_agent.firewall.set_gateways(self.mgr.gateways())


def wrong_host_settings(root=pathlib.Path("/proc/sys")):
    """Return (name, found, wanted) of each kernel setting without which routing to taps cannot work."""
    found = {name: (root / name).read_text().strip() for name in HOST_SETTINGS}
    return [(name, found[name], wanted) for name, wanted in HOST_SETTINGS.items() if found[name] != wanted]


def _check_surroundings():
    """Log what would keep servers from having a network, or a safe one."""
    for name, found, wanted in wrong_host_settings():
        LOG.error("%s is %s, has to be %s: servers here will have no network. Set it with sysctl.", name, found, wanted)
    if cfg.CONF.SECURITYGROUP.firewall_driver != names.NETWORK_TYPE:
        LOG.error("[SECURITYGROUP] firewall_driver is not %s: no other knows unbridged taps.", names.NETWORK_TYPE)


def main():
    """Run the agent until it is told to stop."""
    common_config.register_common_config_options()
    # neutron-lib asks for it when a message times out, and would die of its absence.
    service_config.register_service_opts(service_config.RPC_EXTRA_OPTS)
    options.register()
    common_config.init(sys.argv[1:])
    common_config.setup_logging()
    agent_config.setup_privsep()
    _check_surroundings()
    settings = cfg.CONF.l2isolate
    dhcp = dnsmasq.Dnsmasq(settings.dhcp_directory, dnsmasq_supervised if settings.dhcp_supervised else dnsmasq_process)
    manager = L2IsolateManager(settings, netlink, dhcp, cfg.CONF.host)
    agent = L2IsolateAgent(
        manager,
        cfg.CONF.AGENT.polling_interval,
        cfg.CONF.AGENT.quitting_rpc_timeout,
        names.AGENT_TYPE,
        names.AGENT_BINARY,
    )
    service.launch(cfg.CONF, agent, restart_method="mutate").wait()
