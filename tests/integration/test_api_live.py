"""The programs of docs/http_api.md, as they stand there, against everything that runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db.models import Q
from furrow import Job
from furrow.actions import tokens
from furrow.models import ApiAnswer, AuditEntry

from tests.stack import Stack, wait_until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "http_api.md"


@pytest.mark.parametrize("language", ["console", "python"])
def test_the_programs_of_the_page_run_as_they_stand(stack: Stack, language: str, tmp_path: Path) -> None:
    programs = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    program = next(text for text in programs if "FURROW" in text)
    token, secret = tokens.make(language, user=User.objects.get(username=stack.admin[0]), scopes=["read", "submit", "act"])
    environ = {**os.environ, "FURROW": f"{stack.web_url.rstrip('/')}/api", "TOKEN": secret}
    command = ["bash", "-euo", "pipefail", "-c", program] if language == "console" else [sys.executable, "-c", program]
    wait_until(lambda: _answers(environ), seconds=30, what="the web server answers")
    try:
        done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    finally:
        token.delete()
        ApiAnswer.objects.all().delete()
        AuditEntry.objects.filter(Q(token=str(token)) | Q(action="create token")).delete()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in done.stdout
    assert "Received a message: Hello" in done.stdout
    assert Job.objects.filter(kind="hello.log_message").exists()


def _answers(environ: dict[str, str]) -> bool:
    command = ["curl", "-sfo", "/dev/null", f"{environ['FURROW']}/openapi.json"]
    return subprocess.run(command, check=False).returncode == 0
