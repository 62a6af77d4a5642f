# SPDX-License-Identifier: Apache-2.0
"""A true Debian 12 with cloud-init boots in the cloud and runs a script, as docs/how-to/real-debian-guest.md says."""

import pytest

from .conftest import ROOT, Tool
from .test_docs import type_page, wait_for_console

# Soak: without KVM, building the image and Debian's first start take minutes.
pytestmark = pytest.mark.soak

SCRIPT = """#!/bin/sh
echo "This is $(. /etc/os-release; echo $PRETTY_NAME), said by $(cloud-init --version 2>&1)." >/dev/console
"""


def test_cloud_init_runs_the_script(cloud: Tool) -> None:
    script = ROOT / "hello.sh"
    script.write_text(SCRIPT)
    try:
        type_page(cloud, "how-to/real-debian-guest.md", "ssh -i")
        console = wait_for_console(cloud, "deb", "This is Debian GNU/Linux 12", timeout=600)
        assert "said by /usr/bin/cloud-init 2" in console
    finally:
        cloud.client("server", "delete", "--wait", "deb")
        script.unlink()
