# SPDX-License-Identifier: Apache-2.0
"""The doctor: what is wrong with a cloud or with one server, what follows from it, and the one thing to type."""
