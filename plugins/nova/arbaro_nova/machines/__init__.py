# SPDX-License-Identifier: Apache-2.0
"""The compute driver for physical machines: nova's words on one side, the machines API's on the other."""
