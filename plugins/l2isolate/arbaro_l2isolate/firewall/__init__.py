# SPDX-License-Identifier: Apache-2.0
"""Security groups on nftables: policy (what neutron says), rules (what nftables should hold), flows, and the hands."""
