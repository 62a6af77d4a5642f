# SPDX-License-Identifier: Apache-2.0
"""Whatever is changed in the API takes hold in the agent's next turn, by whichever message neutron-server tells it, or is refused.

whole_agent.py says what is real and what stands in. To set neutron up takes seconds, so a test makes many changes, one after another.
"""

from unittest import mock

from arbaro_l2isolate import names
from neutron.extensions import securitygroup
from whole_agent import WholeAgentTestCase


class TestChanges(WholeAgentTestCase):
    """Changes in the API."""

    def update_port(self, title, port, **attributes):
        self.takes_hold(title, lambda: self.plugin.update_port(self.admin, port["id"], {"port": attributes}))

    def test_groups(self):
        addresses = {"addresses": ["192.0.2.9/32", "198.51.100.0/24"]}
        self.takes_hold("an address joins", lambda: self.plugin.add_addresses(self.admin, self.addresses, addresses))
        self.takes_hold("an address goes", lambda: self.plugin.remove_addresses(self.admin, self.addresses, addresses))
        self.takes_hold("a rule comes", lambda: self.add_rule(self.web, protocol="tcp"))
        self.takes_hold("a rule goes", lambda: self.plugin.delete_security_group_rule(self.admin, self.rule))

    def test_members_elsewhere(self):
        made = []
        self.takes_hold("one comes", lambda: made.append(self.port(host="hv2", security_groups=[self.friends])))
        self.takes_hold("one goes", lambda: self.plugin.delete_port(self.admin, made[0]["id"]))
        pair = {"ip_address": "198.51.100.7", "mac_address": self.friend["mac_address"]}
        self.update_port("address pairs", self.friend, allowed_address_pairs=[pair])
        self.update_port("no address pairs", self.friend, allowed_address_pairs=[])
        fixed = {"subnet_id": self.subnet["id"], "ip_address": "10.64.1.77"}
        self.update_port("addresses", self.friend, fixed_ips=[fixed])
        self.update_port("groups", self.friend, security_groups=[self.group()])

    def test_ports(self):
        self.update_port("address pairs", self.here, allowed_address_pairs=[{"ip_address": "198.51.100.0/28"}])
        self.update_port("no address pairs", self.here, allowed_address_pairs=[])
        self.update_port("groups", self.here, security_groups=[self.friends])
        fixed = {"subnet_id": self.subnet["id"], "ip_address": "10.64.1.78"}
        self.update_port("addresses", self.here, fixed_ips=[fixed])
        self.update_port("down", self.here, admin_state_up=False)
        self.update_port("up", self.here, admin_state_up=True)
        self.update_port("no port security", self.here, security_groups=[], port_security_enabled=False)
        self.update_port("port security", self.here, security_groups=[self.web], port_security_enabled=True)
        self.update_port("elsewhere", self.here, **{"binding:host_id": "hv2"})
        self.update_port("back", self.here, **{"binding:host_id": "hv1"})

    def test_a_deleted_port_whose_server_still_has_the_tap(self):
        self.takes_hold("deleted", lambda: self.plugin.delete_port(self.admin, self.here["id"]))
        tap = names.tap_of(self.here["id"])
        assert not self.host.taps[tap].routes and tap not in self.agent.sg_agent.firewall.ports

    def test_stateless_groups(self):
        raw, flip = self.group(stateful=False), {"security_group": {"stateful": False}}
        self.add_rule(raw, protocol="tcp")
        firewall = self.agent.sg_agent.firewall
        self.update_port("stateless", self.here, security_groups=[raw])
        policy = firewall._policy()
        assert [tap for tap, port in policy.ports.items() if policy.is_stateless(port)] == [
            names.tap_of(self.here["id"])
        ]
        mixed = {"port": {"security_groups": [raw, self.web]}}
        self.assertRaises(
            securitygroup.SecurityGroupConflict, self.plugin.update_port, self.admin, self.here["id"], mixed
        )
        in_use = (self.plugin.update_security_group, self.admin, self.web, flip)
        self.assertRaises(securitygroup.SecurityGroupInUse, *in_use)

        other = self.group()
        self.add_rule(other, protocol="tcp")
        self.update_port("other group", self.here, security_groups=[other])
        self.update_port("web again", self.here, security_groups=[self.web])
        self.plugin.update_security_group(self.admin, other, flip)
        self.update_port("the other group, now stateless", self.here, security_groups=[other])
        assert other in firewall._stateless

    def test_subnets_and_networks(self):
        pools = [{"start": "10.64.1.2", "end": "10.64.1.253"}]
        routes = [{"destination": "198.51.100.0/24", "nexthop": "10.64.1.9"}]
        for title, attributes in (
            ("DNS servers", {"dns_nameservers": ["192.0.2.53"]}),
            ("routes", {"host_routes": routes}),
            ("gateway", {"gateway_ip": "10.64.1.254", "allocation_pools": pools}),
            ("no DHCP", {"enable_dhcp": False}),
            ("DHCP", {"enable_dhcp": True}),
        ):
            change = {"subnet": attributes}
            self.takes_hold(title, lambda c=change: self.plugin.update_subnet(self.admin, self.subnet["id"], c))
        mtu = {"network": {"mtu": 1400}}
        self.takes_hold("MTU", lambda: self.plugin.update_network(self.admin, self.network["id"], mtu))

    def test_a_subnet_that_changes_while_neutron_is_asked_about_it(self):
        """The answer is from before the change, and the message about the change comes before the answer."""
        subnets = self.agent.mgr.subnets
        pull = subnets._puller.bulk_pull

        def late(*arguments, **named):
            answer = pull(*arguments, **named)
            change = {"subnet": {"dns_nameservers": ["192.0.2.54"]}}
            self.plugin.update_subnet(self.admin, self.subnet["id"], change)
            self.pushes.wait()
            return answer

        subnets.forget()
        with mock.patch.object(subnets._puller, "bulk_pull", late):
            subnets.get([self.subnet["id"]])
        self.takes_hold("DNS servers", lambda: None)

    def test_dhcp_options_of_a_ports_own_are_refused(self):
        options = [{"opt_name": "ntp-server", "opt_value": "192.0.2.123", "ip_version": 4}]
        request = self.new_update_request("ports", {"port": {"extra_dhcp_opts": options}}, self.here["id"])
        refused = request.get_response(self.api)
        assert refused.status_int == 400 and "no DHCP options of its own" in refused.text
        attributes = {"extra_dhcp_opts": options}
        refused = self._create_port(self.fmt, self.network["id"], arg_list=tuple(attributes), **attributes)
        assert refused.status_int == 400
        self.update_port("down", self.here, admin_state_up=False)
