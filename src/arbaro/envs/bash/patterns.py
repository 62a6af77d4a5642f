# SPDX-License-Identifier: Apache-2.0
"""`${NAME%pattern}` and its like, and the patterns of `case`: literal text, `*` and `?`."""

import re
from typing import TYPE_CHECKING

from arbaro.envs.bash.values import Text, Unknown, Value

if TYPE_CHECKING:
    from arbaro.envs.bash.words import Piece

_TOO_MUCH = "this pattern is not worked out"
#: Matching takes time by the power of the number of stars.
_MOST_STARS = 3
_LONGEST = 2000


def compiled(pieces: "list[Piece]") -> "re.Pattern[str] | None":
    """The pattern as a regular expression; None where its meaning depends on more than its text."""
    expression, stars = "", 0
    for piece in pieces:
        if not isinstance(piece.value, Text):
            return None
        text = piece.value.text
        if piece.quoted:
            expression += re.escape(text)
        elif re.search(r"[\[\]\\(]" if piece.literal else r"[\[\]\\*?(]", text):
            return None
        else:
            stars += text.count("*")
            expression += re.escape(text).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(expression, re.DOTALL) if stars <= _MOST_STARS else None


def cut(operator: str, value: str, pieces: "list[Piece]", line: int) -> Value:
    """The value without what the pattern takes off its front (#) or its end (%); doubled: the most of it."""
    pattern = compiled(pieces)
    if pattern is None or not value.isascii() or not pattern.pattern.isascii() or len(value) > _LONGEST:
        return Unknown(_TOO_MUCH, line)
    front, most = operator[0] == "#", len(operator) == 2
    places = range(len(value) + 1)
    # The front is longest at the last place, the end at the first one.
    for at in reversed(places) if front == most else places:
        if pattern.fullmatch(value[:at] if front else value[at:]):
            return Text(value[at:] if front else value[:at])
    return Text(value)
