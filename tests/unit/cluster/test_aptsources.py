# SPDX-License-Identifier: Apache-2.0
"""The machine's Debian sources are found in both forms, others are left out, other suites can be asked for."""

from arbaro.cluster.aptsources import sources_for

DEB822 = """\
Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb-src
URIs: http://mirror.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: https://packages.example/node
Suites: nodistro
Components: main
"""
ONE_LINE = """\
# deb http://mirror.example/debian bookworm main
deb http://mirror.example/debian-security bookworm-security main contrib
deb [arch=amd64 signed-by=/etc/k.gpg] http://own.example/debian bookworm main
deb https://packages.example/sdk sdk-bookworm main
"""


def test_only_debians_own_sources_are_taken() -> None:
    found = [str(source) for source in sources_for("bookworm", "bookworm", [(True, DEB822), (False, ONE_LINE)])]
    key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    assert found == [
        f"deb {key} http://mirror.example/debian bookworm main",
        f"deb {key} http://mirror.example/debian bookworm-updates main",
        f"deb {key} http://mirror.example/debian-security bookworm-security main contrib",
        "deb [signed-by=/etc/k.gpg] http://own.example/debian bookworm main",
    ]


def test_another_suite_comes_from_the_same_mirror() -> None:
    found = [source.suite for source in sources_for("trixie", "bookworm", [(True, DEB822)])]
    assert found == ["trixie", "trixie-updates"]
