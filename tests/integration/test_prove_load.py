"""What a campaign's submitters write down must be what happened."""

from pathlib import Path

import pytest
from django.db import connection, transaction
from furrow import Job, submit
from furrow.prove import records, transactions

from tests import kinds


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no connections that somebody could cut")
@pytest.mark.usefixtures("live_db")
def test_what_django_rolled_back_in_silence_is_not_taken_for_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ``atomic()`` ends without an error, and rolled back, when a savepoint in it could not be rolled back."""
    monkeypatch.setenv(records.FOLDER, str(tmp_path))
    monkeypatch.setattr(transactions, "journal", records.Record("submits"))
    other = connection.copy()

    def work(tx: transactions.Transaction) -> list[str]:
        job = submit(kinds.add, {"a": 1})
        try:
            with transaction.atomic():
                with other.cursor() as cursor:
                    cursor.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
                raise transactions.RollBack
        except transactions.RollBack:
            return [job.pk.hex]

    try:
        transactions.Transaction("savepoint").run(work)
    finally:
        other.close()
        connection.close()
    assert [line["did"] for line in records.read(tmp_path, "submits")] == ["intent", "rolled back"]
    assert not Job.objects.exists()
