# SPDX-License-Identifier: Apache-2.0
"""A small, stated part of bash, evaluated without running anything; the rest is refused (docs/reference/openrc.md)."""
