# SPDX-License-Identifier: Apache-2.0
"""Openrc files, read without being executed: what would be in the environment after sourcing one in an empty shell.

A stated part of bash is evaluated (bash/, docs/reference/openrc.md); a file that needs more is refused with its line.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from arbaro.envs.bash import shell
from arbaro.envs.bash.values import Answer, Refused, Text, Unknown, Value
from arbaro.errors import ArbaroError

#: What may come in from a file. PATH, LD_PRELOAD, PROMPT_COMMAND and their like would make data into code.
TAKEN = re.compile(
    r"OS_[A-Z0-9_]+|(?:NOVA|CINDER|GLANCE|NEUTRON|KEYSTONE|HEAT|IRONIC|MANILA|OCTAVIA|SWIFT|TROVE|BARBICAN|DESIGNATE|MAGNUM"
    r"|MISTRAL|SENLIN|COMPUTE|IMAGE|VOLUME)(?:CLIENT_DEBUG|_VERSION|_API_VERSION|_ENDPOINT_TYPE|_URL)"
    r"|IRONICCLIENT_DEBUG|EC2_URL|S3_URL|http_proxy|https_proxy|no_proxy|HTTP_PROXY|HTTPS_PROXY|NO_PROXY",
    re.ASCII,
)


@dataclass
class Openrc:
    """What sourcing a file would leave behind. `asked`: variables whose value the file asks the person for."""

    exported: dict[str, str] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    #: Names that the file exports and that are not taken over.
    left_out: list[str] = field(default_factory=list)


def read(path: Path, given: Mapping[str, str] | None = None) -> Openrc:
    """Read an openrc file. Raises ArbaroError with file and line where only executing it would tell."""
    return parse(text_of(path), str(path), given)


def text_of(path: Path) -> str:
    """The text of a file as it is, line ends included. Raises ArbaroError."""
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ArbaroError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}.") from error


def taken_from(variables: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """The variables of the person's shell that a file may use. Raises ArbaroError for one that is not set."""
    if missing := [name for name in names if name not in variables]:
        raise ArbaroError(f"${missing[0]} is not set in this shell, or not exported.", hint=f"export {missing[0]}")
    return {name: variables[name] for name in names}


def parse(text: str, where: str, given: Mapping[str, str] | None = None) -> Openrc:
    """Read an openrc's text; `where` is named in errors. `given`: variables of the person's shell that it may see."""
    try:
        return _taken(shell.evaluate(text, dict(given or {})), set(given or {}))
    except Refused as refused:
        raise _refusal(where, refused) from refused


def _taken(exported: Mapping[str, Value], given: set[str]) -> Openrc:
    found = Openrc()
    for name, value in exported.items():
        if not TAKEN.fullmatch(name):
            found.left_out += [] if name in given else [name]
            continue
        match value:
            case Text(text):
                found.exported[name] = text
            case Answer(prompt=prompt):
                found.asked[name] = prompt
            case Unknown(why=why, line=line):
                raise Refused(f"{name} cannot be known: {why}", line)
    return found


def _refusal(where: str, refused: Refused) -> ArbaroError:
    own = re.search(r"\$(\w+) is a variable of your own shell", refused.why)
    if refused.mend:
        hint = f"{refused.mend} {shlex.quote(where)}, then run the same command again."
    elif own:
        hint = f"arbaro env import --take {own[1]} {where}, or write its value into the file"
    else:
        hint = f"arbaro env import --evaluate {where} (bash runs it, shut in), or: arbaro env add NAME"
    return ArbaroError(
        f"{where}, line {refused.line}: {refused.why}.", why="Nothing was executed or written.", hint=hint
    )
