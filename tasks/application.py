"""The Celery application's own class: its configuration is what Coalmine's settings say, and nothing else.

Celery reads some of its settings from the environment whenever it is asked for them, and puts them above what
an application was given. A CELERY_BROKER_URL that is left from another project would lead workers, beat and
publishers to that project's broker, each as far as it has the variable. `celery --broker` sets it too. What
is said of these variables: see `tasks.settings.celery_variables`.
"""

from typing import Any

from celery import Celery
from celery.app.utils import Settings
from celery.loaders.app import AppLoader


class OwnConfiguration(Settings):
    """Celery's configuration without the environment."""

    @property
    def broker_url(self) -> Any:
        """The broker, as the application was given it."""
        return self["broker_url"]

    @property
    def broker_read_url(self) -> Any:
        """The same: messages are taken where they are sent."""
        return self.broker_url

    @property
    def broker_write_url(self) -> Any:
        """The same."""
        return self.broker_url

    @property
    def result_backend(self) -> Any:
        """None: no task has a result."""
        return self["result_backend"]


class OwnLoader(AppLoader):
    """A loader that reads no module of settings."""

    def read_configuration(self, env: str = "") -> dict[str, Any]:
        """Nothing."""
        del env
        return {}


class FleetApp(Celery):
    """A Celery application that is configured by its caller alone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "loader": OwnLoader})
        # Celery names the class itself, and keeps the object; a plain assignment would be a setting.
        object.__setattr__(self.conf, "__class__", OwnConfiguration)
