"""The demo runs as a user would run it."""

from pathlib import Path

from tests.server.program import left_behind, run


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_the_demo_shows_the_main_job_and_says_what_is_not_real(tmp_path: Path) -> None:
    code, out, err = await run(tmp_path, "demo", COLUMNS="100")
    assert code == 0, out + err
    for expected in ("Stand-in: only the model", "One answer", "streamed", "in parallel", "ModelRateLimitError"):
        assert expected in out
    assert left_behind(tmp_path) == []
    assert names(tmp_path) == ["tmp"], "nothing is written into the user's own home"
