"""docs/api.md says what `/openapi.json` says."""

from pathlib import Path

from console.web.api.act_routes import ACTS
from console.web.api.api_routes import PREFIX
from tests.api_reference import PAGE, reference


def test_the_reference_of_the_api_is_current() -> None:
    """Who changes a call writes it anew: `make reference`."""
    assert Path(PAGE).read_text(encoding="utf-8") == reference()


def test_the_reference_has_every_decision_with_its_body() -> None:
    """The path, what it does, and the fields of its body with whether each is needed."""
    text = reference()
    for path, act in ACTS.items():
        begin = text.index(f"### `POST {PREFIX}{path}`")
        part = text[begin : text.find("\n### ", begin + 1)]
        assert act.summary in part
        for name, field in act.form.model_fields.items():
            (row,) = [line for line in part.splitlines() if line.startswith(f"| `{name}` | body |")]
            assert ("Required." in row) == field.is_required(), row
