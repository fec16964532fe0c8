"""What each of the campaign's kinds promises of itself, as plain data: ``kinds`` declares them by it, the judge expects it."""

from dataclasses import dataclass

#: Errors that no further attempt can mend, by the names of their classes.
FINAL_ERRORS = frozenset({"Abort", "ArgumentError", "ResultError", "StepError"})
#: The rate of ``prove.paced``: so many starts in any stretch of so many seconds.
STARTS, STRETCH = 25, 5.0
#: How long ``prove.lasting`` keeps its unique key, in seconds.
KEPT = 5.0
#: What a submit or a signal within a handler logs while Redis is away.
UNWOKEN = "No wake-up sent"
#: Kinds whose moves a program outside hears of: those that move in the most ways, and are not the bulk of the load.
TOLD = (
    *("prove.flaky", "prove.fails", "prove.aborts", "prove.snoozes", "prove.overdue", "prove.dies", "prove.long"),
    *("prove.ordered", "prove.debounced", "words.count"),
)
#: Events that submitters publish in their transactions. A webhook wants those of the first name alone.
LOUD, QUIET, EITHER = "prove.said.loud", "prove.said.quiet", "prove.said.*"


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A kind as the judge knows it. Keys are values of the argument ``key``."""

    attempts: int = 12  #: that count, before a job has failed for good
    timeout: float | None = None  #: seconds after which a run may be cut off
    dies: bool = False  #: its handler may kill its own process
    itself: bool = True  #: what fails is the handler itself, not a transaction around it
    slots: int | None = None  #: so many runs of one key at once
    rate: tuple[int, float] | None = None  #: so many starts in so many seconds
    ordered: bool = False  #: the jobs of one key run one after the other, in the order of their submits
    lined: bool = False  #: the same, by a queue with partitions: as long as no message is lost
    unique: str | float | None = None  #: ``started``, ``done``, or seconds: until then no other job has its key
    replaces: bool = False  #: a second submit gives the first job its arguments
    remark: str = ""  #: lines of its log that begin so are the engine's own
    elsewhere: bool = False  #: its handler is in another program, which writes down nothing for the judge


SPECS: dict[str, Spec] = {
    "prove.noop": Spec(),
    "prove.bridged": Spec(),
    "prove.ticks": Spec(),
    "prove.hears": Spec(),
    "words.count": Spec(attempts=8, elsewhere=True),
    "prove.brief": Spec(),
    "prove.long": Spec(),
    "prove.flaky": Spec(),
    "prove.fails": Spec(attempts=2),
    "prove.aborts": Spec(),
    "prove.snoozes": Spec(),
    "prove.logs": Spec(),
    "prove.writes": Spec(),
    "prove.transactional": Spec(itself=False),
    "prove.overdue": Spec(timeout=1.0),
    "prove.dies": Spec(attempts=3, dies=True),
    "prove.reads": Spec(),
    "prove.secret": Spec(),
    "prove.alone": Spec(slots=1),
    "prove.few": Spec(slots=3),
    "prove.paced": Spec(rate=(STARTS, STRETCH)),
    "prove.ordered": Spec(ordered=True),
    "prove.lined": Spec(lined=True),
    "prove.fair": Spec(),
    "prove.looks": Spec(),
    "prove.leaves": Spec(remark="A transaction was left open"),
    "prove.forks": Spec(),
    "prove.joins": Spec(),
    "prove.links": Spec(),
    "prove.grows": Spec(),
    "prove.steps": Spec(),
    "prove.says": Spec(),
    "prove.once": Spec(unique="done"),
    "prove.only": Spec(unique="done"),
    "prove.lasting": Spec(unique=KEPT),
    "prove.debounced": Spec(unique="started", replaces=True),
}
