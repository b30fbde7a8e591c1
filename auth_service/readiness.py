"""Whether the service should get traffic: judged from what it sees anyway, without a connection."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Literal

from auth_service import accounts
from auth_service.pool import DatabaseUnavailable, PoolExhausted

if TYPE_CHECKING:
    from auth_service.pool import Pool
    from auth_service.pool_metrics import PoolState

Unready = Literal["starting", "database_unavailable", "pool_exhausted"]

RETRY_S = 1.0

logger = logging.getLogger(__name__)


class Readiness:
    """What the last uses of the database tell, and a probe for when nobody uses it.

    Requests report how they fared. While the database is not known to work, at the start and after
    a failure, ``keep_probing`` asks it once in ``RETRY_S``: a replica that gets no traffic because
    it is not ready would otherwise never learn that it could be.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._database: Literal["unknown", "works", "fails"] = "unknown"
        self._doubtful = asyncio.Event()
        self._doubtful.set()

    def why_not(self, state: PoolState | None) -> Unready | None:
        """Why the service should get no traffic now; None when it should."""
        if self._database == "unknown":
            return "starting"
        if self._database == "fails":
            return "database_unavailable"
        if state is not None and state.used >= state.limits.open_max and state.pending > 0:
            return "pool_exhausted"
        return None

    def works(self) -> None:
        """The database has answered."""
        if self._database != "works":
            logger.info("the database answers")
        self._database = "works"
        self._doubtful.clear()

    def fails(self, error: DatabaseUnavailable) -> None:
        """The database could not be reached, or broke off."""
        if self._database != "fails":
            logger.warning("the database cannot be used: %s", error)
        self._database = "fails"
        self._doubtful.set()

    async def keep_probing(self) -> None:
        """Ask the database while it is in doubt; runs until cancelled."""
        while True:
            await self._doubtful.wait()
            try:
                async with self._pool.connection() as connection:
                    await accounts.ping(connection)
            except DatabaseUnavailable as error:
                self.fails(error)
            except PoolExhausted:
                logger.info("the database could not be asked: every connection is taken")
            except Exception:  # a probe that died would leave the replica unready for good
                logger.exception("asking the database failed")
            else:
                self.works()
                continue
            await asyncio.sleep(RETRY_S)
