# SPDX-License-Identifier: Apache-2.0
"""What runs inside nova-scheduler: `--hint aggregate_id=…` puts a server into the aggregate that the user names."""
