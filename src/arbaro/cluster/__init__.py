# SPDX-License-Identifier: Apache-2.0
"""Personal clouds: a whole multi-node OpenStack of one's own."""
