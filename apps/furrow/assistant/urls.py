"""The address of the Model Context Protocol, for ``path("mcp", include("furrow.assistant.urls"))``."""

from django.urls import path

from furrow.assistant.http import NAME, mcp

urlpatterns = [path("", mcp, name=NAME)]
