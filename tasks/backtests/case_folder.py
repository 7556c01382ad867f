"""A folder of cases: a file of JSON for each, called after it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harvest.backtests.case import Case
from routing.errors import InvalidInputError, NotFoundError

#: Bytes of one file that are read.
MOST_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CaseFolder:
    """Cases on disk. Reading is strict: a file that is wrong is said, and none is left out in silence."""

    path: Path

    def read(self) -> list[Case]:
        """All cases, by name. NotFoundError: no such folder; InvalidInputError: files that are wrong."""
        if not self.path.is_dir():
            message = f"there is no folder {self.path}; make cases with `coalmine backtest collect`"
            raise NotFoundError(message)
        cases: list[Case] = []
        wrong: list[str] = []
        for file in sorted(self.path.glob("*.json")):
            try:
                cases.append(self._read(file))
            except (ValidationError, ValueError, OSError) as error:
                wrong.append(f"{file}: {' '.join(str(error).split())[:300]}")
        if wrong:
            raise InvalidInputError("these files hold no cases; correct or remove them:\n" + "\n".join(wrong))
        return cases

    def _read(self, file: Path) -> Case:
        if file.stat().st_size > MOST_BYTES:
            message = f"it has more than {MOST_BYTES} bytes"
            raise ValueError(message)
        case = Case.model_validate_json(file.read_bytes())
        if case.id != file.stem:
            message = f"it is case {case.id}, so it must be called {case.id}.json"
            raise ValueError(message)
        return case

    def write(self, cases: Iterable[Case]) -> list[Path]:
        """Write cases, each at once; one of the same name is replaced. Returns the files."""
        self.path.mkdir(parents=True, exist_ok=True)
        return [self._write(case) for case in cases]

    def _write(self, case: Case) -> Path:
        file = self.path / f"{case.id}.json"
        fresh = file.with_suffix(".new")
        fresh.write_text(case.model_dump_json(indent=2, exclude_defaults=True) + "\n", encoding="utf-8")
        fresh.replace(file)
        return file

    def known(self) -> set[str]:
        """The names of the cases that are there."""
        return {file.stem for file in self.path.glob("*.json")}
