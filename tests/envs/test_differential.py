# SPDX-License-Identifier: Apache-2.0
"""What `env import` takes from a file is what real bash exports in an empty environment, or the file is refused."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from arbaro.envs.bash.shell import evaluate
from arbaro.envs.bash.values import Answer, Refused, Text, Unknown, Value
from tests.fakes import real_bash
from tests.fakes.openrc_texts import Texts

CASES = sorted((Path(__file__).parents[1] / "cases" / "openrc").iterdir())
STATEMENTS = (Path(__file__).parents[1] / "cases" / "statements").read_text().splitlines()
MANY, AT_ONCE = 10_000, 1000
#: Where a statement of the list stands.
PLACES = (
    "{}",
    "A=1 B=2; export OS_A='a b'\n{}\nexport OS_A OS_B A B; export OS_C=\"$A|$B|$OS_A\"",
    "set -a\nif {}\nthen OS_A=yes; else OS_A=no; fi",
    'A="$FOO"\n[ -f /nowhere ] && {}\nexport OS_A A B',
    "read A\nfor B in x y; do {}\ndone\nexport OS_A A B",
    "case a in a) {}\n;; esac || OS_B=no\nexport OS_A OS_B A B",
)


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


def compare(texts: Iterable[str], directory: Path) -> tuple[list[str], int]:
    """The texts that are taken wrongly, and how many were taken at all."""
    directory.mkdir(exist_ok=True)
    taken = dict[str, dict[str, Value]]()
    for text in texts:
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


@pytest.mark.parametrize("place", PLACES)
def test_statements(place: str, tmp_path: Path) -> None:
    wrong, taken = compare((place.replace("{}", line.replace("⏎", "\n")) for line in STATEMENTS), tmp_path)
    assert not wrong, f"{len(wrong)} are taken wrongly, the first: {wrong[0]}"
    assert taken > len(STATEMENTS) / 8


def test_generated_files(tmp_path: Path) -> None:
    wrong, taken = list[str](), 0
    for seed in range(MANY // AT_ONCE):
        more, count = compare(Texts(seed).some_files(AT_ONCE), tmp_path / str(seed))
        wrong, taken = wrong + more, taken + count
    assert not wrong, f"{len(wrong)} are taken wrongly, the first: {wrong[0]}"
    # If nearly all were refused, nothing would be compared.
    assert taken > MANY / 8


def changed_files(seed: int) -> list[str]:
    """Files of the corpus with a few faults."""
    return Texts(seed).changed_files([path.read_text() for path in CASES], STATEMENTS, AT_ONCE)


def test_files_of_the_corpus_with_faults(tmp_path: Path) -> None:
    wrong, taken = compare(changed_files(0), tmp_path)
    assert not wrong, f"{len(wrong)} are taken wrongly, the first: {wrong[0]}"
    assert taken > AT_ONCE / 8


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_many_more_generated_files(seed: int, tmp_path: Path) -> None:
    wrong, _ = compare(Texts(seed).some_files(AT_ONCE), tmp_path)
    assert not wrong, wrong[0]


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_many_more_files_with_faults(seed: int, tmp_path: Path) -> None:
    wrong, _ = compare(changed_files(seed), tmp_path)
    assert not wrong, wrong[0]
