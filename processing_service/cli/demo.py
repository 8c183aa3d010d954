"""`demo`: the main job from end to end, on a free port: pages in, text and pictures out."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from processing_service.cli.results import PICTURE, begin

if TYPE_CHECKING:
    from coordinator.processing.v1 import processing_pb2 as pb

    from processing_service.client import CoordinatorClient
    from processing_service.config import Settings

_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
_PARALLEL: Final = 2
"""Pages at the same time: one a core is best for models of one thread."""
_WORKFLOW: Final = Path("examples/workflows/read-text.yaml")


def demo(
    pages: Annotated[Path, typer.Option("--pages", help="Folder with page images.")] = Path("examples/pages"),
    results: Annotated[Path, typer.Option("--output", help="Folder for the results.")] = Path("demo-output"),
    models: Annotated[Path, typer.Option("--models", help="Folder of the model repository.")] = Path("models"),
) -> None:
    """Reads the text of page images through a coordinator with embedded services.

    Leaves `<page>.json` with the lines and `<page>.annotated.png` for each, and the store of the sessions beside them;
    what an earlier demo left there is removed first.
    """
    from processing_service.domains.model.repository import ModelRepository, RepositorySettings
    from processing_service.wire.telemetry.logs import LogSettings, configure_logs

    images = sorted(path for path in pages.glob("*") if path.suffix.lower() in _SUFFIXES)
    if not images:
        raise typer.BadParameter(f"there are no page images in {pages}", param_hint="--pages")
    if not _WORKFLOW.exists():
        raise typer.BadParameter(f"{_WORKFLOW} is not here; run it in the folder of the project")
    if lack := ModelRepository(RepositorySettings(models)).lack():
        raise typer.BadParameter(lack, param_hint="--models")
    configure_logs(LogSettings(level="error"))  # how each page ended is told below
    asyncio.run(_run(_settings(models, begin(results)), images, results))


def _settings(models: Path, store: Path) -> Settings:
    from processing_service.config import Settings
    from processing_service.domains.model.settings import RepositorySettings
    from processing_service.engine.store.sqlite import StoreSettings
    from processing_service.wire.listener import ListenerSettings

    return Settings(
        listener=ListenerSettings(address="127.0.0.1:0"),
        model=RepositorySettings(models),
        store=StoreSettings(store),
    )


async def _run(settings: Settings, images: list[Path], results: Path) -> None:
    from processing_service.client import CoordinatorClient
    from processing_service.server import running

    async with running(settings) as process, CoordinatorClient(process.address) as client:
        typer.echo(f"serving on {process.address}: model, inference, postprocessing and the coordinator")
        await client.put_processing_workflow(_WORKFLOW.read_text(encoding="utf-8"))
        failed = await _read_all(client, images, results)
    typer.echo(f"{len(images) - failed} of {len(images)} pages read; results in {results}/")
    if failed:
        raise typer.Exit(1)


async def _read_all(client: CoordinatorClient, images: list[Path], results: Path) -> int:
    """Reads the pages, some at a time; how many failed."""
    turns, bars = asyncio.Semaphore(_PARALLEL), _Bars()

    async def read(image: Path) -> bool:
        async with turns:
            return await _read(client, image, results, bars)

    with bars:
        return (await asyncio.gather(*map(read, images))).count(False)


async def _read(client: CoordinatorClient, image: Path, results: Path, bars: _Bars) -> bool:
    from coordinator.processing.v1 import processing_pb2 as pb

    started = await client.post_workflow_execute("read-text", {"page": image}, background=True)
    session_id = started.session.session_id
    async for update in client.watch_session(session_id):
        if update.HasField("session_progress"):
            bars.move(image.name, update.session_progress.fraction, update.session_progress.step_id)
    session = (await client.get_processing_session(session_id)).session
    if session.state != pb.SESSION_STATE_SUCCEEDED:
        bars.end(image.name, f"FAILED: {session.failure.message}")
        return False
    lines = await _save(client, session, image, results)
    seconds = (session.ended_at.ToMicroseconds() - session.created_at.ToMicroseconds()) / 1e6
    bars.end(image.name, f"{lines} lines in {seconds:.1f} s, session {session_id}")
    return True


async def _save(client: CoordinatorClient, session: pb.Session, image: Path, results: Path) -> int:
    """Writes the lines and the annotated picture of a page; how many lines."""
    outputs = client.outputs_of(session)
    page = {name: outputs[name] for name in ("text", "upside_down", "lines")}
    text = json.dumps(page, ensure_ascii=False, indent=2)
    (results / f"{image.stem}.json").write_text(text + "\n", encoding="utf-8")
    await outputs.save("annotated", results / f"{image.stem}{PICTURE}")
    return len(outputs["lines"])


class _Bars:
    """A bar a page on a terminal; a line a page where nobody looks."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._console = Console(highlight=False)
        text = TextColumn("{task.description:<28}", markup=False)
        step = TextColumn("{task.fields[step]}", markup=False)
        columns = (text, BarColumn(), TaskProgressColumn(), step)
        self._progress = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._tasks: dict[str, object] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def move(self, page: str, fraction: float, step: str) -> None:
        """Draws how far a page is."""
        if page not in self._tasks:
            self._tasks[page] = self._progress.add_task(page, total=1.0, step="")
        self._progress.update(self._tasks[page], completed=fraction, step=step)  # type: ignore[arg-type]  # TaskID is private

    def end(self, page: str, text: str) -> None:
        """Says how a page ended, in a line that stays."""
        if page in self._tasks:
            self._progress.remove_task(self._tasks.pop(page))  # type: ignore[arg-type]
        self._console.print(f"{page:<28} {text}", markup=False, soft_wrap=True)
