# SPDX-License-Identifier: Apache-2.0
"""dnsmasq kept running by another container's first process. Real: keep-dnsmasq, dnsmasq, the pipe. Stands in: the containers."""

import pathlib
import shutil
import subprocess
import time

import pytest
from arbaro_l2isolate import dnsmasq_supervised
from arbaro_l2isolate.dnsmasq_process import DnsmasqError
from hypervisor import is_root, wait_for

KEEPER = pathlib.Path(__file__).parents[3] / "images/agents/l2isolate/root/usr/bin/keep-dnsmasq"
pytestmark = pytest.mark.skipif(not is_root() or not shutil.which("dnsmasq"), reason="runs dnsmasq")


def pid(directory):
    try:
        return int((directory / "pid").read_text() or 0)
    except FileNotFoundError:
        return 0


@pytest.fixture
def keeper(tmp_path):
    keeper = subprocess.Popen([KEEPER, tmp_path], start_new_session=True)
    wait_for("the pipe", lambda: (tmp_path / "control").exists(), 2)
    yield keeper
    subprocess.run(["kill", "--", f"-{keeper.pid}"], check=False)
    keeper.wait()


@pytest.fixture
def kept(keeper, tmp_path):
    return tmp_path


def configure(directory, *more):
    lines = ["port=0", "user=root", "log-facility=-", f"pid-file={directory}/pid", *more]
    (directory / "dnsmasq.conf").write_text("\n".join(lines) + "\n")
    wait_for("dnsmasq", lambda: pid(directory), 2)


def test_it_starts_anew_when_told_and_when_killed(kept):
    configure(kept)
    first = pid(kept)
    dnsmasq_supervised.restart(str(kept))
    second = pid(kept)
    assert 0 < first != second > 0
    subprocess.run(["kill", "-9", str(second)], check=True)
    wait_for("a new one", lambda: pid(kept) not in (0, second), 2)


def test_a_configuration_that_does_not_parse_costs_nobody_dhcp(kept):
    configure(kept)
    running = pid(kept)
    configure(kept, "no-such-option")
    with pytest.raises(DnsmasqError, match="did not start anew"):
        dnsmasq_supervised.restart(str(kept))
    assert pid(kept) == running
    assert pathlib.Path(f"/proc/{running}").exists()


def test_a_dnsmasq_that_does_not_stay_up_ends_its_container(keeper, tmp_path):
    (tmp_path / "dnsmasq.conf").write_text("no-such-option\n")
    assert keeper.wait(5) == 1


def test_one_that_ran_and_is_killed_now_and_then_does_not(keeper, kept):
    configure(kept)
    for pause in (0, 0, 3.2, 0, 0):
        running = pid(kept)
        time.sleep(pause)
        subprocess.run(["kill", "-9", str(running)], check=True)
        wait_for("a new one", lambda old=running: pid(kept) not in (0, old), 2)
    assert keeper.poll() is None


def test_without_its_container_nothing_is_lost(tmp_path):
    """When it starts it reads all that is there."""
    dnsmasq_supervised.reload(str(tmp_path))
    dnsmasq_supervised.restart(str(tmp_path))
