"""What a database needs before the processes start: `python -m deploy.prepare`, a program of its own, for it loads Django.

Migrates, and creates the user `admin` with $ADMIN_PASSWORD if there is none; one that exists is left alone. The last
word it prints is `generated` if that password opens the account, and `changed` if somebody has set another one.
"""

import os

import django


def main() -> None:
    """Prepare the database that the environment names."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    password = os.environ["ADMIN_PASSWORD"]
    if not User.objects.filter(username="admin").exists():
        User.objects.create_superuser("admin", password=password)
    print("generated" if User.objects.get(username="admin").check_password(password) else "changed")


if __name__ == "__main__":
    main()
