# SPDX-License-Identifier: Apache-2.0
"""What a task consists of: steps that look before they touch, so each can be done again after a kill."""
