"""The settings of a process: every value with where it came from. Secrets are masked."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from console.output.settings_view import shown_value
from tasks.settings.forge_tables import variable_of
from tasks.settings.origins import Origins, Place, flat
from tasks.settings.settings import Settings, settings_file


@dataclass(frozen=True, kw_only=True)
class SettingsSource:
    """What the settings of this process were read from."""

    file: Path = field(default_factory=settings_file)
    origins: Origins = field(default_factory=lambda: Origins.read(settings_file()))


def settings_document(settings: Settings, source: SettingsSource) -> dict[str, Any]:
    """For scripts: by their names, such as `job.max_attempts`."""
    lines = setting_lines(settings, source.origins)
    return {"file": str(source.file), "settings": {line["name"]: line for line in lines}}


def setting_lines(settings: Settings, origins: Origins) -> list[dict[str, Any]]:
    """Each with its name, its value, the source of that, and the variable that sets it."""
    return [_line(origins, place, value) for place, value in flat(settings)]


def _line(origins: Origins, place: Place, value: Any) -> dict[str, Any]:
    return {
        "name": ".".join(place),
        "value": shown_value(place[-1], value),
        "source": origins.of(place).value,
        "variable": variable_of(*place),
    }
