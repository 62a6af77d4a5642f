# SPDX-License-Identifier: Apache-2.0
"""Which cloud am I on: environments out of clouds.yaml, and shells that are each in one of them."""
