"""A pandas DataFrame that prints all its columns, whatever the width of the terminal."""

from __future__ import annotations

from typing import Any

import pandas as pd


class SummaryTable(pd.DataFrame):
    """`arviz.summary`'s table; equal to it as data, wider when printed."""

    @property
    def _constructor(self) -> type[SummaryTable]:
        return SummaryTable

    def __repr__(self) -> str:
        return self.to_string(max_rows=60)

    __str__ = __repr__


def whole(table: Any) -> Any:
    """`table` as a `SummaryTable` where it is a DataFrame (ArviZ can return xarray too)."""
    return SummaryTable(table) if isinstance(table, pd.DataFrame) else table
