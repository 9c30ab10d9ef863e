"""The table at the end of the run: what was done, and what was found of it where."""

from __future__ import annotations

from dataclasses import dataclass, field

from .stores import PostgresStore, Sqlite
from .verifiers import Both

STORES = (PostgresStore.name, Sqlite.name)
HEAD = ("tampering", *(f"{store}: finding, leaf" for store in STORES), "both verifiers agree")


@dataclass
class Table:
    """By tampering and store."""

    rows: dict[str, dict[str, Both]] = field(default_factory=dict)

    def add(self, tampering: str, store: str, said: Both) -> None:
        self.rows.setdefault(tampering, {})[store] = said

    def lines(self) -> list[str]:
        rows = [HEAD]
        for name, by_store in self.rows.items():
            cells = [str(by_store[store].gateway) if store in by_store else "" for store in STORES]
            agree = all(said.agree for said in by_store.values())
            rows.append((name, *cells, "yes" if agree else "NO"))
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
        ]
