# SPDX-License-Identifier: Apache-2.0
"""One shell, one truth: what the prompt says is where `openstack` goes, in bash, zsh and fish alike."""

import random
import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from arbaro.envs.switch import quote

from .conftest import ARBARO, Home

SHOW = {
    "bash": '__arbaro_prompt; printf "PROMPT %s\\n" "${PS1@P}"',
    "zsh": '__arbaro_prompt; printf "PROMPT %s\\n" "${(%%)PS1}"',
    "fish": "echo PROMPT (fish_prompt)",
}
NOISE = re.compile(r"\x1b\[[0-9;]*m|\x1b\(B|[\x01\x02\x0f]")


def run(home: Home, shell: str, *lines: str) -> list[str]:
    return NOISE.sub("", home.shell(shell, "\n".join(lines))).splitlines()


def step(shell: str, line: str) -> str:
    return f"{line}\n{SHOW[shell]}\nopenstack token issue"


def set_by_hand(shell: str, name: str, value: str) -> str:
    return f"set -gx {name} {value}" if shell == "fish" else f"export {name}={value}"


def test_use_and_back(home: Home, shell: str) -> None:
    lines = run(home, shell, *(step(shell, f"arbaro env use {n}") for n in ("test-1", "test-5/kr-2", "-", "'lab 4'")))
    prompts = [line for line in lines if line.startswith("PROMPT")]
    assert [p.split("]")[0] for p in prompts] == [
        "PROMPT [test-1 kr-9 p-test-1", "PROMPT [test-5/kr-2 p-test-5", "PROMPT [test-1 kr-9 p-test-1", "PROMPT [lab 4 100% p-lab 4",
    ]  # fmt: skip
    went = [line for line in lines if line.startswith("WENT")]
    assert went == [f"WENT {n} by {home.file_of(n)}" for n in ("test-1", "test-5/kr-2", "test-1", "lab 4")]


def test_a_wrong_name_moves_nothing(home: Home, shell: str) -> None:
    lines = run(home, shell, "arbaro env use test-1", step(shell, "arbaro env use tset-2"))
    assert "Error: There is no environment 'tset-2'." in lines and "Next: arbaro env use test-2" in lines
    assert f"WENT test-1 by {home.clouds}" in lines and any("PROMPT [test-1" in line for line in lines)


def test_what_is_set_by_hand_shows(home: Home, shell: str) -> None:
    hand = set_by_hand(shell, "OS_AUTH_URL", "http://elsewhere")
    lines = run(home, shell, "arbaro env use test-1", step(shell, hand), step(shell, "arbaro env use test-1"))
    prompts = [line for line in lines if line.startswith("PROMPT")]
    assert "! no longer test-1: OS_AUTH_URL set by hand" in prompts[0] and "!" not in prompts[1]
    assert "WENT by hand to http://elsewhere" in lines and lines[-1] == f"WENT test-1 by {home.clouds}"


def test_a_clouds_yaml_in_this_directory_does_not_count(home: Home, shell: str) -> None:
    (home.path / "clouds.yaml").write_text("clouds: {test-1: {auth: {auth_url: evil}}}\n")
    assert f"WENT test-1 by {home.clouds}" in run(home, shell, step(shell, "arbaro env use test-1"))


def test_a_name_is_printed_and_not_executed(home: Home, shell: str) -> None:
    name = "$(touch bad)`touch bad`%n\\"
    home.clouds.write_text(
        "clouds:\n  '$(touch bad)`touch bad`%n\\': {arbaro: {kind: test}, auth: {}, region_name: '\"$x'}\n"
    )
    lines = run(home, shell, step(shell, f"arbaro env use {quote(name, shell)}"))
    assert not (home.path / "bad").exists()
    assert any('[$(touch bad)`touch bad`%n\\ "$x]' in line for line in lines), lines


def test_help_is_printed_and_never_evaluated(home: Home, shell: str) -> None:
    for words in ("--help", "test-1 --help", "--none --help"):
        lines = run(home, shell, f"arbaro env use {words}", "echo code $status" if shell == "fish" else "echo code $?")
        assert lines[0].startswith("Usage: ") and lines[-1] == "code 0", lines
        assert any("Put this shell into an environment" in line for line in lines)
        assert not any(noise in "\n".join(lines) for noise in ("not found", "Unknown command", "error", "No such")), (
            lines
        )


def test_a_changed_secure_yaml_and_a_new_file_are_noticed(home: Home, shell: str) -> None:
    """Each file that the index was made from counts, also one that was not there."""
    secure, public = (home.clouds.with_name(name) for name in ("secure.yaml", "clouds-public.yaml"))
    profile = "{public-clouds: {p: {auth: {auth_url: 'http://p'}, region_name: from-profile}}}"
    write = f"printf '%s\\n' \"{profile}\" >{public}"
    whole = "{clouds: {late: {arbaro: {kind: test}, auth: {auth_url: 'http://x', username: u, password: p}}}}"
    home.clouds.write_text("clouds: {with-p: {profile: p, arbaro: {kind: test}, auth: {username: me, password: x}}}\n")
    lines = run(
        home,
        shell,
        "arbaro env use with-p; arbaro env current",
        write,
        "arbaro env use with-p; arbaro env current",
        f"printf '%s\\n' \"{whole}\" >{secure}",
        "arbaro env use late; arbaro env current",
        f"rm {public}",
        "arbaro env use with-p; arbaro env current",
    )
    assert lines == ["with-p", "with-p from-profile", "late", "with-p"], lines


def test_no_process_is_started(home: Home, shell: str) -> None:
    """With an empty PATH and no arbaro there is nothing to start; the switch works all the same."""
    run(home, shell, "arbaro env use test-1")
    gone = "set -e PATH; set __arbaro_command /nowhere" if shell == "fish" else "PATH=; __arbaro_command=/nowhere"
    lines = run(
        home,
        shell,
        gone,
        "arbaro env use test-2",
        "arbaro env use dev-1",
        "arbaro env use -",
        SHOW[shell],
        "arbaro env use test-3",
        "arbaro env current",
    )
    assert "[test-2 kr-9 p-test-2]" in "".join(lines) and lines[-1] == "test-3 kr-9 p-test-3", lines


def test_a_thousand_random_switches_in_eight_shells_at_once(home: Home) -> None:
    seed = random.randrange(10**6)
    shells = ("bash", "zsh", "fish", "bash", "zsh", "fish", "bash", "zsh")
    over = threading.Event()
    editor = threading.Thread(target=edit_meanwhile, args=(home, over))
    editor.start()
    try:
        with ThreadPoolExecutor(len(shells)) as pool:
            seen = list(pool.map(lambda n: switches(home, shells[n], seed + n), range(len(shells))))
    finally:
        over.set()
        editor.join()
    assert sum(seen) == 1000, f"seed {seed}"


def edit_meanwhile(home: Home, over: threading.Event) -> None:
    """Another tab adds, marks and removes environments all the while."""
    # Each edit makes one run read the files with openstacksdk: seconds of a busy machine.
    while not over.wait(5):
        for words in (["mark", "dev-3", random.choice(["development", "test"])], ["mark", "dev-2", "test"]):
            subprocess.run([ARBARO, "env", *words], env=home.variables, check=True, capture_output=True)


def switches(home: Home, shell: str, seed: int, count: int = 125) -> int:
    """Make random switches, with changes by hand between; returns the number of switches that told the truth."""
    dice = random.Random(seed)
    wanted, script = [], []
    for _ in range(count):
        if wanted and dice.random() < 0.15:
            name = dice.choice(["OS_AUTH_URL", "OS_CLOUD", "OS_REGION_NAME", "OS_CLIENT_CONFIG_FILE", "OS_TOKEN"])
            script.append(step(shell, set_by_hand(shell, name, "odd")))
            wanted.append("")
        name = dice.choice(home.names())
        script.append(step(shell, f"arbaro env use '{name}'"))
        wanted.append(name)
    lines = run(home, shell, *script)
    prompts = [line for line in lines if line.startswith("PROMPT")]
    went = [line for line in lines if line.startswith("WENT")]
    assert len(prompts) == len(went) == len(wanted), (seed, lines[-5:])
    for name, prompt, where in zip(wanted, prompts, went, strict=True):
        if name:
            assert f"[{name} " in prompt and where == f"WENT {name} by {home.file_of(name)}", (
                seed,
                name,
                prompt,
                where,
            )
        else:
            # By hand: the prompt may say nothing but that.
            assert "! no longer" in prompt, (seed, prompt, where)
    return len([name for name in wanted if name])


def test_other_shells_stay_where_they_are(home: Home) -> None:
    """Two shells alive at the same time; one moves, the other does not notice."""
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(run, home, "bash", "arbaro env use test-1", "sleep 1.5", step("bash", "true"))
        time.sleep(0.5)
        run(home, "zsh", "arbaro env use test-2")
        assert slow.result()[-1] == f"WENT test-1 by {home.clouds}"
