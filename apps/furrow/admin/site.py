"""The admin sites that show the engine: which classes each gets, and which site a request came to."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.sites import all_sites
from django.db.models import Model
from django.http import HttpRequest

from furrow.admin import theme

#: Each model and the class that shows it.
SHOWN: dict[type[Model], Any] = {}


def shows(model: type[Model]) -> Any:
    """The class below shows this model, on every site that is given to :func:`register`."""

    def remember(shown: Any) -> Any:
        SHOWN[model] = shown
        return shown

    return remember


def register(site: admin.AdminSite = admin.site) -> None:
    """Show jobs, queues, workers and all the rest on this site. The default site has them already."""
    for model, shown in SHOWN.items():
        if not site.is_registered(model):
            site.register(model, shown)


def of(request: HttpRequest) -> admin.AdminSite:
    """The site that this request came to."""
    names = request.resolver_match.namespaces if request.resolver_match else []
    return next((site for site in all_sites if site.name in names), admin.site)


def context(request: HttpRequest, model: type[Model] | None = None) -> dict[str, Any]:
    """What the site's templates need of a page; with a model, also the crumbs above it."""
    site = of(request)
    facts: dict[str, Any] = site.each_context(request) | {"media": theme.MEDIA}
    return facts | ({"model_admin": site.get_model_admin(model)} if model else {})


def shown_by(model: type[Model]) -> Any:
    """The class that shows this model: on the default site, else on any; ``None`` where no site does."""
    return next((site._registry[model] for site in [admin.site, *all_sites] if model in site._registry), None)
