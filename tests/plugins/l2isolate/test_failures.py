# SPDX-License-Identifier: Apache-2.0
"""What fails neither ends the agent nor makes it forget: it is tried again until it works, and its cause is logged once.

whole_agent.py says what is real and what stands in. Here, what stands in fails as the real one does.
"""

import subprocess
from unittest import mock

import pytest
from arbaro_l2isolate import dnsmasq, failures, names
from arbaro_l2isolate.dnsmasq_process import DnsmasqError
from arbaro_l2isolate.firewall import kernel
from whole_agent import WholeAgentTestCase


class TestFailures(WholeAgentTestCase):
    """One failure after another: to set neutron up takes seconds."""

    def tap(self, port):
        return names.tap_of(port["id"])

    def logged(self):
        """Return what is logged as an error from here on."""
        log = mock.patch.object(failures.LOG, "exception").start()
        self.addCleanup(mock.patch.stopall)
        return log

    def survive(self, turns=3):
        for _ in range(turns):
            self.scan_and_process(self.agent)

    def test_neutron_server_is_away_while_a_port_changes_and_another_servers_tap_goes(self):
        log, before = self.logged(), self.state(self.agent)
        self.bus.is_away = True
        self.agent.rpc_callbacks.port_update(None, port={"id": self.here["id"]})
        self.survive()
        self.host.drop(self.tap(self.neighbour))
        self.survive()
        assert self.tap(self.here) in self.agent.mgr.gateways(), "what neutron said last"
        assert f"hosts/{self.tap(self.here)}" in self.agent.mgr.dhcp.found
        assert f"hosts/{self.tap(self.neighbour)}" not in self.agent.mgr.dhcp.found
        assert [call.args[1] for call in log.call_args_list] == ["Serving this host's servers"]
        self.bus.is_away = False
        self.host.make(self.tap(self.neighbour))
        self.survive(2)
        assert self.state(self.agent) == before

    def test_a_start_without_neutron_server_waits_for_it(self):
        late = self.started()
        self.bus.is_away = True
        for _ in range(3):
            self.scan_and_process(late)
        self.bus.is_away = False
        self.scan_and_process(late)
        assert self.state(late) == self.state(self.agent)

    def test_the_kernel_refuses_for_a_while(self):
        log = self.logged()
        with mock.patch.object(self.host, "tap_indices", side_effect=OSError("No buffer space available")):
            self.survive()
        assert log.call_count == 1
        before = self.state(self.agent)
        self.survive(2)
        assert self.state(self.agent) == before

    def test_flows_that_could_not_be_listed_are_ended_later(self):
        log, address = self.logged(), self.here["fixed_ips"][0]["ip_address"]
        flow = [6, "192.0.2.1", address, 4000, 22, 0, 0]
        failing = subprocess.CalledProcessError(1, ["conntrack"])
        with mock.patch.object(kernel, "list_flows", side_effect=failing):
            self.plugin.delete_security_group_rule(self.admin, self.rule)
            self.survive()
        assert log.call_count
        with (
            mock.patch.object(kernel, "list_flows", return_value=[flow]),
            mock.patch.object(kernel, "end_flows") as end,
        ):
            self.survive(2)
        end.assert_called_once_with([flow])

    def test_rules_that_nft_did_not_take_are_put_again(self):
        self.logged()
        with mock.patch.object(kernel, "apply", side_effect=kernel.NftError("Device or resource busy")):
            self.host.drop(self.tap(self.neighbour))
            self.survive()
        with mock.patch.object(kernel, "apply") as apply:
            self.survive()
        first = apply.call_args_list[0].args[0]
        assert "delete table inet" in first and self.tap(self.here) in first
        assert apply.call_count < 3, "all at once, and what came since"

    def test_one_thing_that_fails_does_not_keep_the_others_from_being_done(self):
        self.logged()
        with mock.patch.object(self.agent.mgr.dhcp, "look_after", side_effect=DnsmasqError("no")):
            self.agent.mgr._elevated_until[self.tap(self.here)] = -1.0
            self.survive(1)
        assert not self.agent.mgr._elevated_until


class Process:
    """dnsmasq, which may refuse."""

    def __init__(self):
        self.refuses, self.told = False, []

    def restart(self, directory):
        if self.refuses:
            raise DnsmasqError("did not come up")
        self.told.append("restart")

    def reload(self, directory):
        self.told.append("reload")

    def is_running(self, directory):
        return True


FILES = {dnsmasq.CONFIGURATION: "port=0\n", "hosts/tap1": "one\n"}


@pytest.mark.parametrize("dies", [False, True])
def test_a_restart_of_dnsmasq_that_failed_is_due_until_it_works_also_for_the_next_agent(tmp_path, dies):
    process = Process()
    hands = dnsmasq.Dnsmasq(str(tmp_path), process)
    hands.make(FILES, True)
    process.refuses = True
    changed = {**FILES, "hosts/tap1": "two\n"}
    for _ in range(2):
        with pytest.raises(DnsmasqError):
            hands.make(changed, True)
    process.refuses, process.told = False, []
    if dies:
        hands = dnsmasq.Dnsmasq(str(tmp_path), process)
    assert hands.make(changed, True) == dnsmasq.RESTART and process.told == ["restart"]
    assert hands.make(changed, True) == dnsmasq.NOTHING and process.told == ["restart"]
    assert not list(tmp_path.glob(".*")), "nothing is due any more"


def test_a_file_that_could_not_be_written_is_written_later(tmp_path):
    process = Process()
    hands = dnsmasq.Dnsmasq(str(tmp_path), process)
    with mock.patch.object(hands, "_write", side_effect=OSError("No space left on device")), pytest.raises(OSError):
        hands.make(FILES, True)
    assert hands.make(FILES, True) == dnsmasq.RESTART
    assert (tmp_path / "hosts/tap1").read_text() == "one\n"


def test_a_cause_is_logged_once_and_its_end_too(caplog):
    keeper = failures.Failures()
    for error in (OSError("one " + "a" * 32), OSError("one " + "b" * 32), ValueError("two"), None, None):
        with keeper.survived("Doing it"):
            if error:
                raise error
    assert [record.message.split(";")[0] for record in caplog.records] == [
        "Doing it failed", "Doing it failed", "Doing it works again",
    ]  # fmt: skip
