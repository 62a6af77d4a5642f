# SPDX-License-Identifier: Apache-2.0
"""A neutron network that is routed down to the hypervisor: no two servers share a link."""
