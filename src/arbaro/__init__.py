# SPDX-License-Identifier: Apache-2.0
"""Arbaro: grow, run and renew a private cloud on real OpenStack."""

__version__ = "0.1.0"
