# SPDX-License-Identifier: Apache-2.0
"""What every provider of hosts must do."""
