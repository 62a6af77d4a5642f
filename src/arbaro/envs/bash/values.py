# SPDX-License-Identifier: Apache-2.0
"""What a variable holds while nothing is executed: a text, an answer that a person will give, or nobody knows what."""

from dataclasses import dataclass


class Refused(Exception):
    """This file is not in the part of bash that is evaluated here."""

    def __init__(self, why: str, line: int, *, mend: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.line = line
        #: The program and options that mend the file, if one does.
        self.mend = mend


@dataclass(frozen=True)
class Text:
    """A value that is known."""

    text: str


@dataclass(frozen=True)
class Answer:
    """What a person answers to the file's question; it is never empty, because arbaro takes no empty answer."""

    number: int
    prompt: str


@dataclass(frozen=True)
class Unknown:
    """A value that only a shell would know, why, and in which line; it does no harm as long as nobody needs it."""

    why: str
    line: int
    #: A variable that the file never set: in an empty environment it is not set, in a person's shell it may be.
    foreign: bool = False
    #: It has some value that is not empty; `$0` and `$BASH_SOURCE` differ.
    name: str = ""
    #: Outside of quotes it may be no word, or several ones.
    several: bool = False


Value = Text | Answer | Unknown


def joined(values: list[Value], line: int) -> Value:
    """The value of several parts, one after another."""
    parts = [value for value in values if value != Text("")]
    if unknown := next((part for part in parts if isinstance(part, Unknown)), None):
        return unknown if len(parts) == 1 else Unknown(unknown.why, unknown.line)
    if len(parts) == 1:
        return parts[0]
    if any(isinstance(part, Answer) for part in parts):
        return Unknown("the value is put together from an answer", line)
    return Text("".join(part.text for part in parts if isinstance(part, Text)))
