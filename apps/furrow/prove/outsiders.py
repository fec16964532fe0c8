"""What programs outside need in the private database: ``python -m furrow.prove.outsiders URL`` makes a webhook of this address,
and a token for workers in other languages. Prints their secrets as JSON.
"""

import json
import os
import sys

import django

from furrow.prove.spec import LOUD


def introduce(url: str) -> dict[str, str]:
    """The secrets: ``webhook``, ``token``."""
    from django.contrib.auth import get_user_model

    from furrow.actions import tokens
    from furrow.models import Webhook
    from furrow.models.api_token import Scope

    hook = Webhook.objects.create(name="prove", url=url, patterns=[LOUD])
    user = get_user_model().objects.create_superuser("prove")
    _, token = tokens.make("works", user=user, scopes=[Scope.WORK])
    return {"webhook": hook.secret, "token": token}


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    sys.stdout.write(json.dumps(introduce(sys.argv[1])) + "\n")
