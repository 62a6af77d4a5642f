# SPDX-License-Identifier: Apache-2.0
"""How a host is reached from here by SSH, whoever made it; how hosts call one another is another matter."""

import hashlib
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from arbaro import shell
from arbaro.errors import CommandError

#: ssh ends with this code when it did not get to run the command.
NO_CONNECTION = 255


class Unreachable(CommandError):
    """The host could not be asked: no connection, no login, or no answer in time. It says nothing about its state."""


@dataclass(frozen=True)
class Reach:
    """The way to one host. What is not said here is as the person's own SSH configuration has it.

    With `known_hosts`, nothing of the person's own counts: no configuration, no agent's keys, no host key that is
    trusted at first sight.
    """

    name: str
    address: str
    user: str = ""
    port: int | None = None
    key: Path | None = None
    known_hosts: Path | None = None
    #: The host through which it is reached, by a way of its own.
    jump: "Reach | None" = None
    connect_timeout: int = 5
    #: Connections to it are shared for a minute, which saves all but the first their key exchange.
    shared: bool = True
    #: More arguments of ssh, as an Ansible inventory may have them.
    arguments: tuple[str, ...] = ()
    #: Commands are run as root by sudo, which must not ask for a password.
    sudo: bool = False
    #: It is this machine, and no SSH is needed.
    is_here: bool = False

    def ssh(self) -> list[str]:
        """The ssh command up to the host's name, for a login or a command that is already one word for a shell."""
        sharing = ["-o", f"ControlPath={self._socket()}"] if self.shared else []
        return ["ssh", *self.options(), *sharing, *self._place()]

    def command(self, words: Sequence[str]) -> list[str]:
        """The argv that runs this command there, with each word as it is."""
        wanted = ["sudo", "--non-interactive", "--", *words] if self.sudo else list(words)
        return wanted if self.is_here else [*self.ssh(), "--", shlex.join(wanted)]

    def run(self, words: Sequence[str], *, stdin: str | None = None, timeout: float = 60) -> str:
        """Run a command there and return its standard output.

        Raises Unreachable when the host cannot be asked, CommandError when the command fails; both name the host.
        """
        try:
            return shell.run(self.command(words), where=self.name, stdin=stdin, timeout=timeout)
        except CommandError as error:
            lost = not self.is_here and (error.timed_out or error.code == NO_CONNECTION)
            kind = Unreachable if lost else CommandError
            limit = timeout if error.timed_out else None
            # The command that was asked for says more than ssh with all its options, which is in the log.
            raise kind(words, where=self.name, code=error.code, output=error.output, limit=limit) from error

    def close(self) -> None:
        """Close the shared connection, if there is one."""
        if self.shared and not self.is_here:
            shell.run([*self.ssh()[:-1], "-O", "exit", self.ssh()[-1]], check=False)

    def options(self) -> list[str]:
        """The options that ssh needs; Ansible's ssh needs them in addition to user, port and control path."""
        words = [] if self.known_hosts is None else ["-F", "none"]
        words += [word for option in self._options() for word in ("-o", option)]
        if self.jump:
            # ssh's own -J would ask the person's configuration, and this host's key, for the jump.
            through = shlex.join([*self.jump.ssh()[:-1], "-W", "[%h]:%p", self.jump.ssh()[-1]])
            words += ["-o", f"ProxyCommand={through}"]
        return [*words, *self.arguments]

    def variables(self) -> dict[str, str | int]:
        """The same way as Ansible's variables of the host."""
        return {
            "ansible_host": self.address,
            **({"ansible_user": self.user} if self.user else {}),
            **({"ansible_port": self.port} if self.port else {}),
            "ansible_ssh_common_args": shlex.join(self.options()),
        }

    def _options(self) -> list[str]:
        options = ["BatchMode=yes", f"ConnectTimeout={self.connect_timeout}", "LogLevel=ERROR"]
        if self.known_hosts:
            options += [f'UserKnownHostsFile="{self.known_hosts}"', "StrictHostKeyChecking=yes"]
            options += ["IdentitiesOnly=yes"]
        if self.key:
            options += [f'IdentityFile="{self.key}"']
        if self.shared:
            options += ["ControlMaster=auto", "ControlPersist=60"]
        return options

    def _place(self) -> list[str]:
        return [
            *(["-p", str(self.port)] if self.port else []),
            *(["-l", self.user] if self.user else []),
            self.address,
        ]

    def _socket(self) -> str:
        """Where the socket of the shared connection is; a private directory of the cloud would make too long a path.

        Only who trusts the same host keys, and logs in by the same key, finds the connection: another cloud, or an
        inventory of somebody else, may name the same address and mean another host.
        """
        runtime = "/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR") or str(Path.home() / ".ssh")
        trusted = repr((self.known_hosts, self.key, self.jump, self.arguments))
        return f"{runtime}/arbaro-{hashlib.sha256(trusted.encode()).hexdigest()[:8]}-%C"
