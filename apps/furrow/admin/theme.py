"""Widgets and classes of the admin: unfold's where that theme is installed, else Django's."""

from typing import Any

from django import forms
from django.apps import apps
from django.contrib.admin import widgets
from django.utils.safestring import SafeString

UNFOLD = apps.is_installed("unfold")

if UNFOLD:
    from unfold.admin import ModelAdmin, checkbox
    from unfold.decorators import display
    from unfold.views import ChangeList
    from unfold.widgets import (
        UnfoldAdminAutocompleteWidget,
    )
    from unfold.widgets import UnfoldAdminIntegerFieldWidget as NumberInput
    from unfold.widgets import UnfoldAdminPasswordToggleWidget as PasswordInput
    from unfold.widgets import UnfoldAdminSelectWidget as Select
    from unfold.widgets import UnfoldAdminTextareaWidget as Textarea
    from unfold.widgets import UnfoldAdminTextInputWidget as TextInput
    from unfold.widgets import UnfoldBooleanWidget as CheckboxInput

    class AutocompleteSelect(UnfoldAdminAutocompleteWidget):
        """The theme's, with Django's own options: the theme's show only rows of a related field."""

        option_template_name = "django/forms/widgets/select_option.html"

    #: The pages of a list and of one row, where they are not the theme's own.
    LIST: str | None = None
    FORM: str | None = None
    #: A filter of a list: the theme puts a form around all of them.
    FILTER = "admin/furrow/filter.html"
else:
    from django.contrib.admin import ModelAdmin, display
    from django.contrib.admin.views.main import ChangeList
    from django.contrib.admin.widgets import AdminTextareaWidget as Textarea
    from django.contrib.admin.widgets import AdminTextInputWidget as TextInput
    from django.forms import CheckboxInput, NumberInput, PasswordInput, Select

    checkbox = CheckboxInput({"class": "action-select", "aria-label": "Select this row"}, lambda value: False)

    class AutocompleteSelect(forms.Select):  # type: ignore[no-redef]
        """Django's own asks for rows of a related field; this one asks the address in its attributes."""

        def __init__(self, attrs: dict[str, Any] | None = None, choices: Any = ()) -> None:
            own = {
                "class": "admin-autocomplete",
                "data-ajax--cache": "true",
                "data-ajax--delay": 250,
                "data-ajax--type": "GET",
                "data-theme": "admin-autocomplete",
            }
            super().__init__({**own, **(attrs or {})}, choices)

        @property
        def media(self) -> forms.Media:
            """Django's."""
            return widgets.AutocompleteMixin.media.fget(self)  # type: ignore[attr-defined,no-any-return]

    LIST = "admin/furrow/stock_list.html"
    FORM = "admin/furrow/stock_form.html"
    FILTER = "admin/furrow/filter_alone.html"

#: The box above all rows of a list.
ALL_ROWS = getattr(ModelAdmin.action_checkbox, "short_description", SafeString('<input type="checkbox" id="action-toggle">'))
#: What every page of ours needs.
MEDIA = forms.Media(css={"all": [*([] if UNFOLD else ["furrow/stock.css"]), "furrow/furrow.css"]}, js=["furrow/relative.js"])


def box(name: str, value: str) -> SafeString:
    """The box before a row of a list."""
    return SafeString(checkbox.render(name, value))


__all__ = [
    "ALL_ROWS",
    "FILTER",
    "FORM",
    "LIST",
    "MEDIA",
    "UNFOLD",
    "AutocompleteSelect",
    "ChangeList",
    "CheckboxInput",
    "ModelAdmin",
    "NumberInput",
    "PasswordInput",
    "Select",
    "TextInput",
    "Textarea",
    "box",
    "display",
]
