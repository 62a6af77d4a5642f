# SPDX-License-Identifier: Apache-2.0
"""Physical machines as a service beside nova."""
