# SPDX-License-Identifier: Apache-2.0
"""What is kept of machines, their tasks and events, and how it got its present form."""
