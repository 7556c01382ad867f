"""Variables from which Celery would read its configuration: they are not read, and that is said.

One order of settings holds for every process: option, our variables, file, default. `tasks.application` sees
to it that Celery asks nobody else.
"""

from collections.abc import Mapping

#: What is to be set in place of each, "" for nothing.
NOT_READ = {
    "CELERY_BROKER_URL": "COALMINE_BROKER_URL",
    "CELERY_BROKER_READ_URL": "COALMINE_BROKER_URL",
    "CELERY_BROKER_WRITE_URL": "COALMINE_BROKER_URL",
    "CELERY_RESULT_BACKEND": "",  # no task has a result
    "CELERY_CONFIG_MODULE": "",
    "CELERY_LOADER": "",
}


def not_read(environment: Mapping[str, str]) -> str:
    """What to say of those that are set; "" for nothing."""
    found = [name for name in NOT_READ if environment.get(name)]
    if not found:
        return ""
    instead = sorted({NOT_READ[name] for name in found} - {""})
    remedy = (
        f"set {', '.join(instead)} if Coalmine is to use that" if instead else "Coalmine has no use for it"
    )
    return f"{', '.join(found)} (an option of celery's may set it) is not read; {remedy}"
