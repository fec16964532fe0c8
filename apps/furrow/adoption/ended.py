"""How a task's run ended where that is neither a result nor an error; raised by its handler, and told by the pool process."""

from furrow.states import Outcome, State


class Ended(BaseException):
    """The end of a run."""

    def __init__(
        self,
        state: State,
        outcome: Outcome,
        said: str,
        *,
        delay: float | None = None,
        error: BaseException | None = None,
    ) -> None:
        """``error``: what is shown as the reason, with its traceback; else ``said`` alone is."""
        self.state, self.outcome, self.said, self.delay, self.error = state, outcome, said, delay, error
        super().__init__(said)
