# SPDX-License-Identifier: Apache-2.0
"""The script has ended when the guest says so, whatever the script prints."""

import pytest

from arbaro.cluster.first_server import script_has_ended

STARTS, ENDS = "arbaro: 4.8 user script starts", "arbaro: 4.8 user script done (exit 0)"


@pytest.mark.parametrize(
    "printed", ["user script done", "I wait until it says: user script done (exit 0)", f"echo {ENDS} # soon", "..."]
)
def test_what_a_script_prints_does_not_end_it(printed: str) -> None:
    log = f"{STARTS}\n{printed}"
    assert not script_has_ended(log + "\n")
    # Its last line may lack the newline.
    for end in ("", "\n"):
        assert script_has_ended(log + end + ENDS.replace("exit 0", "exit 3") + "\n")
