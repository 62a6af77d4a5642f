# SPDX-License-Identifier: Apache-2.0
"""Drills: a personal cloud is broken on purpose, a person mends it, and it is put back in any case."""
