# SPDX-License-Identifier: Apache-2.0
"""How fast environments are switched, completed, shown and listed; side by side with doing it by hand.

    .venv/bin/python benchmarks/env.py                      ten environments, 1,000 projects, in bash, zsh and fish
    .venv/bin/python benchmarks/env.py --cloud arbaro-lab   also what kept tokens save on a real cloud of clouds.yaml

Everything but --cloud happens in a temporary home, without any cloud. A switch, a Tab and a prompt are timed inside the
shell, many times in a row; the table gives the median of the runs, each the mean of its turns.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ARBARO = Path(sys.executable).with_name("arbaro")
CLIENT = Path(sys.executable).with_name("openstack")
TURNS, RUNS = 200, 5
NAMES = ["dev-1", *(f"test-{n}" for n in range(1, 6)), *(f"prod-{n}" for n in range(1, 5))]
ENTRY = """\
  {name}:
    auth: {{auth_url: 'https://k.example/v3', username: me, project_name: p}}
    region_name: kr-{name}
"""
#: What one turn of each kind is, in each shell.
TURN = {
    "switch": dict.fromkeys(("bash", "zsh", "fish"), "arbaro env use test-1"),
    "prompt": {"bash": "__arbaro_prompt", "zsh": "__arbaro_prompt", "fish": "__arbaro_segment"},
    "completion of names": {
        "bash": "COMP_WORDS=(arbaro env use te) COMP_CWORD=3; __arbaro_complete",
        "zsh": "words=(arbaro env use te) CURRENT=4; __arbaro_complete",
        "fish": "complete -C 'arbaro env use te'",
    },
    "completion of 1,000 projects": {
        "bash": "COMP_WORDS=(arbaro env use test-1 --project project-12) COMP_CWORD=5; __arbaro_complete",
        "zsh": "words=(arbaro env use test-1 --project project-12) CURRENT=6; __arbaro_complete",
        "fish": "complete -C 'arbaro env use test-1 --project project-12'",
    },
    "completion of openstack's words": {
        "bash": "COMP_WORDS=(openstack server l) COMP_CWORD=2; __arbaro_complete_openstack",
        "zsh": "words=(openstack server l) CURRENT=3; __arbaro_complete_openstack",
        "fish": "complete -C 'openstack server l'",
    },
    "by hand: source an openrc": {"bash": ". ~/openrc", "zsh": ". ~/openrc", "fish": ""},
}
WANTED = {
    "switch": 50,
    "prompt": 2,
    "completion of names": 30,
    "completion of 1,000 projects": 30,
    "completion of openstack's words": 30,
}
LOOP = {
    "bash": "b=$EPOCHREALTIME; for ((i=0;i<{turns};i++)); do {turn}; done >/dev/null; echo TOOK $b $EPOCHREALTIME",
    # Outside the line editor there is nobody to add to.
    "zsh": "compadd() {{ :; }}; b=$EPOCHREALTIME; for ((i=0;i<{turns};i++)); do {turn}; done >/dev/null; "
    "echo TOOK $b $EPOCHREALTIME",
    "fish": "set b (date +%s.%N); for i in (seq {turns}); {turn}; end >/dev/null; echo TOOK $b (date +%s.%N)",
}


def make_home(path: Path) -> dict[str, str]:
    """A home with ten environments, the projects of one, and the client's words; returns its variables."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("OS_", "ARBARO_"))}
    variables |= {f"XDG_{name.upper()}_HOME": str(path / name) for name in ("config", "cache", "state", "data")}
    variables |= {"HOME": str(path), "LANG": "C.UTF-8", "TERM": "xterm"}
    variables.pop("XDG_RUNTIME_DIR", None)
    (path / "config/openstack").mkdir(parents=True)
    entries = "".join(ENTRY.format(name=name) for name in NAMES)
    (path / "config/openstack/clouds.yaml").write_text(f"clouds:\n{entries}")
    projects = path / "cache/arbaro/env/projects/test-1"
    projects.parent.mkdir(parents=True)
    projects.write_text("".join(f"project-{n}\n" for n in range(1000)))
    names = (
        "AUTH_URL",
        "USERNAME",
        "PASSWORD",
        "PROJECT_NAME",
        "REGION_NAME",
        "USER_DOMAIN_NAME",
        "PROJECT_DOMAIN_NAME",
    )
    (path / "openrc").write_text("".join(f"export OS_{name}=value\n" for name in names))
    subprocess.run([ARBARO, "shell-init", "--refresh", "--openstack"], env=variables, check=True)
    return variables


def timed_in(shell: str, turn: str, variables: dict[str, str]) -> float:
    """Milliseconds of one turn, the mean of many in one shell."""
    load = f"{ARBARO} shell-init fish | source" if shell == "fish" else f'eval "$({ARBARO} shell-init {shell})"'
    script = f"{load}\narbaro env use dev-1\n{LOOP[shell].format(turns=TURNS, turn=turn)}\n"
    flags = {"bash": "--norc", "zsh": "-f", "fish": "--no-config"}[shell]
    done = subprocess.run(
        [shell, flags, "-c", script], env=variables, capture_output=True, text=True, cwd=variables["HOME"]
    )
    words = next(line.split() for line in done.stdout.splitlines() if line.startswith("TOOK"))
    return (float(words[2]) - float(words[1])) * 1000 / TURNS


def timed(argv: list[str], variables: dict[str, str]) -> float:
    """Milliseconds of one command."""
    began = time.perf_counter()
    subprocess.run(argv, env=variables, check=True, capture_output=True)
    return (time.perf_counter() - began) * 1000


def median(measure: Callable[[], float], runs: int = RUNS) -> float:
    """The median of several runs."""
    return statistics.median(measure() for _ in range(runs))


def shells_table(variables: dict[str, str]) -> None:
    """Print what happens inside the shells."""
    print("\n| in the shell | wanted | bash | zsh | fish |\n|---|---:|---:|---:|---:|")
    for what, turns in TURN.items():
        cells = [f"{WANTED[what]} ms" if what in WANTED else "–"]
        for shell, turn in turns.items():
            there = turn and shutil.which(shell)
            cells.append(f"{median(lambda s=shell, t=turn: timed_in(s, t, variables)):.2f} ms" if there else "–")
        print(f"| {what} | {' | '.join(cells)} |")


def commands_table(variables: dict[str, str]) -> None:
    """Print what the command itself takes, with and without a fresh index."""
    clouds = Path(variables["XDG_CONFIG_HOME"]) / "openstack/clouds.yaml"

    def after_a_change() -> float:
        clouds.touch()
        return timed([str(ARBARO), "env", "ls"], variables)

    def command(*words: str) -> Callable[[], float]:
        return lambda: timed(list(words), variables)

    arbaro = str(ARBARO)
    rows = {
        "`arbaro env ls`": ("100 ms", median(command(arbaro, "env", "ls"), 25)),
        "`arbaro env ls`, clouds.yaml has just changed": ("–", median(after_a_change, 9)),
        "`arbaro shell-init bash`, at each shell's start": ("–", median(command(arbaro, "shell-init", "bash"), 9)),
        "for comparison: `openstack --version`": ("–", median(command(str(CLIENT), "--version"))),
    }
    print("\n| command | wanted | measured |\n|---|---:|---:|")
    for what, (wanted, took) in rows.items():
        print(f"| {what} | {wanted} | {took:.0f} ms |")


def tokens_table(cloud: str) -> None:
    """Print what kept tokens save on a real cloud of the person's own clouds.yaml."""
    argv = [str(ARBARO), "env", "exec", cloud, "--plain", "--", str(CLIENT), "token", "issue", "-f", "json"]
    by_hand = [str(CLIENT), "--os-cloud", cloud, "token", "issue", "-f", "json"]
    nowhere = {**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    kept = dict(os.environ)
    timed(argv, kept)
    rows = {
        f"`openstack --os-cloud {cloud} token issue`, each logs in": (by_hand, nowhere),
        "the same, token kept": (by_hand, kept),
        f"`arbaro env exec {cloud} -- openstack token issue`, token kept": (argv, kept),
    }
    print(f"\n| on {cloud} | measured |\n|---|---:|")
    for what, (words, variables) in rows.items():
        print(f"| {what} | {median(lambda w=words, v=variables: timed(w, v)):.0f} ms |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cloud", help="an environment of your own clouds.yaml, reachable, not production")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        variables = make_home(Path(directory))
        shells_table(variables)
        commands_table(variables)
    if arguments.cloud:
        tokens_table(arguments.cloud)


if __name__ == "__main__":
    main()
