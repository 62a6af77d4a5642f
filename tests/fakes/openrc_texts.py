# SPDX-License-Identifier: Apache-2.0
"""Openrc files that nobody would write: each construct of bash that could be taken wrongly, put together by chance.

Two manners: `tame` ones are mostly within the part of bash that is evaluated, so that values are compared; hostile ones
are mostly outside of it, so that it is seen whether they are refused.
"""

import random

NAMES = ("OS_A", "OS_B", "A", "B", "C", "X")
PLAIN = "abcXYZ01.:/-_@%+,="
OPERATORS = ("", ":-", "-", ":+", "+", ":=", "=", "%", "%%", "#", "##", ":?", "/", "//", "^^", ",,", ":0:2", ":1", "@Q")
SPECIAL = (
    *(
        "$$",
        "$?",
        "$#",
        "$1",
        "${1:-q}",
        "$@",
        "$0",
        "${#A}",
        "${!A}",
        "$-",
        "$_",
        "$10",
        "${A[0]}",
        "$HOME",
        "${HOME:-h}",
    ),
    *("$USER", "$RANDOM", "$LINENO", "${OS_*}", "${!OS_*}", "$PWD", "${USER-x}"),
)
OPERANDS = (
    *(
        "*",
        "?",
        "*.",
        "b*",
        "/a/b",
        ".*",
        "a b",
        "'q'",
        '"q r"',
        "\\}",
        "x\\ y",
        "~",
        "~/x",
        "a:~",
        "*://",
        "[a]",
        "a&b",
        "{",
    ),
)
IN_QUOTES = (
    *(
        '\\"',
        "\\$",
        "\\\\",
        "\\n",
        "\\`",
        " ",
        "$",
        "'",
        "~",
        "*",
        "{a,b}",
        "$ ",
        "!",
        "#x",
        "é",
        "\n",
        "\\\n",
        "a'b",
        "\t",
    ),
)
ANSI = (
    *(
        "a\\x41",
        "\\101\\n",
        "it\\'s",
        "\\u00e9",
        "\\e[0m",
        "\\q",
        "\\cA",
        "\\x",
        "\\0",
        "\\\\",
        '\\"',
        "\\u41",
        "\\U00000042",
    ),
    *("\\400", "\\xe9", "\\xc3\\xa9", "é"),
)
ESCAPED = ("\\ ", "\\$", "\\\\", "\\'", '\\"', "\\a", "\\~", "\\*", "\\\n", "\\#", "\\{")
BARE = (
    *(
        "~",
        "~/",
        "*",
        "?",
        "[a]",
        "{a,b}",
        "{1..3}",
        "#",
        "!",
        "%",
        "^",
        "@(a)",
        "é",
        "$",
        "a#b",
        ":~",
        "=~",
        "{",
        "}",
        "{}",
    ),
    *('$"x"', "\t", "\u00a0", "\u200b", "\u202e"),
)
COMMANDS = (
    *(
        "$(echo hi)",
        "`echo hi`",
        "$((1+2))",
        "$(echo $A)",
        "$(A=5; echo x)",
        "$[1+1]",
        '$(echo "a)b")',
        "<(x)",
        "$(</dev/null)",
    ),
    *(
        "$(echo $(echo a))",
        "$(case x in x) echo y;; esac)",
        "$(echo 'a)b')",
        "$(exit 3)",
        "`echo \\`echo x\\``",
        "$(# c\n)",
    ),
)
JUNK = [
    *"abcxyz019 .:/-_@%+,=~#!?*[]{}()<>|&;$\"'\\`\t^",
    "é",
    "\u00a0",
    "漢",
    "\\\n",
    "$$",
    "$A",
    "${B}",
    "\n",
    "$(",
    "$'",
]
ODD_NAMES = ("A[0]", "IFS", "PATH", "HOME", "A-B", "1A", "OS_é", "LANG", "UID", "RANDOM", "_", "POSIXLY_CORRECT", "PS1")
TESTS = (
    *(
        "-z %s",
        "-n %s",
        "%s",
        "%s = %s",
        "%s == %s",
        "%s != %s",
        "%s -eq %s",
        "%s -lt %s",
        "! -z %s",
        "%s = %s -a %s = %s",
    ),
    *(
        "-z %s -o -n %s",
        "-f %s",
        "%s < %s",
        "%s =~ %s",
        "! %s",
        "-v %s",
        "%s = a*",
        "-d /etc",
        "-e %s",
        "! %s = %s",
        "%s %s",
    ),
)
VERDICTS = (
    "true",
    "false",
    ":",
    "! true",
    "grep -q x /dev/null",
    "tty -s",
    "hash foo",
    "(( 1 ))",
    "(( 0 ))",
    "(( A = 1 ))",
)
DECLARATIONS = (
    *("export", "declare -x", "readonly", "export -n", "typeset -x", "declare", "declare +x", "local", "declare -rx"),
    *("export -p", "export --", "declare -i", "declare -l", "declare -gx", "readonly -p", "export -f", "declare -n"),
)
READS = (
    *(
        "",
        "-r ",
        "-s ",
        "-sr ",
        "-p 'P: ' ",
        '-rsp "Pass: " ',
        "-r -p x ",
        "-n 3 ",
        "-a ",
        "-t 1 ",
        "-u 0 ",
        "-d x ",
        "-rp'z' ",
    ),
)
RUNS = (
    *(
        "echo ",
        "echo -n ",
        "printf '%s' ",
        "printf -v A ",
        ": ",
        "true ",
        "eval ",
        "command ",
        "builtin ",
        "exec ",
        "let ",
    ),
    *("cat ", "stty -echo ", "A=c true ", "B=q echo "),
)
REDIRECTIONS = (
    *(
        "",
        "",
        "",
        " >&2",
        " > /dev/null",
        " 2>&1",
        " >/nonexistent/x",
        " &",
        " | cat",
        " | read A",
        " <<E\nfoo\nE",
        " <<'E'\n$A\nE",
    ),
)
SETTINGS = (
    *(
        "-a",
        "+a",
        "-e",
        "-u",
        "-x",
        "+x",
        "-o allexport",
        "+o allexport",
        "-o posix",
        "--",
        "-f",
        "-k",
        "-ae",
        "+e",
        "-h",
        "-n",
    ),
    *("-- a b", "-a -u", "-o", "-ao pipefail", "-B", "+B"),
)
ODD_COMMANDS = (
    *(
        "f() { A=f; }",
        "f",
        "alias export=echo",
        "alias A=b",
        "export() { :; }",
        "echo() { A=e; }",
        "unset -f echo",
        "cd /",
    ),
    *(
        "function g { B=g; }",
        "g",
        "shopt -s extglob",
        "shopt -u sourcepath",
        "trap 'A=t' EXIT",
        "trap 'A=d' DEBUG",
        "hash -r",
    ),
    *(
        "umask 0",
        "enable -n echo",
        "mapfile A",
        "getopts a B",
        "coproc x",
        "time true",
        "source x",
        "./x",
        "nonexistent_cmd",
    ),
    *(
        "[[ a",
        "(A=s)",
        "( exit )",
        "test()",
        "trap 'OS_A=r' RETURN",
        "wait",
        "A=1 B=2\nexport A",
        "export A=(1 2)",
        "A[1]=x",
    ),
)
LEAVING = ("return", "return 0", "exit", "break", "continue", "shift", "return 1 2", "exit 0", "break 2")
WIPING = "$(set | awk '{FS=\"=\"} /^OS_/ {print $1}')"
ENDS = ("export OS_A OS_B A B", "export OS_A=$A OS_B", 'export C=$OS_A X="$OS_B" A B', "")

#: What a hand puts into a file that should not be there.
STRAY = (
    *" \t\n;&|()<>$`\"'\\#=:/*?[]{}~!%^+-.,@_0aZé",
    *("\\\n", "$$", "$A", "${B}", "${OS_X:-y}", '""', "''", "$(x)", "`x`", "&&", "||", ";;", "fi\n", "then ", "else "),
    *("done", "do ", "export ", "unset ", "read ", "set -a\n", '[ -z "$OS_X" ] && ', "${", "$(", "$'", "\r", "exit"),
    *('if [ -n "$OS_USERNAME" ]; then\n', "return\n", " OS_Z=1 ", "\u00a0", "\ufeff", "cat <<E\n", "E\n"),
)


class Texts:
    """A source of files; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.rnd = random.Random(seed)
        self.tame = False

    def next(self) -> str:
        """One more file."""
        self.tame = self.chance(0.7)
        text = "".join(self.statement() + self.separator(whole=True) for _ in range(self.rnd.randint(1, 4)))
        text = text.replace("\n", "\r\n") if self.chance(0.01) else text
        return ("\ufeff" if self.chance(0.01) else "") + text + self.one(ENDS)

    def some_files(self, count: int) -> list[str]:
        """As many files."""
        return [self.next() for _ in range(count)]

    def changed_files(self, files: list[str], statements: list[str], count: int) -> list[str]:
        """Files with one to four faults of a hasty hand, and with lines that come from elsewhere."""
        return [self.changed(self.one(files), files, statements) for _ in range(count)]

    def changed(self, text: str, files: list[str], statements: list[str]) -> str:
        """One file with faults."""
        for _ in range(self.rnd.randint(1, 4)):
            at, kind = self.rnd.randrange(len(text) + 1), self.rnd.random()
            lines = text.split("\n")
            line = self.rnd.randrange(len(lines))
            if kind < 0.5:
                text = text[:at] + self.one(STRAY) + text[at + self.rnd.randint(0, 1) :]
            elif kind < 0.7:
                text = text[:at] + text[at + self.rnd.randint(1, 12) :]
            elif kind < 0.8:
                text = "\n".join([*lines[:line], *lines[line + 1 :], lines[line]])
            else:
                more = statements if kind < 0.9 else self.one(files).split("\n")
                text = "\n".join([*lines[:line], self.one(more).replace("⏎", "\n"), *lines[line:]])
        return text

    def one(self, choices: "tuple[str, ...] | list[str]") -> str:
        return self.rnd.choice(choices)

    def chance(self, share: float) -> bool:
        return self.rnd.random() < share

    def some(self, most: int, make: "object", *, least: int = 0, between: str = "") -> str:
        return between.join(make() for _ in range(self.rnd.randint(least, most)))  # type: ignore[operator]

    def plain(self) -> str:
        return self.some(6, lambda: self.one([*PLAIN]))

    def name(self) -> str:
        return self.one(NAMES)

    def expansion(self, depth: int) -> str:
        name, operator = self.name(), self.one(OPERATORS)
        if self.chance(0.3):
            return f"${name}"
        if self.chance(0.1):
            return self.one(SPECIAL)
        operand = "" if not operator else self.word(depth + 1) if self.chance(0.7) and depth < 3 else self.one(OPERANDS)
        return f"${{{name}{operator}{operand}}}"

    def tame_word(self) -> str:
        name, kind = self.name(), self.rnd.random()
        if kind < 0.3:
            return self.plain() + "v"
        if kind < 0.45:
            return "'" + self.some(4, lambda: self.one([*'ab $"#\\*é\n'])) + "'"
        operator = self.one(("", "", ":-", "-", ":+", "+", ":=", "%", "%%", "#", "##"))
        cuts = bool(operator) and operator in "%%##"
        operand = self.one(("*.", "x*", ".*", "/", "*", '"q"', "a", "?b")) if cuts else ""
        operand = operand or (self.one(("def", "", "$A", "${B}", '"q r"', "a:b", "a:~", "~")) if operator else "")
        found = f"${name}" if self.chance(0.4) else f"${{{name}{operator}{operand}}}"
        return self.one(
            (
                found,
                f'"{found}"',
                f'"{self.plain()} {found}"',
                self.plain() + found,
                f"\\ x{found}",
                f"$'t\\x41\\n'{found}",
            )
        )

    def word(self, depth: int = 0) -> str:
        if self.tame and self.chance(0.75):
            return self.tame_word()
        return self.some(3, lambda: self.part(depth), least=0 if depth else 1)

    def part(self, depth: int) -> str:
        kind = self.rnd.random()
        if kind < 0.3:
            return self.plain()
        if kind < 0.4:
            return "'" + self.some(6, lambda: self.one(JUNK)).replace("'", "") + "'"
        if kind < 0.55:
            return (
                '"'
                + self.some(3, lambda: self.one((self.plain(), self.expansion(depth + 1), self.one(IN_QUOTES))))
                + '"'
            )
        if kind < 0.75:
            return self.expansion(depth)
        if kind < 0.8:
            return f"$'{self.one(ANSI)}'"
        pool = ESCAPED if kind < 0.84 else BARE if kind < 0.9 else COMMANDS if kind < 0.94 else ()
        return self.one(pool) if pool else self.some(6, lambda: self.one(JUNK)) if kind < 0.97 else ""

    def assignment(self) -> str:
        name = self.one(ODD_NAMES) if self.chance(0.03) else self.name()
        if self.chance(0.02):
            return f"{name}=({self.word()} b)"
        return name + self.one(("=", "=", "=", "=", "+=")) + self.word()

    def test(self) -> str:
        term = self.one(TESTS)
        while "%s" in term:
            operands = (
                f'"${self.name()}"',
                f'"${{{self.name()}}}"',
                f"${self.name()}",
                self.word(),
                "a",
                "''",
                '""',
                "1",
                "2",
                "x y",
            )
            term = term.replace("%s", self.one(operands).replace("%s", ""), 1)
        kind = self.rnd.random()
        if kind < 0.75:
            return f"[ {term} ]" if kind < 0.6 else f"test {term}"
        if kind < 0.95:
            return f"[[ {term}{self.one(('', '', ' && -n $A', ' || -z $B'))} ]]"
        return self.one((*VERDICTS, f"[{term}]"))

    def simple(self) -> str:
        kind = self.rnd.random()
        if self.tame and kind > 0.6 and self.chance(0.7):
            return self.tame_command()
        if kind < 0.3:
            return self.some(3, self.assignment, least=1, between=" ")
        if kind < 0.6:
            return self.declaration()
        if kind < 0.68:
            names = (self.name(), f"${self.name()}", f'"{self.name()}"', "$(echo A)", WIPING)
            return "unset " + self.one(("", "-v ", "-f ", "-n ")) + self.some(2, lambda: self.one(names), between=" ")
        if kind < 0.76:
            names_read = " ".join(self.name() for _ in range(self.rnd.choice((0, 1, 1, 1, 1, 1, 2))))
            after = self.one(("", "", " </dev/null", " 2>/dev/null", " <<<x"))
            return self.one(("", "IFS= ", "IFS=: ", "A=b ")) + "read " + self.one(READS) + names_read + after
        if kind < 0.82:
            return self.one(RUNS) + self.word() + self.one(REDIRECTIONS)
        pool = SETTINGS if kind < 0.86 else LEAVING if kind < 0.88 else ODD_COMMANDS if kind < 0.90 else ()
        return self.test() if not pool else ("set " if pool is SETTINGS else "") + self.one(pool)

    def declaration(self) -> str:
        words = (self.assignment(), self.assignment(), self.name())
        if self.tame:
            kind = self.one(DECLARATIONS[:4] if self.chance(0.8) else DECLARATIONS)
            return f"{kind} " + self.some(3, lambda: self.one(words), least=1, between=" ")
        words = (*words, self.word(), f'"{self.name()}=q"', f"'{self.name()}'=r")
        return (
            self.one(DECLARATIONS)
            + " "
            + self.one((" ", "", "\t", "\\\n "))
            + self.some(3, lambda: self.one(words), between=" ")
        )

    def tame_command(self) -> str:
        name = self.name()
        return self.one((
            f"unset {name}", f"read -r {name}", f"read -rsp 'P: ' {name}", f"echo {self.word()}", "set -a", "set +a",
            f": {self.word()}", "return", self.test(), self.test(), self.test(), "f() { A=f; }", "alias zz=x",
            "stty -echo 2>/dev/null", "printf '%s' x >&2", f'[ -z "${name}" ] && {self.assignment()}',
        ))  # fmt: skip

    def separator(self, *, whole: bool = False) -> str:
        if self.chance(0.03):
            return self.one((" ", ";;", "&", "\r\n", " \\\n", "\t\n", " ;", ""))
        return self.one(("\n", "\n", "\n", "; ", "\n# c 'x\n", "\n\n", " # d\n") if whole else ("; ", "\n", " # c\n"))

    def body(self, depth: int) -> str:
        parts = [self.statement(depth + 1) for _ in range(self.rnd.randint(1, 2))]
        return self.separator().join(parts) + self.separator()

    def statement(self, depth: int = 0) -> str:
        kind = self.rnd.random()
        if depth > 2 or kind < 0.62:
            return self.simple()
        if kind < 0.8:
            return self.branches(depth)
        if kind < 0.85:
            return self.one(("while ", "until ")) + self.test() + self.separator() + "do " + self.body(depth) + "done"
        if kind < 0.88:
            words = self.some(2, lambda: self.one((self.word(), "a", WIPING)), between=" ")
            body = self.one((self.body(depth), "unset $X ; ", "unset $A; "))
            return f"for {self.name()} in {words}{self.separator()}do {body}done"
        if kind < 0.91:
            return self.case(depth)
        if kind < 0.94:
            return "{ " + self.body(depth) + "}"
        if kind < 0.96:
            return self.one(("( ", "! ")) + self.statement(depth + 1) + self.one((" )", ""))
        return self.statement(depth + 1) + self.one((" && ", " || ", " &&\n", " | ")) + self.statement(depth + 1)

    def branches(self, depth: int) -> str:
        text = (
            "if " + self.one((self.test(), self.statement(depth + 1))) + self.separator() + "then " + self.body(depth)
        )
        if self.chance(0.3):
            text += "elif " + self.test() + self.separator() + "then " + self.body(depth)
        return text + ("else " + self.one(("", "\n")) + self.body(depth) if self.chance(0.5) else "") + "fi"

    def case(self, depth: int) -> str:
        patterns = ("a", "*", "'b'", '"x y"', "a|b", "[0-9]*", "a*", "(c)", "$A", "?", '"*"')
        ends = (";;\n", " ;;\n", "\n;;\n", ";&\n")
        items = (
            self.one(patterns) + ") " + self.statement(depth + 1) + self.one(ends)
            for _ in range(self.rnd.randint(0, 3))
        )
        return "case " + self.one((self.word(), '"$A"', "$A")) + " in\n" + "".join(items) + "esac"
