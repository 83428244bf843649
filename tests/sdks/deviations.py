"""Where an SDK does other than its own table of classes says, and why.

Each was seen in the SDK's source; whatever is not here is a failure.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Deviation:
    """When an SDK deviates, what it does instead, and why."""

    sdk: str
    when: Callable
    instead: dict
    reason: str

    def holds(self, sdk, version, told, sent):
        """Whether it is about this failure."""
        return f"{sdk.name} {sdk.language}" == self.sdk and self.when(version, told, sent)


DEVIATIONS = []
