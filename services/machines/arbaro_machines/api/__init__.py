# SPDX-License-Identifier: Apache-2.0
"""The REST API; docs/reference/machines-api.md is its contract."""
