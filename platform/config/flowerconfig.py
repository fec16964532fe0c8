"""Flower's configuration: ``celery -A config flower --conf=platform/config/flowerconfig.py``.

It is reached through the admin's door alone (``apps/furrow/monitoring/flower.py``): below ``/flower``, on loopback unless
``FLOWER_ADDRESS`` says otherwise, with a secret that the door knows.
"""

import os
import sys

import tornado.web
from flower.views import monitor

address = os.environ.get("FLOWER_ADDRESS", "127.0.0.1")
url_prefix = "flower"
basic_auth = [os.environ.get("FLOWER_BASIC_AUTH", "")]
if ":" not in basic_auth[0]:
    sys.exit("FLOWER_BASIC_AUTH is not set: it must be user:password, the same for Flower and for web.")
# Flower leaves this page open even when all others want a password.
monitor.Metrics.get = tornado.web.authenticated(monitor.Metrics.get)
