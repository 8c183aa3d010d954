"""Where campaigns are made: a nursery, and the domain that counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.crashing.servers import Nursery, counting_domain, nursery
from tests.greetings import compile_set


@dataclass(frozen=True, slots=True)
class Site:
    """Where campaigns are made, one after the other."""

    folder: Path
    nursery: Nursery
    domain: str
    """Address of the domain that counts."""
    descriptor_set: Path
    log: Path
    """What it has counted."""
    numbers: count[int]

    def new_folder(self, name: str) -> Path:
        """For one store."""
        folder = self.folder / name
        folder.mkdir()
        return folder

    def arguments(self, folder: Path) -> list[str]:
        """How a server is started on a store of its own."""
        return [
            *("--config", str(self._settings(folder))),
            *("--only", "processing", "--store", str(folder / "store"), "--listen", self.address(folder)),
        ]

    def address(self, folder: Path) -> str:
        """Where it listens."""
        return f"unix:{folder}/server.sock"

    def _settings(self, folder: Path) -> Path:
        path = folder / "settings.toml"
        path.write_text(
            "[[foreign_domains]]\n"
            f'name = "greetings"\ndescriptor_set_file = "{self.descriptor_set}"\n'
            f'[foreign_domains.channel]\naddress = "{self.domain}"\nreconnect_delay = 0.1\n'
        )
        return path


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    """A domain and a nursery for many campaigns; the folder is short, it stands in the names of sockets."""
    domain, log = f"unix:{folder}/domain.sock", folder / "calls.log"
    descriptor_set = compile_set(folder / "greetings")
    async with counting_domain(domain, descriptor_set, log), nursery(folder / "server.log") as made:
        yield Site(folder, made, domain, descriptor_set, log, count(1))
