"""What can become of Postgres, and of the way to it: each is a block in which it is so."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from .cluster import ROLE, Cluster
from .relays import Committing


@dataclass
class Store:
    """The database that is hurt, and the relay on the way to it."""

    cluster: Cluster
    url: str
    relay: Committing

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[1]

    def run(self, sql: str) -> None:
        self.cluster.query(self.url, sql)


class Hurt(Protocol):
    """In the block that it makes, the store is hurt."""

    def __call__(self, store: Store) -> AbstractContextManager[None]: ...


@contextlib.contextmanager
def killed(store: Store) -> Iterator[None]:
    store.cluster.kill()
    try:
        yield
    finally:
        store.cluster.start()


@contextlib.contextmanager
def stopped(store: Store) -> Iterator[None]:
    store.cluster.freeze()
    try:
        yield
    finally:
        store.cluster.thaw()


@contextlib.contextmanager
def slow(store: Store) -> Iterator[None]:
    """Half a second there and back."""
    store.relay.delay = 0.25
    try:
        yield
    finally:
        store.relay.delay = 0.0


@contextlib.contextmanager
def blackhole(store: Store) -> Iterator[None]:
    store.relay.stall()
    try:
        yield
    finally:
        store.relay.flow()


@contextlib.contextmanager
def reset_in_commit(store: Store) -> Iterator[None]:
    """Half of the commits are cut off, before or after the server has heard of them."""
    store.relay.resets = 0.5
    try:
        yield
    finally:
        store.relay.resets = 0.0


@contextlib.contextmanager
def read_only(store: Store) -> Iterator[None]:
    """As a replica is."""
    setting = f"ALTER DATABASE {store.name} SET default_transaction_read_only"
    store.cluster.query("/postgres", f"{setting} = on")
    store.cluster.disconnect(store.url)
    try:
        yield
    finally:
        store.cluster.query("/postgres", f"{setting} = off")
        # A fail-over ends them, too.
        store.cluster.disconnect(store.url)


@contextlib.contextmanager
def disk_full(store: Store) -> Iterator[None]:
    junk = store.cluster.fill_small_disk()
    try:
        yield
    finally:
        junk.unlink()


@contextlib.contextmanager
def no_connections(store: Store) -> Iterator[None]:
    store.cluster.query("/postgres", f"ALTER ROLE {ROLE} CONNECTION LIMIT 0")
    store.cluster.disconnect(store.url)
    try:
        yield
    finally:
        store.cluster.query("/postgres", f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")


@contextlib.contextmanager
def locked(store: Store) -> Iterator[None]:
    """As a careless migration of somebody's does it."""
    with store.cluster.transaction(store.url, "LOCK TABLE audit_record IN ACCESS EXCLUSIVE MODE"):
        yield


@dataclass(frozen=True)
class Kind:
    """A way to hurt it, and what `/health/audit` calls it."""

    hurt: Hurt
    codes: frozenset[str]


def _kind(hurt: Callable[[Store], AbstractContextManager[None]], *codes: str) -> Kind:
    return Kind(hurt, frozenset(codes))


# By the names in `table.py`. Without a code: health need not be red.
KINDS = {
    "postgres-killed": _kind(killed, "store_unreachable"),
    "postgres-stopped": _kind(stopped, "store_silent"),
    "network-slow": _kind(slow),
    "network-blackhole": _kind(blackhole, "store_silent"),
    "network-reset-in-commit": _kind(reset_in_commit),
    "postgres-read-only": _kind(read_only, "store_read_only"),
    "postgres-disk-full": _kind(disk_full, "store_disk_full"),
    "postgres-no-connections": _kind(no_connections, "store_too_many_connections"),
    # Who waits for a lock may be out of time before Postgres says why.
    "postgres-locked": _kind(locked, "store_locked"),
}
