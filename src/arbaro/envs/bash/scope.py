# SPDX-License-Identifier: Apache-2.0
"""The variables of the imagined shell: it starts with an empty environment, and nobody has typed anything in it."""

import re
from dataclasses import dataclass, replace

from arbaro.envs.bash.values import Answer, Refused, Text, Unknown, Value, joined

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
#: What bash itself gives a value to or a meaning, whatever the file says.
_OF_BASH = re.compile(
    r"BASH.*|COMP_.*|COPROC|DIRSTACK|ENV|EPOCH.*|EUID|EXECIGNORE|FUNCNAME|FUNCNEST|GLOBIGNORE|GROUPS|HISTCMD|HOSTNAME"
    r"|HOSTTYPE|IFS|LINENO|MACHTYPE|MAPFILE|OLDPWD|OPTARG|OPTERR|OPTIND|OSTYPE|PIPESTATUS|POSIXLY_CORRECT|PPID|PS4|PWD"
    r"|RANDOM|REPLY|SECONDS|SHELL|SHELLOPTS|SHLVL|SRANDOM|TERM|TMOUT|UID|_|histchars|auto_resume|PATH"
)
#: Setting one of these changes how bash reads what follows.
_NOT_TO_BE_SET = re.compile(
    r"BASH.*|COMP_.*|COPROC|DIRSTACK|EPOCH.*|EUID|FUNCNAME|FUNCNEST|GROUPS|HISTCMD|IFS|LINENO|OPTIND|PIPESTATUS|POSIXLY_CORRECT"
    r"|PPID|RANDOM|SECONDS|SHELLOPTS|SRANDOM|TMOUT|UID|_|GLOBIGNORE|LC_.*|LANG|LANGUAGE"
)
#: Set in every login, so a default for them would hardly ever be taken.
_OF_A_LOGIN = re.compile(
    r"HOME|USER|LOGNAME|MAIL|LANG|LC_.*|DISPLAY|EDITOR|PAGER|TMPDIR|TZ|XDG_.*|SSH_.*|PS1|PS2|HISTFILE"
)
#: Other shells know themselves by these; in bash they are not set.
_OF_OTHER_SHELLS = ("ZSH_VERSION", "KSH_VERSION", "FISH_VERSION", "ZSH_NAME", "YASH_VERSION")
#: What a file adds to its own proxy exceptions; the shell's own ones stay there and are no part of an environment.
_OF_PROXIES = ("no_proxy", "NO_PROXY")

#: Longer than any credential; a loop can double a value with each round.
_LONGEST = 100_000


@dataclass
class _Variable:
    value: Value | None = None
    exported: bool = False
    readonly: bool = False
    #: Why only a shell knows whether it is exported.
    doubt: Unknown | None = None


class Scope:
    """Variables, and which of them are exported. `given`: variables of the person's shell that the file may see."""

    def __init__(self, given: dict[str, str]) -> None:
        self.variables = {name: _Variable(Text(value), exported=True) for name, value in given.items()}
        self.export_all = False
        self.questions = 0
        #: Functions and aliases of the file.
        self.functions: set[str] = set()
        #: Whether the file has set anything yet.
        self.untouched = not given
        #: Whether programs are found, as far as that matters.
        self.path_is_known = True

    def is_function(self, name: str) -> bool:
        """Say whether the file gives this command a meaning of its own."""
        return name in self.functions

    def exported(self) -> dict[str, Value]:
        """What a program would find in its environment."""
        found = {name: v.value if v.exported else v.doubt for name, v in self.variables.items() if v.value is not None}
        return {name: value for name, value in found.items() if value is not None}

    def look_up(self, name: str, line: int) -> Value | None:
        """The value of a variable; None if it is not set."""
        if name in self.variables:
            return self.variables[name].value
        if name == "0":
            return Unknown("`$0` is the shell's own name", line, name="$0")
        if name.isdigit():
            return Unknown(f"${name} is what is typed behind the file's name", line, foreign=True)
        if _OF_BASH.fullmatch(name):
            known = name in ("BASH_VERSION", "BASH", "BASH_SOURCE")
            return Unknown(f"${name} is set by the shell itself", line, name=name if known else "")
        if name.startswith("OS_") or name in (*_OF_OTHER_SHELLS, *_OF_PROXIES):
            return None
        return Unknown(f"${name} is a variable of your own shell, which this file does not set", line, foreign=True)

    def has_default(self, name: str) -> bool:
        """Say whether `${NAME:-default}` of a variable that the file never set may be believed."""
        return not _OF_A_LOGIN.fullmatch(name)

    def assign(self, name: str, value: Value, line: int) -> None:
        """Set a variable. Raises Refused for one that has a meaning of its own."""
        if _NOT_TO_BE_SET.fullmatch(name):
            raise Refused(f"${name} has a meaning of its own for bash and is set here", line)
        if isinstance(value, Text) and len(value.text) > _LONGEST:
            raise Refused(f"${name} grows too long here", line)
        variable = self._changeable(name, line)
        # Whatever came in: from here on the file has set it.
        variable.value = replace(value, foreign=False) if isinstance(value, Unknown) else value
        variable.exported = variable.exported or self.export_all
        self.untouched = False

    def append(self, name: str, value: Value, line: int) -> None:
        """`NAME+=value`."""
        before = self.look_up(name, line)
        self.assign(name, value if before is None else joined([before, value], line), line)

    def ask(self, name: str, prompt: str, line: int) -> None:
        """Let a person answer for a variable."""
        self.questions += 1
        self.assign(name, Answer(self.questions, prompt), line)

    def mark(self, name: str, line: int, *, exported: bool | None = None, readonly: bool = False) -> None:
        """Give a variable an attribute, set or not."""
        if name not in self.variables:
            self.variables[name] = _Variable(self.look_up(name, line))
        if exported is not None:
            self.variables[name].exported = exported
            self.variables[name].doubt = None
        self.variables[name].readonly |= readonly

    def unset(self, name: str, line: int) -> None:
        """Forget a variable and that it was exported."""
        self._changeable(name, line)
        self.variables[name] = _Variable()

    def blur(self, name: str, why: str, line: int) -> None:
        """Nobody knows any more what a variable holds, nor whether it is exported."""
        self.assign(name, Unknown(why, line), line)
        self.variables[name].doubt = Unknown(why, line)

    def unset_all_of_openstack(self, line: int) -> None:
        """What kolla's and packstack's loops over `set` do."""
        for name, variable in list(self.variables.items()):
            if not name.startswith("OS_"):
                continue
            if variable.doubt:
                raise Refused(f"only a shell knows whether ${name} is set here", line)
            # One that has no value is not listed, and stays exported if it was.
            if variable.value is not None:
                self.unset(name, line)

    def _changeable(self, name: str, line: int) -> _Variable:
        if not NAME.fullmatch(name):
            raise Refused("this is not the name of a variable", line)
        self.path_is_known = self.path_is_known and name != "PATH"
        variable = self.variables.setdefault(name, _Variable())
        if variable.readonly:
            raise Refused(f"${name} is read-only and is changed here", line)
        return variable


def is_of_the_person(name: str, text: str, has_default: bool) -> bool:
    """Say whether this text reads a variable that it never sets and that a person's shell may have."""
    if name.startswith(("OS_", "BASH_")) or name in (*_OF_OTHER_SHELLS, *_OF_PROXIES):
        return False
    if _OF_BASH.fullmatch(name) or _OF_A_LOGIN.fullmatch(name):
        return not re.search(rf"\b{name}\+?=", text)
    is_set = re.search(rf"\b{name}\+?=|\bread\b[^\n;|&]*\b{name}\b|\bfor\s+{name}\b", text)
    return not (is_set or has_default)
