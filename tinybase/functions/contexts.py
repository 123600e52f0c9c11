"""Making the contexts that functions and handlers are called with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Any
from uuid import UUID

from tinybase.actors import SYSTEM, Actor, ActorKind
from tinybase.db import Session
from tinybase.functions.collections import CollectionsService, ContextCollections
from tinybase.functions.context import Context
from tinybase.functions.records import ContextRecords, RecordsService
from tinybase.host import caused_by, current_cause


class Contexts:
    """Opens contexts, each with a database session of its own.

    :param new_session: makes a session that belongs to nobody else.
    """

    def __init__(
        self,
        new_session: Callable[[], Session],
        records: RecordsService,
        collections: CollectionsService,
    ) -> None:
        self._new_session = new_session
        self._records = records
        self._collections = collections

    @contextmanager
    def open(
        self,
        *,
        function_name: str,
        actor: Actor | None = None,
        trigger_type: str = "hook",
        trigger_id: UUID | None = None,
        request: Any = None,
        log: logging.Logger | None = None,
    ) -> Iterator[Context]:
        """Yield a context; commit its session, or roll it back when the block raises.

        :param actor: who is calling; by default whoever caused what happens now.
        """
        cause = current_cause()
        actor, code_of = actor or cause.actor, cause.extension
        session = self._new_session()
        try:
            yield Context(
                function_name=function_name,
                db=session,
                records=ContextRecords(
                    self._records,
                    session,
                    actor.user_id,
                    Actor(ActorKind.SYSTEM, extension=code_of),
                ),
                collections=ContextCollections(self._collections, session),
                trigger_type=trigger_type,
                trigger_id=trigger_id,
                request_id=cause.request_id,
                user_id=actor.user_id,
                is_admin=actor.is_admin,
                claims=deepcopy(dict(actor.claims)) if actor.claims else {},
                request=request,
                log=log or logging.getLogger("tinybase.functions"),
                open=partial(self._open_apart, function_name, code_of, log),
            )
            if _is_used(session):
                session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            session.close()

    @contextmanager
    def _open_apart(
        self, function_name: str, code_of: str | None, log: logging.Logger | None
    ) -> Iterator[Context]:
        """Yield a context for a thread of the author's, on which nobody waits."""
        with (
            caused_by(actor=SYSTEM, origin="extension", extension=code_of),
            self.open(function_name=function_name, trigger_type="thread", log=log) as ctx,
        ):
            yield ctx


def _is_used(session: Session) -> bool:
    """Say whether there is anything to commit: an empty transaction costs as much as a handler."""
    return session.in_transaction() or bool(session.new or session.dirty or session.deleted)
