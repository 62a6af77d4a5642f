# SPDX-License-Identifier: Apache-2.0
"""The hands of a drill: its shell lines are run on the host that they are for.

Lines and values travel by standard input, so neither `ps` nor a shell's history shows them.
"""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

from arbaro.drills.catalogue import Drill, Group, directory
from arbaro.drills.scene import HOST_OF, for_group
from arbaro.errors import CommandError
from arbaro.reach import Reach, Unreachable

if TYPE_CHECKING:
    from arbaro.cluster.cloud import Cloud

#: Seconds that a line may take.
PATIENCE = 300
#: One at a time on a host.
LOCK = "exec 9>/run/arbaro-drill.lock; flock -w 240 9"
_SHELL = ("bash", "-e", "-u", "-o", "pipefail", "-s")
_HERE = Reach("this machine", "", is_here=True)


def script(lines: str, values: Mapping[str, str]) -> str:
    """The lines as bash reads them: values first, each as one quoted word, then the functions of drills/prelude.sh.

    bash reads the whole group before it runs any of it, so no command in it eats what follows. And it goes on when we
    are killed: the lock has whoever mends wait for that. Commands of the group do not inherit it.
    """
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    prelude = (directory() / "prelude.sh").read_text()
    return f"{exports}{prelude}\n{LOCK}\n{{\n{lines.rstrip()}\n}} </dev/null 9>&-\n"


def run(cloud: "Cloud", group: Group, lines: str, values: Mapping[str, str]) -> str:
    """Run lines on the group's host. Raises CommandError that names the host."""
    seen = for_group(values, group, cloud.keeper.directory / "drill-kept")
    return _reach(cloud, group, values).run(_SHELL, stdin=script(lines, seen), timeout=PATIENCE)


def is_proved(cloud: "Cloud", part: Drill, values: Mapping[str, str]) -> bool:
    """Say whether a fault is in place right now. Raises Unreachable when its host cannot be asked."""
    try:
        run(cloud, part.host, part.proves, values)
    except Unreachable:
        raise
    except CommandError as error:
        if error.timed_out:
            raise
        return False
    return True


def _reach(cloud: "Cloud", group: Group, values: Mapping[str, str]) -> Reach:
    return _HERE if group == "here" else cloud.inventory.reach(values[HOST_OF[group]])
