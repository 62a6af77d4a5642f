# SPDX-License-Identifier: Apache-2.0
"""nova-compute is killed in the middle, or for good: nothing is lost, nothing is done twice.

What a kill leaves behind is set in nova's database and in the API; what then happens is nova's real start.
"""

from cloud import Cloud
from nova.compute import task_states, vm_states

CAUSE = ("power-lost", "the BMC says that the power is off", "Look at the machine's power supply.")


class Restart(Cloud):
    """One nova-compute that is started again."""

    def interrupted(self, state, doing=task_states.SPAWNING, vm_state=vm_states.BUILDING):
        """Make a server, and set it and its machine back to the middle of its build."""
        server = self.create()
        instance, machine = self.instance(server), self.machine_of(server)
        instance.vm_state, instance.task_state = vm_state, doing
        if vm_state == vm_states.BUILDING:
            instance.launched_at = None
        instance.save()
        task = {"verb": "deploy", "until": 0, "then": "active"} if state == "deploying" else None
        self.api_of_machines.change(machine, state=state, task=task, power="off")
        self.api_of_machines.held_up.add(machine["id"])
        return server, machine

    def restart(self):
        """Start nova-compute again and let it do its periodic work once."""
        # With a driver that remembers nothing.
        self.computes["compute"] = self.restart_compute_service(self.computes["compute"], keep_hypervisor_state=False)
        self._run_periodics()

    def test_deployment_goes_on(self):
        server, machine = self.interrupted("deploying")
        self.restart()
        self._wait_for_state_change(server, "BUILD")
        self.api_of_machines.held_up.clear()
        self._run_periodics()
        server = self._wait_for_state_change(server, "ACTIVE")
        self.assertNotIn("fault", server)
        self.assertEqual(
            (machine["id"], 1), (self.machine_of(server)["id"], len(self.api_of_machines.deployments[machine["id"]]))
        )
        self._stop_server(server)

    def test_deployment_ended_in_the_meantime(self):
        server, _ = self.interrupted("active")
        self.restart()
        self._run_periodics()
        self._wait_for_state_change(server, "ACTIVE")

    def test_deployment_failed_in_the_meantime(self):
        server, machine = self.interrupted("deploying")
        self.restart()
        self.api_of_machines.faults[machine["id"]] = CAUSE
        self.api_of_machines.held_up.clear()
        self._run_periodics()
        fault = self._wait_for_state_change(server, "ERROR")["fault"]["message"]
        for part in CAUSE:
            self.assertIn(part, fault)
        self.assertIsNone(machine["holder"])
        self._delete_server(server)

    def test_killed_before_the_deployment_began(self):
        server, machine = self.interrupted("reserved")
        self.restart()
        fault = self._wait_for_state_change(server, "ERROR")["fault"]["message"]
        self.assertIn("Delete the server, create it again.", fault)
        self.assertIsNone(machine["holder"])
        self._run_periodics()
        self._delete_server(server)

    def test_rebuild_goes_on(self):
        server, machine = self.interrupted("deploying", task_states.REBUILD_SPAWNING, vm_states.ACTIVE)
        machine["deployment"]["since"] = "2099-01-01T00:00:00Z"
        self.restart()
        self._wait_for_state_change(server, "REBUILD")
        self.api_of_machines.held_up.clear()
        self._run_periodics()
        self._wait_for_state_change(server, "ACTIVE")

    def test_failed_rebuild_keeps_its_machine(self):
        server, machine = self.interrupted("deploying", task_states.REBUILD_SPAWNING, vm_states.ACTIVE)
        machine["deployment"]["since"] = "2099-01-01T00:00:00Z"
        self.restart()
        self.api_of_machines.faults[machine["id"]] = CAUSE
        self.api_of_machines.held_up.clear()
        self._run_periodics()
        self._wait_for_state_change(server, "ERROR")
        self.assertEqual(server["id"], machine["holder"]["server_id"])

    def test_deletion_goes_on(self):
        server, machine = self.interrupted("active", task_states.DELETING, vm_states.ACTIVE)
        self.restart()
        self._wait_until_deleted(server)
        self.assertIsNone(machine["holder"])

    def test_machine_of_a_server_that_was_deleted_without_us(self):
        server, machine = self.interrupted("active", None, vm_states.ACTIVE)
        # What nova-api does when it believes that nova-compute is down.
        self.instance(server).destroy()
        self.flags(running_deleted_instance_timeout=0)
        self._run_periodics()
        self.computes["compute"].manager._cleanup_running_deleted_instances(self.admin_context())
        self.assertIsNone(machine["holder"])


class Several(Cloud):
    """Two nova-computes."""

    machines = 8

    def setUp(self):
        super().setUp()
        self._start_compute("second")
        self.everybody_looks()

    def everybody_looks(self):
        """Let both do their periodic work until nothing moves any more."""
        for _ in range(2):
            self._run_periodics()

    def nodes(self, host):
        """Return the machines that a nova-compute serves, by nova's database."""
        nodes = self.admin_api.api_get("/os-hypervisors/detail").body["hypervisors"]
        return {node["hypervisor_hostname"] for node in nodes if node["service"]["host"] == host}

    def kill(self, host):
        """Let a nova-compute die: it says no more that it lives, and does nothing any more."""
        service = self.admin_api.get_services(binary="nova-compute", host=host)[0]
        self.admin_api.put_service_force_down(service["id"], True)
        self.computes.pop(host)

    def test_they_share_the_machines(self):
        first, second = self.nodes("compute"), self.nodes("second")
        self.assertEqual((set(self.api_of_machines.machines), set()), (first | second, first & second))
        self.assertTrue(first and second)

    def test_a_dead_ones_machines_go_on_being_served(self):
        servers = [self.create() for _ in range(8)]
        dying = [s for s in servers if self.instance(s).host == "second"]
        self.assertTrue(dying)
        killed_in_deletion = self.instance(dying[0])
        killed_in_deletion.task_state = task_states.DELETING
        killed_in_deletion.save()
        killed_in_build = self.instance(dying[1])
        killed_in_build.vm_state, killed_in_build.task_state = vm_states.BUILDING, task_states.SPAWNING
        killed_in_build.launched_at = None
        killed_in_build.save()
        self.kill("second")
        self.everybody_looks()
        self.assertEqual(set(self.api_of_machines.machines), self.nodes("compute"))
        self._wait_until_deleted(dying[0])
        for server in dying[1:]:
            self._wait_for_state_change(server, "ACTIVE")
            self.assertEqual("compute", self.instance(server).host)
        self._stop_server(dying[1])
        self._delete_server(dying[2])
        self.assertEqual(6, len([m for m in self.api_of_machines.machines.values() if m["holder"]]))
        self.assertTrue(all(len(bodies) == 1 for bodies in self.api_of_machines.deployments.values()))
