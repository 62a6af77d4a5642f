# SPDX-License-Identifier: Apache-2.0
"""What runs inside nova, one package for each of nova's parts. Nova itself stays as its distributor ships it."""
