"""Packages that are broken or hostile, made by this script: nothing binary is kept.

:data:`CORPUS` is the one table of them. A row says what is wrong and what has to come of it;
:mod:`.case` has what the rows are made with.
"""

from __future__ import annotations

from .addresses import ADDRESSES
from .archives import ARCHIVES
from .case import Case, Place, Verdict
from .imports import IMPORTS
from .manifests import MANIFESTS
from .packagings import PACKAGINGS

CORPUS: tuple[Case, ...] = (*MANIFESTS, *ARCHIVES, *PACKAGINGS, *IMPORTS, *ADDRESSES)

__all__ = ["CORPUS", "Case", "Place", "Verdict"]
