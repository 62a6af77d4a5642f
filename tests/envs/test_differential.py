# SPDX-License-Identifier: Apache-2.0
"""What `env import` takes from a file is what real bash exports in an empty environment, or the file is refused."""

from pathlib import Path

import pytest

from arbaro.envs.bash.shell import evaluate
from arbaro.envs.bash.values import Answer, Refused, Text, Unknown, Value
from tests.fakes import real_bash
from tests.fakes.openrc_texts import Texts

CASES = sorted((Path(__file__).parents[1] / "cases" / "openrc").iterdir())
MANY, AT_ONCE = 10_000, 1000


def differences(found: dict[str, Value], real: dict[str, str] | None) -> list[str]:
    """The variables that we would have taken wrongly."""
    if real is None:
        return ["bash did not come to the end"]
    typed = {n: real_bash.answer(v.number) for n, v in found.items() if isinstance(v, Answer)}
    ours = typed | {name: value.text for name, value in found.items() if isinstance(value, Text)}
    # A value that is not known makes its file refused, if it is one that is taken over at all.
    unknown = {name for name, value in found.items() if isinstance(value, Unknown)}
    wrong = sorted(name for name in {*ours, *real} - unknown if ours.get(name) != real.get(name))
    return [f"{name}: ours {ours.get(name)!r}, bash's {real.get(name)!r}" for name in wrong]


def compare(seed: int, count: int, directory: Path) -> tuple[list[str], int]:
    """The texts that are taken wrongly, and how many were taken at all."""
    texts, taken = Texts(seed), dict[str, dict[str, Value]]()
    for text in (texts.next() for _ in range(count)):
        try:
            taken[text] = evaluate(text)
        except Refused as refused:
            assert 1 <= refused.line <= text.count("\n") + 1, text
    real = real_bash.sourced(list(taken), directory)
    wrong = [(t, differences(found, there)) for (t, found), there in zip(taken.items(), real, strict=True)]
    return [f"{diff}\n{text}" for text, diff in wrong if diff], len(taken)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_files_of_the_corpus(path: Path, tmp_path: Path) -> None:
    text = path.read_text()
    (real,) = real_bash.sourced([text], tmp_path)
    assert differences(evaluate(text), real) == []


def test_generated_files(tmp_path: Path) -> None:
    wrong, taken = list[str](), 0
    for seed in range(MANY // AT_ONCE):
        directory = tmp_path / str(seed)
        directory.mkdir()
        more, count = compare(seed, AT_ONCE, directory)
        wrong, taken = wrong + more, taken + count
    assert not wrong, f"{len(wrong)} are taken wrongly, the first: {wrong[0]}"
    # If nearly all were refused, nothing would be compared.
    assert taken > MANY / 8


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_many_more_generated_files(seed: int, tmp_path: Path) -> None:
    wrong, _ = compare(seed, AT_ONCE, tmp_path)
    assert not wrong, wrong[0]
