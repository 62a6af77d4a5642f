# SPDX-License-Identifier: Apache-2.0
"""The tiny guest, booted as nova boots it (kernel and ramdisk in QEMU), on a network of its own with DHCP and metadata."""

import contextlib
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from arbaro.cluster import guests

from .conftest import Tool

ADDRESS = "198.18.1.57"
MAC = "fa:16:3e:00:00:57"
MTU = 1442


@pytest.fixture(scope="module", autouse=True)
def tools(install: Callable[..., None]) -> None:
    install("qemu-system-x86", "dnsmasq-base", "genisoimage", "iproute2", "openssh-client", "mmdebstrap", "cpio", "lz4")


@pytest.fixture(scope="module")
def image(tool: Tool) -> Path:
    tool.arbaro("images", "build", "tiny")
    return guests.guest("tiny").directory


class Network:
    """A namespace with a tap, and on it what neutron gives a port: dnsmasq's options and 169.254.169.254."""

    def __init__(self, directory: Path) -> None:
        self.name = f"arbaro-tiny-{os.getpid()}"
        self.directory = directory
        (directory / "openstack/latest").mkdir(parents=True)

    def run(self, *command: str | Path) -> str:
        done = subprocess.run(["ip", "netns", "exec", self.name, *command], capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def process(self, *command: str | Path) -> Iterator[None]:
        log = self.directory.with_name(Path(command[0]).name + ".log")
        with log.open("w") as output:
            child = subprocess.Popen(["ip", "netns", "exec", self.name, *command], stdout=output, stderr=output)
        try:
            yield
        finally:
            child.kill()
            child.wait()

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        try:
            self.run("ip", "link", "set", "lo", "up")
            self.run("ip", "tuntap", "add", "tap0", "mode", "tap")
            self.run("ip", "address", "add", "198.18.1.1/24", "dev", "tap0")
            self.run("ip", "address", "add", "169.254.169.254/32", "dev", "tap0")
            self.run("ip", "link", "set", "tap0", "up")
            with contextlib.ExitStack() as processes:
                processes.enter_context(self.process(*self.dhcp_server()))
                processes.enter_context(self.process(*self.metadata_server()))
                yield
        finally:
            subprocess.run(["ip", "netns", "delete", self.name], check=True)

    def dhcp_server(self) -> list[str]:
        routes = "169.254.169.254/32,198.18.1.1,0.0.0.0/0,198.18.1.1"
        return [
            *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=tap0", "--no-ping"),
            *(f"--dhcp-host={MAC},{ADDRESS}", "--dhcp-range=198.18.1.0,static", "--dhcp-authoritative"),
            *(
                "--dhcp-leasefile=/dev/null",
                f"--dhcp-option=option:mtu,{MTU}",
                "--dhcp-option=option:dns-server,192.0.2.53",
            ),
            # a router that leads nowhere: with classless routes given, a client has to ignore it
            *(f"--dhcp-option=option:classless-static-route,{routes}", "--dhcp-option=option:router,198.18.1.99"),
        ]

    def metadata_server(self) -> list[str]:
        return ["python3", "-m", "http.server", "--bind", "169.254.169.254", "--directory", str(self.directory), "80"]


class Guest:
    """A running QEMU; its serial console is read from a file, its monitor listens on a socket."""

    def __init__(self, image: Path, network: Network, directory: Path) -> None:
        self.image, self.network, self.directory = image, network, directory
        self.console = directory / "console.log"
        self.monitor = directory / "monitor"

    @contextlib.contextmanager
    def running(self, *devices: str, memory: int = 96) -> Iterator[None]:
        command_line = json.loads((self.image / "metadata.json").read_text())["command_line"]
        command = [
            *(
                "ip",
                "netns",
                "exec",
                self.network.name,
                "qemu-system-x86_64",
                "-machine",
                "pc,accel=tcg",
                "-m",
                str(memory),
            ),
            *("-nodefaults", "-display", "none", "-vga", "std", "-serial", f"file:{self.console}"),
            *("-monitor", f"unix:{self.monitor},server=on,wait=off"),
            *("-kernel", str(self.image / "vmlinuz"), "-initrd", str(self.image / "initrd"), "-append", command_line),
            *(
                "-netdev",
                "tap,id=n,ifname=tap0,script=no,downscript=no",
                "-device",
                f"virtio-net-pci,netdev=n,mac={MAC}",
            ),
            *("-object", "rng-random,id=r,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=r"),
            *devices,
        ]
        self.process = subprocess.Popen(command)
        try:
            yield
        finally:
            self.process.kill()
            self.process.wait()

    def wait_for(self, pattern: str, timeout: float = 60) -> str:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            seen = self.console.read_text(errors="replace") if self.console.exists() else ""
            if found := re.search(pattern, seen):
                return found.group()
            assert self.process.poll() is None, f"the guest is gone; its console:\n{seen}"
            time.sleep(0.1)
        raise AssertionError(f"no {pattern!r} on the console within {timeout} s:\n{seen}")

    def tell_monitor(self, command: str) -> None:
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self.monitor))
            monitor.sendall(f"{command}\n".encode())
            time.sleep(0.5)

    def ssh(self, key: Path, command: str) -> str:
        """Logs in as a careful user: the host key is pinned to what the console showed."""
        self.wait_for("END SSH HOST KEY KEYS")
        known_hosts = self.directory / "known_hosts"
        known_hosts.write_text(f"{ADDRESS} {self.wait_for(r'ssh-ed25519 [^ ]+')}\n")
        options = ["-o", f"UserKnownHostsFile={known_hosts}", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"]
        return self.network.run("ssh", "-F", "none", "-i", key, *options, f"root@{ADDRESS}", command)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    network = Network(tmp_path / "www")
    with network.up():
        yield network


@pytest.fixture
def guest(image: Path, network: Network, tmp_path: Path) -> Guest:
    return Guest(image, network, tmp_path)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@here", "-f", key], check=True)
    return key


def write_metadata(directory: Path, key: Path, user_data: bytes | None) -> None:
    public_key = key.with_suffix(".pub").read_text()
    metadata = {"uuid": "1", "hostname": "first.novalocal", "name": "first", "public_keys": {"mine": public_key}}
    latest = directory / "openstack/latest"
    latest.mkdir(parents=True, exist_ok=True)
    (latest / "meta_data.json").write_text(json.dumps(metadata))
    if user_data is not None:
        (latest / "user_data").write_bytes(user_data)


SCRIPT = b"#!/bin/sh\necho hello from $(hostname)\nsleep 1000 &\nexit 3\n"


def test_boot_with_the_metadata_service(guest: Guest, network: Network, key: Path, tmp_path: Path) -> None:
    write_metadata(network.directory, key, SCRIPT)
    with guest.running():
        guest.wait_for(f"address {ADDRESS}/24 by DHCP on eth0")
        guest.wait_for("metadata reached")
        guest.wait_for("hello from first")
        guest.wait_for(r"user script done \(exit 3\)")
        guest.wait_for("first login:")

        assert f"mtu {MTU}" in guest.ssh(key, "ip link show eth0")
        routes = guest.ssh(key, "ip route")
        assert "169.254.169.254 via 198.18.1.1" in routes
        assert "198.18.1.99" not in routes
        assert "hello from first" in guest.ssh(key, "cat /var/log/user-script.log")
        assert "nameserver 192.0.2.53" in guest.ssh(key, "cat /etc/resolv.conf")

        screen = tmp_path / "screen.ppm"
        guest.tell_monitor(f"screendump {screen}")
        assert len(set(screen.read_bytes()[16:])) > 1, "nothing on the VGA console"

        guest.tell_monitor("system_powerdown")  # what nova's stop does
        guest.process.wait(timeout=15)


def test_boot_with_a_config_drive(guest: Guest, key: Path, tmp_path: Path) -> None:
    write_metadata(tmp_path / "config", key, SCRIPT)
    iso = tmp_path / "config.iso"
    command = ["genisoimage", "-quiet", "-J", "-r", "-V", "config-2", "-o", iso, tmp_path / "config"]
    subprocess.run(command, check=True)
    with guest.running("-drive", f"file={iso},format=raw,if=ide,media=cdrom"):
        guest.wait_for("config drive read from /dev/sr0")
        guest.wait_for(r"user script done \(exit 3\)")
        assert guest.ssh(key, "hostname") == "first\n"


def test_boot_with_user_data_that_is_no_script(guest: Guest, network: Network, key: Path) -> None:
    write_metadata(network.directory, key, b"#cloud-config\npackages: [vim]\n")
    with guest.running():
        guest.wait_for("user data not run: it does not start with #!")
        guest.wait_for("first login:")


@pytest.fixture(scope="module")
def unpacked(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guest's files, to run its programs without booting it."""
    root = tmp_path_factory.mktemp("tiny")
    with subprocess.Popen(["lz4", "-dc", image / "initrd"], stdout=subprocess.PIPE) as files:
        subprocess.run(["cpio", "-i", "--quiet"], stdin=files.stdout, cwd=root, check=True)
    for name in ("dev", "proc", "tmp", "www"):
        (root / name).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "www/hello").write_text("hello\n")
    return root


def in_guest(root: Path, script: str, *, user: int = 0) -> str:
    """Run a script in the guest's shell, with processes, network and /proc of its own; return all that it says."""
    inside = f"""
        mount -t proc proc {root}/proc
        mount -t tmpfs dev {root}/dev
        mknod -m 666 {root}/dev/null c 1 3
        ip link set lo up
        exec chroot --userspec={user}:{user} {root} /bin/sh -c "$1"
    """
    words = ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "sh", "-c", inside, "sh", script]
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=900
    )
    return done.stdout + done.stderr


# A server that takes six seconds, but is never silent for as long as five.
SLOW = r"""
while read -r line && [ ${#line} -gt 1 ]; do :; done
printf 'HTTP/1.0 200 OK\r\n\r\n'
for words in "the first" x x "the last"; do echo "$words"; sleep 2; done
"""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("wget -T 5 -q -O - http://127.0.0.1/hello", "hello\nends: 0\n"),
        ("wget -qT5 -O- http://127.0.0.1/hello | cat", "hello\nends: 0\n"),
        ("wget -q --timeout=5 -O /tmp/there http://127.0.0.1/hello; cat /tmp/there", "hello\nends: 0\n"),
        ("wget -q -O - http://127.0.0.1/hello", "hello\nends: 0\n"),
        ("wget -T 1 -q -O - http://127.0.0.1:81/", "wget: download timed out\nends: 1\n"),
        ("wget -T 5 -q -O - http://127.0.0.1:82/", "the first\nx\nx\nthe last\nends: 0\n"),
        ("wget -T", "wget: option requires an argument -- 'T'\nends: 1\n"),
        ("wget -T soon http://127.0.0.1/", "wget: invalid number 'soon'\nends: 1\n"),
    ],
)
def test_wget_gives_up_when_nothing_comes_for_so_long(unpacked: Path, command: str, said: str) -> None:
    (unpacked / "slow").write_text(SLOW)
    servers = "httpd -h /www; nc -lp 81 -e sleep 60 & nc -lp 82 -e sh /slow & sleep 1"
    told = in_guest(unpacked, f"{{ {servers}; }} >/dev/null 2>&1; ( {command} ) 2>&1; echo ends: $?")
    assert told == said


# Each program with each option that its help names: alone, with a number, with a file. As a user who may do nothing, in namespaces where
# there is nobody else. What is named here ends the shell that tries.
TRY_ALL = """
for program in $(busybox --list); do
    case $program in init | linuxrc | kill | killall | killall5 | pkill | busybox) continue ;; esac
    options=$($program --help </dev/null 2>&1 | grep -o '[[ ]-[A-Za-z0-9]*' | tr -d '[ -' | grep -o . | sort -u)
    for option in $options; do
        for more in "" 3 "3 127.0.0.1" /etc/passwd; do
            timeout -s KILL 1 $program -$option $more </dev/null >/dev/null 2>&1
            case $? in 132 | 134 | 135 | 136 | 139) echo "crashed: $program -$option $more" ;; esac
        done
    done
done
echo all tried
"""


@pytest.mark.soak
def test_no_tool_crashes_whatever_option_it_is_given(unpacked: Path) -> None:
    told = in_guest(unpacked, TRY_ALL, user=65534)
    assert told.splitlines()[-1:] == ["all tried"]
    assert [line for line in told.splitlines() if line.startswith("crashed")] == []
