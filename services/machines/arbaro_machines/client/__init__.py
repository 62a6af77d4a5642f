# SPDX-License-Identifier: Apache-2.0
"""`openstack machine …`: the plug-in of the openstack client."""
