#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: have a queue of patches applied to what a package installed.

It works on copies: patches that are applied are taken off, the last one first, then all are put on in order. What comes
out replaces the package's files where it differs. So a queue is applied whole or not at all, and can be applied again.
A patch that does not apply to the package as it was shipped is an error: the package has changed, somebody must look.
"""

import filecmp
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

#: No fuzz: lines around a change that differ may mean something else. Lines that have only moved are found.
PATCH = ["patch", "--strip=1", "--force", "--fuzz=0", "--reject-file=-", "--no-backup-if-mismatch"]


class DoesNotApply(Exception):
    """A patch that its package is not as the patch wants it to be."""


def run(directory: Path, patch: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run patch in this directory."""
    command = [*PATCH, *options, f"--directory={directory}", f"--input={patch}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def changed_files(patch: Path) -> list[str]:
    """Name the files that a patch changes."""
    return re.findall(r"^\+\+\+ [^/\s]+/(\S+)", patch.read_text(), re.MULTILINE)


def patch_copies(directory: Path, patches: list[Path], scratch: Path) -> list[str]:
    """Copy the files that the patches change, and apply the whole queue to the copies; returns the files' names."""
    names = sorted({name for patch in patches for name in changed_files(patch)})
    for name in (name for name in names if (directory / name).exists()):
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(directory / name, scratch / name)
    for patch in reversed(patches):
        if run(scratch, patch, "--reverse", "--dry-run").returncode == 0:
            run(scratch, patch, "--reverse")
    for patch in patches:
        done = run(scratch, patch)
        if done.returncode:
            raise DoesNotApply(
                f"{patch.name} neither applies to what is below {directory} nor is it applied already. Its package has"
                " changed: see whether the release still needs the patch, and renew it or take it out of the queue."
                f" patch(1) says: {(done.stdout + done.stderr).strip()}"
            )
    return names


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "patches": {"type": "list", "elements": "path", "required": True},
        },
        supports_check_mode=True,
    )
    directory, patches = Path(module.params["directory"]), [Path(patch) for patch in module.params["patches"]]
    with tempfile.TemporaryDirectory() as scratch:
        try:
            names = patch_copies(directory, patches, Path(scratch))
        except DoesNotApply as error:
            module.fail_json(msg=str(error))
        files = [name for name in names if not filecmp.cmp(Path(scratch, name), directory / name, shallow=False)]
        for name in files if not module.check_mode else ():
            module.atomic_move(str(Path(scratch, name)), str(directory / name))
    module.exit_json(changed=bool(files), files=[str(directory / name) for name in files])


if __name__ == "__main__":
    main()
