# SPDX-License-Identifier: Apache-2.0
"""sushy-tools' Redfish emulator with made-up hardware: `python emulator.py PORT CONFIG`.

Real HTTP and real Redfish JSON. The hardware is a table in its memory; its power takes up to 11 seconds to change there,
which is cut to none here. An address to boot from (HttpBootUri), which it only knows for libvirt's machines, it is taught; as
there, it fetches what is at the address and lays it into the CD drive.
"""

import random
import sys

from sushy_tools.emulator import main as emulator
from sushy_tools.emulator.resources.systems.fakedriver import FakeDriver

if __name__ == "__main__":
    FakeDriver.get_http_boot_uri = lambda _self, _identity: None
    FakeDriver.set_http_boot_uri = lambda _self, _uri: None
    random.randint = lambda _low, _high: 0
    _, port, config = sys.argv
    sys.argv = ["sushy-emulator", "--fake", "--interface", "127.0.0.1", "--port", port, "--config", config]
    emulator.main()
