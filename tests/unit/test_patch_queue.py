# SPDX-License-Identifier: Apache-2.0
"""The module patch_queue with the real patch(1): each patch once, whole or not at all, and never in silence."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from arbaro.settings import files_dir

MODULE = files_dir() / "ansible/library/patch_queue.py"
STOCK = "one\ntwo\nthree\nfour\nfive\n"
ONE = """Description: three is better in capitals
--- a/package/code.py
+++ b/package/code.py
@@ -1,5 +1,5 @@
 one
 two
-three
+THREE
 four
 five
"""
#: Comes after ONE and changes the same line.
TWO = ONE.replace("-three\n+THREE", "-THREE\n+Three")
#: Changes a file that is there, and one that is not.
HALF = ONE + "--- a/package/other.py\n+++ b/package/other.py\n@@ -1 +1 @@\n-gone\n+here\n"


class Queue:
    """A directory with a package, and patches of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.code = directory / "package/code.py"
        self.code.parent.mkdir()
        self.code.write_text(STOCK)

    def apply(self, *patches: str, check: bool = False) -> dict[str, Any]:
        """Run the module as Ansible does."""
        files = [self.directory / f"{number}.patch" for number, _ in enumerate(patches)]
        for file, text in zip(files, patches, strict=True):
            file.write_text(text)
        asked = {"directory": str(self.directory), "patches": list(map(str, files)), "_ansible_check_mode": check}
        given = json.dumps({"ANSIBLE_MODULE_ARGS": asked})
        done = subprocess.run([sys.executable, MODULE], input=given, capture_output=True, text=True, timeout=60)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path)


def test_a_patch_is_applied_once(queue: Queue) -> None:
    assert queue.apply(ONE)["files"] == [str(queue.code)]
    assert queue.code.read_text() == STOCK.replace("three", "THREE")
    assert not queue.apply(ONE)["changed"]
    assert queue.code.read_text() == STOCK.replace("three", "THREE")


def test_one_builds_on_the_other(queue: Queue) -> None:
    queue.apply(ONE)
    assert queue.apply(ONE, TWO)["changed"]
    assert not queue.apply(ONE, TWO)["changed"]
    assert queue.code.read_text() == STOCK.replace("three", "Three")


def test_a_package_that_was_upgraded_is_patched_again(queue: Queue) -> None:
    queue.apply(ONE, TWO)
    queue.code.write_text(STOCK)
    assert queue.apply(ONE, TWO, check=True)["changed"]
    assert queue.code.read_text() == STOCK
    queue.apply(ONE, TWO)
    assert queue.code.read_text() == STOCK.replace("three", "Three")


def test_its_mode_stays(queue: Queue) -> None:
    queue.code.chmod(0o640)
    queue.apply(ONE)
    assert queue.code.stat().st_mode & 0o777 == 0o640


def test_lines_that_have_moved_are_found(queue: Queue) -> None:
    queue.code.write_text("# a new line\n" * 40 + STOCK)
    assert queue.apply(ONE)["changed"]


def test_a_package_that_has_changed_is_a_failure_that_says_so(queue: Queue) -> None:
    queue.code.write_text(STOCK.replace("two", "zwei"))
    told = queue.apply(ONE)
    assert told["failed"]
    assert "0.patch neither applies" in told["msg"]
    assert queue.code.read_text() == STOCK.replace("two", "zwei")
    assert sorted(path.name for path in queue.code.parent.iterdir()) == ["code.py"]


def test_half_a_patch_is_none(queue: Queue) -> None:
    assert queue.apply(HALF)["failed"]
    assert queue.code.read_text() == STOCK
