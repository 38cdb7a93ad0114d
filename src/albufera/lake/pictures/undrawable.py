"""Why there is no picture."""


class Undrawable(Exception):
    """No picture can be made of this frame; ``reason`` is a sentence for the person."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StudioBusy(Undrawable):
    """No picture for now: too many are waiting, or the studio is closing. Ask again later."""
