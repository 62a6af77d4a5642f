# SPDX-License-Identifier: Apache-2.0
"""What real bash exports after sourcing files in an empty environment, answers typed where they ask; many at once."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

#: What bash itself puts there.
OWN = {"PWD", "OLDPWD", "SHLVL", "_"}


def answer(number: int) -> str:
    """What is typed at a file's question."""
    return f"answer-{number}"


def sourced(texts: Sequence[str], directory: Path) -> list[dict[str, str] | None]:
    """The exported variables for each text; None where sourcing it ended the shell, or did not end."""
    (directory / "answers").write_text("".join(f"{answer(n)}\n" for n in range(1, 60)))
    lines = []
    for number, text in enumerate(texts):
        (directory / f"{number}").write_bytes(text.encode())
        # No variable is set here that the text could see. A loop without end is ended after a second.
        lines.append(f"( ulimit -t 1; . ./{number}; exec /usr/bin/env -0 >out{number} ) <answers >/dev/null 2>&1\n")
    (directory / "driver").write_text("".join(lines))
    argv = ["/usr/bin/env", "-i", "/bin/bash", "--norc", "--noprofile", "driver"]
    subprocess.run(argv, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, timeout=600)
    return [_variables(directory / f"out{number}") for number in range(len(texts))]


def _variables(path: Path) -> dict[str, str] | None:
    if not path.exists():
        return None
    items = (item.split("=", 1) for item in path.read_bytes().decode(errors="surrogateescape").split("\0") if item)
    # Functions are exported under names that no variable can have.
    return {name: value for name, value in items if name not in OWN and not name.startswith("BASH_FUNC_")}
