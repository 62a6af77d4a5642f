# SPDX-License-Identifier: Apache-2.0
"""The escapes in `$'…'`. https://www.gnu.org/software/bash/manual/html_node/ANSI_002dC-Quoting.html"""

import re

from arbaro.envs.bash.values import Text, Unknown, Value

_ONE = {
    b"a": b"\a", b"b": b"\b", b"e": b"\x1b", b"E": b"\x1b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t",
    b"v": b"\v", b"\\": b"\\", b"'": b"'", b'"': b'"', b"?": b"?",
}  # fmt: skip
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9A-Fa-f]{1,2}|u[0-9A-Fa-f]{1,4}|U[0-9A-Fa-f]{1,8}|c.|.)", re.DOTALL)


def unescaped(inner: bytes, line: int) -> Value:
    """What stands between the quotes means; Unknown where it depends on the language of the shell."""
    try:
        return Text(_ESCAPE.sub(_meaning, inner).decode())
    except (ValueError, KeyError):
        return Unknown("this escape in $'…' means something else in another shell's language", line)


def _meaning(match: re.Match[bytes]) -> bytes:
    escape = match[1]
    if escape[:1] in b"01234567":
        return _byte(int(escape, 8) & 0xFF)
    if escape[:1] in b"xuU" and len(escape) > 1:
        code = int(escape[1:], 16)
        if escape[:1] != b"x" and code > 0x7F:
            raise ValueError
        return _byte(code)
    if escape[:1] in b"cxuU":
        raise ValueError
    # An unknown escape stays as it is.
    return _ONE.get(escape, match[0])


def _byte(code: int) -> bytes:
    if code == 0:
        raise ValueError("bash cuts the text here")
    return bytes([code])
