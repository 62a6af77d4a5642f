# SPDX-License-Identifier: Apache-2.0
"""What the user reads when it fails, and when another machine is tried."""

from cloud import Cloud

BMC = ("bmc-unreachable", "10.0.0.7 does not answer since 60 s", "Ask the operator to look at the machine's BMC.")
CHECKSUM = ("checksum-wrong", "sha512 of the image is not glance's", "Upload the image again.")


class Failures(Cloud):
    """Machines that fail."""

    machines = 3

    def one_free(self):
        """Leave one machine in the stock, and return it."""
        first, *others = self.api_of_machines.machines.values()
        for machine in others:
            self.api_of_machines.change(machine, maintenance={"reason": "test"})
        self._run_periodics()
        return first

    def test_another_machine_is_tried(self):
        bad, also_bad, _ = self.api_of_machines.machines
        self.api_of_machines.faults = {bad: BMC, also_bad: BMC}
        server = self.create()
        machine = self.machine_of(server)
        self.assertNotIn(machine["id"], (bad, also_bad))
        # And the ones that failed were given back, so that the service cleans and judges them.
        self.assertEqual(
            [server["id"]], [m["holder"]["server_id"] for m in self.api_of_machines.machines.values() if m["holder"]]
        )

    def test_no_other_machine_is_free_and_the_cause_is_told(self):
        machine = self.one_free()
        self.api_of_machines.faults = {machine["id"]: BMC}
        fault = self.create(expected="ERROR")["fault"]["message"]
        for part in (machine["name"], *BMC):
            self.assertIn(part, fault)
        self.assertIsNone(machine["holder"])

    def test_all_three_fail_and_the_last_cause_is_told(self):
        self.api_of_machines.faults = dict.fromkeys(self.api_of_machines.machines, BMC)
        fault = self.create(expected="ERROR")["fault"]["message"]
        self.assertIn("bmc-unreachable: 10.0.0.7 does not answer", fault)
        self.assertFalse([m for m in self.api_of_machines.machines.values() if m["holder"]])

    def test_a_bad_image_is_tried_once(self):
        self.api_of_machines.faults = dict.fromkeys(self.api_of_machines.machines, CHECKSUM)
        fault = self.create(expected="ERROR")["fault"]["message"]
        for part in CHECKSUM:
            self.assertIn(part, fault)
        self.assertEqual(1, len(self.api_of_machines.deployments))

    def test_a_machine_that_just_went_into_maintenance(self):
        first, *_ = self.api_of_machines.machines.values()
        # Nova does not know it yet.
        self.api_of_machines.change(first, maintenance={"reason": "disk"})
        servers = [self.create(), self.create()]
        self.assertNotIn(first["id"], [self.machine_of(s)["id"] for s in servers])

    def test_too_many_networks(self):
        networks = [{"uuid": self.neutron.network_1["id"]}] * 3
        fault = self.create(expected="ERROR", networks=networks)["fault"]["message"]
        self.assertIn("has 2 interfaces, 3 are asked for. Ask for fewer networks.", fault)

    def test_deployment_that_never_ends(self):
        self.settings(deploy_timeout=1)
        machine = self.one_free()
        self.api_of_machines.held_up.add(machine["id"])
        fault = self.create(expected="ERROR")["fault"]["message"]
        self.assertIn("deployment not done after 1 s", fault)

    def test_lost_answers(self):
        self.api_of_machines.lose_answers = 1
        server = self.create()
        self.api_of_machines.lose_answers = 1
        self.assertEqual(1, len(self.api_of_machines.deployments[self.machine_of(server)["id"]]))
        machine = self.machine_of(server)
        self._delete_server(server)
        self.assertIsNone(machine["holder"])

    def test_lost_answer_of_a_deployment(self):
        reserve = self.api_of_machines.answer

        def lose_the_deployment(method, path, *rest):
            if path.endswith("/deploy"):
                self.api_of_machines.lose_answers = 1
                self.api_of_machines.answer = reserve
            return reserve(method, path, *rest)

        self.api_of_machines.answer = lose_the_deployment
        server = self.create()
        self.assertEqual(1, len(self.api_of_machines.deployments[self.machine_of(server)["id"]]))

    def test_silent_api_is_told_to_the_user(self):
        self.api_of_machines.down = True
        fault = self.create(expected="ERROR")["fault"]["message"]
        self.assertIn("The database does not answer.", fault)
