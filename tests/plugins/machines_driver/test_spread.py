# SPDX-License-Identifier: Apache-2.0
"""A server group whose servers are to be on machines in different racks: nova's real API, scheduler, filters and placement."""

from cloud import Cloud


class Spread(Cloud):
    """Two machines in rack a01, two in a02 of the same room, one in a rack that is called a01 in another room."""

    machines = 5

    def _start_machines(self):
        url = super()._start_machines()
        domains = (("a", "a01"), ("a", "a01"), ("a", "a02"), ("a", "a02"), ("b", "a01"))
        for machine, (room, rack) in zip(self.api_of_machines.machines.values(), domains, strict=True):
            machine.update(room=room, rack=rack)
        return url

    def group(self, policy="anti-affinity", **rules):
        """Make a server group."""
        body = {"name": "web", "policy": policy, **({"rules": rules} if rules else {})}
        return self.api.api_post("/os-server-groups", {"server_group": body}).body["server_group"]["id"]

    def member(self, group, expected="ACTIVE", **more):
        """Create a server of a group."""
        body = {**self._build_server(flavor_id=self.flavor, networks="auto"), **more}
        server = self.admin_api.post_server({"server": body, "os:scheduler_hints": {"group": group}})
        return self._wait_for_state_change(server, expected)

    def places(self):
        """Return room and rack of each machine that a server has."""
        held = (m for m in self.api_of_machines.machines.values() if m["holder"])
        return sorted((m["room"], m["rack"]) for m in held)

    def test_each_is_in_another_rack_and_there_is_no_fourth(self):
        group = self.group(max_server_per_host=100)
        first, *_ = [self.member(group) for _ in range(3)]
        everywhere = [("a", "a01"), ("a", "a02"), ("b", "a01")]
        self.assertEqual(everywhere, self.places())
        self.assertIn("No valid host", self.member(group, "ERROR")["fault"]["message"])
        # Where no server of the group is any more, another may go; a server of no group goes anywhere.
        machine = self.machine_of(first)
        self._delete_server(first)
        self._wait_for_assert(lambda: self.assertEqual("available", self.api_of_machines.seen(machine)["state"]))
        self._run_periodics()
        self.member(group)
        self.assertEqual(everywhere, self.places())
        self.create()
        self.assertEqual(4, len(self.places()))

    def test_several_at_once_are_spread_too(self):
        group = self.group(max_server_per_host=100)
        server = self.member(group, min_count=3, max_count=3)
        self._wait_for_assert(lambda: self.assertEqual(3, len(self.places())))
        self.assertEqual([("a", "a01"), ("a", "a02"), ("b", "a01")], self.places())
        # It stays where it is, though its own rack is one of those that the group has.
        self._wait_for_assert(lambda: self.assertEqual({"ACTIVE"}, {s["status"] for s in self.api.get_servers()}))
        self._rebuild_server(server, "a2459075-d96c-40d5-893e-577ff92e721c")

    def test_without_the_rule_nova_counts_by_its_own_service(self):
        group = self.group()
        self.member(group)
        self.assertIn("No valid host", self.member(group, "ERROR")["fault"]["message"])

    def test_a_group_without_the_policy_is_not_spread(self):
        for machine in self.api_of_machines.machines.values():
            self.api_of_machines.change(machine, room="a", rack="a01")
        self._run_periodics()
        group = self.group("soft-anti-affinity")
        self.member(group)
        self.member(group)
        self.assertEqual([("a", "a01")] * 2, self.places())

    def test_what_the_scheduler_did_not_know_is_seen_before_anything_is_written(self):
        group = self.group(max_server_per_host=100)
        first = self.machine_of(self.member(group))
        others = [
            m
            for m in self.api_of_machines.machines.values()
            if (m["room"], m["rack"]) != (first["room"], first["rack"])
        ]
        # All but one were carried into the first one's rack, and nova has not looked since.
        *moved, elsewhere = others
        for machine in moved:
            self.api_of_machines.change(machine, room=first["room"], rack=first["rack"])
        # As often as there are others; nova tries three times.
        self.flags(max_attempts=5, group="scheduler")
        second = self.machine_of(self.member(group))
        self.assertEqual(elsewhere["id"], second["id"])
        self.assertEqual({first["id"], second["id"]}, set(self.api_of_machines.deployments))
        # One whose machine is named by an operator passes no filter at all.
        self._wait_for_assert(lambda: self.assertEqual("available", self.api_of_machines.seen(moved[0])["state"]))
        self._run_periodics()
        named = self.member(group, "ERROR", availability_zone=f"nova:compute:{moved[0]['id']}")
        self.assertIn(f"{moved[0]['name']} is in one rack with", named["fault"]["message"])
