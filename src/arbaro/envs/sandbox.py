# SPDX-License-Identifier: Apache-2.0
"""`env import --evaluate`: real bash runs the file where it can touch nothing, and says what it exports.

There are no files but bash itself and its libraries, no network, no programs, no environment, and little time. The
file has no terminal: what it reads is asked here, and it is run anew with one answer more.
"""

import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from pathlib import Path

from arbaro import shell
from arbaro.envs import openrc
from arbaro.envs.bash import scope
from arbaro.envs.openrc import Openrc
from arbaro.errors import ArbaroError, CommandError

_BASH = "/bin/bash"
#: Seconds for a run; nobody types meanwhile.
_TIME = 20
_MOST_QUESTIONS = 20
_OF_BASH_ITSELF = {"PWD", "OLDPWD", "SHLVL", "_"}
#: What may be repeated of bash's own words; the rest could hold a secret.
_MESSAGES = re.compile(
    r"No such file or directory|unbound variable|syntax error|unexpected EOF|readonly variable|Permission denied"
    r"|Read-only file system|bad substitution|invalid option|Resource temporarily unavailable|Is a directory"
)


def evaluate(path: Path, given: Mapping[str, str], ask: Callable[[str], str] | None = None) -> Openrc:
    """Run a file shut in, and return what it exports. Raises ArbaroError where that would not be what you would get."""
    from arbaro.envs import vault

    text = openrc.text_of(path)
    _refuse_own_variables(path, text, given)
    answers: list[str] = []
    while len(answers) <= _MOST_QUESTIONS:
        printed = _run(text, given, answers)
        question = _question(printed)
        if question is None:
            return _exported(path, printed, given)
        answers.append((ask or vault.ask)(f"{path.name} asks: {question}"))
    raise _refusal(path, None, f"it asks more than {_MOST_QUESTIONS} questions")


def _run(text: str, given: Mapping[str, str], answers: list[str]) -> str:
    """All that was printed, our driver's frames among it."""
    bwrap = shutil.which("bwrap")
    if not bwrap:
        raise ArbaroError(
            "bubblewrap is not installed, and without it nothing is run.", hint="apt-get install bubblewrap"
        )
    driver = resources.files("arbaro.envs").joinpath("shells/sandbox.bash").read_text()
    with tempfile.TemporaryDirectory(prefix="arbaro-") as directory:
        (Path(directory) / "openrc").write_text(text)
        # In a file of ours: an argv can be read by everybody.
        (Path(directory) / "given").write_text("".join(f"export {k}={shlex.quote(v)}\n" for k, v in given.items()))
        walls = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
        walls += ["--hostname", "nowhere", "--dev", "/dev", *_bound(directory), "--remount-ro", "/", "--chdir", "/"]
        argv = [bwrap, *walls, "--", _BASH, "--norc", "--noprofile", "-c", driver]
        try:
            return shell.run(argv, stdin="".join(f"{a}\n" for a in answers), timeout=_TIME, check=False)
        except CommandError as error:
            raise ArbaroError(
                f"The file was not done after {_TIME} s, and was ended.", hint="arbaro env add NAME"
            ) from error


def _bound(directory: str) -> Iterator[str]:
    for name in ("openrc", "given"):
        yield from ("--ro-bind", f"{directory}/{name}", f"/{name}")
    for library in [_BASH, *re.findall(r"(/\S+) \(0x", shell.run(["ldd", _BASH]))]:
        yield from ("--ro-bind", library, library)


def _frames(printed: str) -> list[tuple[str, str]]:
    """What our driver said: kind and content."""
    found = [part.split(":", 2) for part in printed.split("\0") if part.startswith("arbaro:")]
    return [(part[1], part[2]) for part in found if len(part) == 3]


def _question(printed: str) -> str | None:
    frames = _frames(printed)
    if not frames or frames[-1][0] != "ask":
        return None
    said = printed.rpartition("\0arbaro:ask:")[0].split("\0")[-1].strip().split("\n")[-1]
    return (frames[-1][1] or said or "a line").strip()


def _exported(path: Path, printed: str, given: Mapping[str, str]) -> Openrc:
    frames = _frames(printed)
    for kind, content in frames:
        if kind == "no":
            line, _, why = content.partition(" ")
            raise _refusal(path, line, why)
    if error := re.search(r"^/openrc: (?:[^\n]*: )?line (\d+): (.*)", printed, re.MULTILINE):
        message = _MESSAGES.search(error[2])
        raise _refusal(path, error[1], f"bash reports an error{f' ({message[0]})' if message else ''}")
    if ("end", "") not in frames:
        raise _refusal(path, None, "bash did not come to its end: it ends the shell, or could not be shut in")
    found = Openrc()
    for kind, content in frames:
        name, _, value = content.partition("=")
        if kind == "value" and openrc.TAKEN.fullmatch(name):
            if "\ufffd" in value:
                raise _refusal(path, None, f"{name} is not text")
            found.exported[name] = value
        elif kind == "value" and name not in given and name not in _OF_BASH_ITSELF:
            found.left_out.append(name)
    return found


def _refuse_own_variables(path: Path, text: str, given: Mapping[str, str]) -> None:
    """In an empty environment `$HOME` and its like would be silently empty. Raises ArbaroError for the first."""
    for number, line in enumerate(text.split("\n"), 1):
        code = re.sub(r"^\s*#.*", "", line)
        for found in re.finditer(r"\$\{?([A-Za-z_]\w*)(:?[-=+])?|(?<![^\s=:])~(?=[/\s]|$)", code, re.ASCII):
            name = found[1] or "HOME"
            if name in given or (found[1] and not scope.is_of_the_person(name, text, bool(found[2]))):
                continue
            what = f"${name}" if found[1] else "~"
            raise ArbaroError(
                f"{path}, line {number}: {what} is of your own shell, and the file runs shut in.",
                hint=f"arbaro env import --evaluate --take {name} {path}, or write its value into the file",
            )


def _refusal(path: Path, line: str | None, why: str) -> ArbaroError:
    where = f"{path}, line {line}" if line else str(path)
    return ArbaroError(f"{where}: {why}.", why="Nothing was written.", hint="arbaro env add NAME")
