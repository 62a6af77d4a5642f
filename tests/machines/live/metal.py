# SPDX-License-Identifier: Apache-2.0
"""Emulated physical machines: QEMU domains of a libvirt of our own, behind sushy-tools' Redfish.

All of it lives in the mount and network namespaces of the test run (make machines-live enters them), so the machine's own
libvirt, if there is one, neither sees nor is seen.
"""

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from ..site import ROOT, Site, wait_for

ADDRESS = "10.77.0.1"
DISK_GB = 4
FIRMWARE = {
    "UEFI": {"x86_64": "/usr/share/OVMF/OVMF_CODE_4M.fd"},
    "Legacy": {"x86_64": "/usr/share/seabios/bios-256k.bin"},
}

#: OVMF would try PXE for two minutes before it tries HTTP.
DOMAIN = """
<domain type='{kind}'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>1024</memory><vcpu>2</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><loader type='rom'>/usr/share/seabios/bios-256k.bin</loader></os>
<sysinfo type='fwcfg'>
  <entry name='opt/org.tianocore/IPv4PXESupport'>no</entry><entry name='opt/org.tianocore/IPv6PXESupport'>no</entry>
</sysinfo>
<features><acpi/></features><on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
<devices>
  <disk type='file' device='disk'>
    <driver name='qemu' type='raw' cache='unsafe' discard='unmap' detect_zeroes='unmap'/>
    <source file='{disk}'/><target dev='vda' bus='virtio'/><boot order='2'/>
  </disk>
  <interface type='bridge'><source bridge='pmbr0'/><mac address='{mac}'/><model type='virtio'/><rom enabled='no'/>
    <boot order='1'/></interface>
  <serial type='file'><source path='{console}' append='on'/><target port='0'/></serial>
  <memballoon model='none'/><rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
</devices></domain>
"""


def run(*command: str | Path) -> str:
    """Run a command; returns what it printed."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Metal(Site):
    """A site whose machines are QEMU's."""

    def __init__(self, directory: Path, machines: int, ramdisk: Path) -> None:
        self._daemons: list[subprocess.Popen[bytes]] = []
        super().__init__(directory, machines)
        self.bmc = f"http://127.0.0.1:{self._bmc_port}"
        shutil.rmtree(directory / "ramdisk")
        shutil.copytree(ramdisk, directory / "ramdisk")
        settings = (directory / "machines.toml").read_text()
        self.agent_url = f"http://{ADDRESS}:{self._agent_port}"
        settings = settings.replace(f'agent_url = "{self.agent}"', f'agent_url = "{self.agent_url}"')
        settings = settings.replace('agent_networks = ["127.0.0.1"]', 'agent_networks = ["127.0.0.1", "10.77.0.0/24"]')
        # The times of a real service, except for how often is looked.
        (directory / "machines.toml").write_text(
            settings[: settings.index("[times]")] + "[times]\npoll = 1\nlease = 10\n"
        )
        self._make_network()
        self._start_libvirt()
        for number in range(machines):
            self._define(number)
        self._start_emulator()

    def _daemon(self, name: str, *command: str | Path) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            self._daemons.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT))

    def _make_network(self) -> None:
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "pmbr0", "type", "bridge")
        run("ip", "address", "add", f"{ADDRESS}/24", "dev", "pmbr0")
        run("ip", "link", "set", "pmbr0", "up")
        dhcp = "--dhcp-range=10.77.0.50,10.77.0.99,255.255.255.0,1h"
        self._boot_address = self.directory / "boot-address"
        self._boot_address.touch()
        self._daemon(
            "dnsmasq",
            "dnsmasq",
            "--keep-in-foreground",
            "--user=root",  # who may still read the address below when it is told to
            "--conf-file=/dev/null",
            "--port=0",
            "--interface=pmbr0",
            "--bind-interfaces",
            "--no-ping",
            dhcp,
            # UEFI that boots by HTTP says so, and wants to hear the same.
            "--dhcp-vendorclass=set:http,HTTPClient",
            "--dhcp-option-force=tag:http,60,HTTPClient",
            f"--dhcp-optsfile={self._boot_address}",
            f"--dhcp-leasefile={self.directory}/leases",
        )

    def name_boot_address(self, url: str) -> None:
        """Have the DHCP server tell UEFI what to boot by HTTP."""
        self._boot_address.write_text(f"tag:http,67,{url}\n")
        self._daemons[0].send_signal(signal.SIGHUP)

    def _start_libvirt(self) -> None:
        for place in ("/etc/libvirt", "/run/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt"):
            Path(place).mkdir(parents=True, exist_ok=True)
            run("mount", "-t", "tmpfs", "tmpfs", place)
        Path("/etc/libvirt/qemu.conf").write_text(
            'cgroup_controllers = [ ]\nsecurity_driver = "none"\nmax_files = 0\nmax_processes = 0\nuser = "root"\ngroup = "root"\n'
            'stdio_handler = "file"\nremember_owner = 0\nnamespaces = [ ]\n'
        )
        Path("/etc/libvirt/libvirtd.conf").write_text('auth_unix_rw = "none"\n')
        self._add_libvirts_user()
        pool = self.directory / "pool"
        pool.mkdir()
        self._daemon("libvirtd", "/usr/sbin/libvirtd")
        wait_for("libvirtd", lambda: subprocess.run(["virsh", "-q", "list"], capture_output=True).returncode == 0)
        run("virsh", "-q", "pool-define-as", "default", "dir", "--target", pool)
        run("virsh", "-q", "pool-start", "default")

    def _add_libvirts_user(self) -> None:
        # libvirtd wants the user that Debian's libvirt-daemon-system makes, even where QEMU runs as root.
        for file, line in (
            ("passwd", "libvirt-qemu:x:64055:64055::/:/usr/sbin/nologin"),
            ("group", "libvirt-qemu:x:64055:"),
        ):
            original, own = Path("/etc") / file, self.directory / file
            own.write_text(original.read_text() + line + "\n")
            run("mount", "--bind", own, original)

    def _define(self, number: int) -> None:
        disk, console = self.disk(number), self.directory / f"m{number}.console"
        with disk.open("wb") as empty:
            empty.truncate(DISK_GB * 2**30)
        flags = Path("/proc/cpuinfo").read_text()
        kind = "kvm" if " vmx" in flags or " svm" in flags else "qemu"
        definition = self.directory / f"m{number}.xml"
        definition.write_text(
            DOMAIN.format(
                kind=kind, name=f"m{number}", uuid=self.system(number), disk=disk, console=console, mac=self.mac(number)
            )
        )
        run("virsh", "-q", "define", definition)

    @staticmethod
    def mac(number: int) -> str:
        return f"52:54:00:00:00:{number:02x}"

    def disk(self, number: int) -> Path:
        return self.directory / f"m{number}.raw"

    def console(self, number: int) -> str:
        return (self.directory / f"m{number}.console").read_text(errors="replace")

    def _start_emulator(self) -> None:
        (self.directory / "emulator.conf").write_text(
            f"SUSHY_EMULATOR_LIBVIRT_URI = 'qemu:///system'\nSUSHY_EMULATOR_STATE_DIR = '{self.directory}'\n"
            f"SUSHY_EMULATOR_STORAGE_POOL = 'default'\nSUSHY_EMULATOR_AUTH_FILE = '{self.directory}/htpasswd'\n"
            f"SUSHY_EMULATOR_BOOT_LOADER_MAP = {FIRMWARE}\n"
            "SUSHY_EMULATOR_SECURE_BOOT_DISABLED_NVRAM = '/usr/share/OVMF/OVMF_VARS_4M.fd'\n"
        )
        # Debian has the binding for libvirt; the virtualenv borrows just that.
        binding = self.directory / "binding"
        binding.mkdir()
        for file in Path("/usr/lib/python3/dist-packages").glob("libvirt*"):
            (binding / file.name).symlink_to(file)
        launcher = "import sys; sys.path.append(sys.argv.pop(1)); from sushy_tools.emulator.main import main; main()"
        config = self.directory / "emulator.conf"
        self._daemon(
            "emulator",
            sys.executable,
            "-W",
            "ignore",
            "-c",
            launcher,
            binding,
            "--interface",
            "127.0.0.1",
            "--port",
            str(self._bmc_port),
            "--config",
            config,
        )

    def stop(self) -> None:
        super().stop()
        for line in run("virsh", "-q", "list", "--name").split():
            subprocess.run(["virsh", "-q", "destroy", line], capture_output=True, check=False)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait(20)

    def enrol(self, number: int, **more: Any) -> str:
        return super().enrol(number, **({"boot": {"method": "virtual-media", "firmware": "bios"}} | more))
