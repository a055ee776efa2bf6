"""What the container takes: the numbers of the README, printed, and kept within bounds."""

import time

import anyio
import httpx2
import pytest

from tests.docker.stack import Stack

MIB = 1024**2

SHIPPED_INTERVAL = "10s"
"""Between two health checks in the Dockerfile, where the other tests have one second."""


async def test_the_image_adds_little_but_the_cli_to_its_base(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    history = ("docker", "history", "--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", stack.name)
    ours = 0
    for layer in (await stack.run(*history)).splitlines():
        size, _, made_by = layer.partition(" ")
        ours += int(size)
        if "org.opencontainers.image.title" in made_by:
            break
    cli = int(await stack.inside("sh", "-c", "stat -L -c %s $(command -v claude)"))
    whole = int(await stack.run("docker", "image", "inspect", "--format", "{{.Size}}", stack.name))
    with capsys.disabled():
        print(f"\nimage: {whole / 1e6:.0f} MB, {ours / 1e6:.0f} MB of it ours, {cli / 1e6:.0f} MB of that the CLI")  # noqa: T201
    assert cli < ours < cli + 100e6


@pytest.mark.parametrize(("warm", "most"), [(0, 160 * MIB), (2, 600 * MIB)])
async def test_an_idle_service_takes_little(
    stack: Stack, capsys: pytest.CaptureFixture[str], warm: int, most: int
) -> None:
    settings = stack.folder / ".env"
    kept = settings.read_text()
    settings.write_text(f"{kept}CLAUDE_MAX_WARM={warm}\n")
    try:
        await stack.run("docker", "compose", "down")
        answering, healthy = await _started(stack)
        await _warm(stack, warm)
        used = await _memory(stack)
    finally:
        settings.write_text(kept)
    with capsys.disabled():
        print(f"\nWARM={warm}: {used / MIB:.0f} MiB, answers after {answering:.1f} s, healthy after {healthy:.1f} s")  # noqa: T201
    assert used < most


async def _started(stack: Stack) -> tuple[float, float]:
    """Start it; seconds until it answers, and until the engine calls it healthy."""
    began, since = time.monotonic(), time.time()
    await stack.run("docker", "compose", "up", "-d", HEALTH_INTERVAL=SHIPPED_INTERVAL)
    with anyio.fail_after(60):
        while not await _answers(stack):
            pass
    answering = time.monotonic() - began
    await stack.becomes("healthy", since)
    return answering, time.monotonic() - began


async def _answers(stack: Stack) -> bool:
    async with stack.http() as http:
        try:
            return (await http.get("/health")).status_code == 200
        except httpx2.TransportError:
            return False


async def _warm(stack: Stack, count: int) -> None:
    """Wait until so many processes stand ready."""
    with anyio.fail_after(30):
        async with stack.http(await stack.token()) as http:
            while (await http.get("/health")).json()["pool"]["warm"] != count:
                pass


async def _memory(stack: Stack) -> float:
    """Bytes that `docker stats` shows."""
    shown = await stack.run("docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", stack.container)
    number, unit = shown.split("/")[0].strip()[:-3], shown.split("/")[0].strip()[-3:]
    return float(number) * {"KiB": 1024, "MiB": MIB, "GiB": 1024**3}[unit]
