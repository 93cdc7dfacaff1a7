"""`azaks emulate`: the AKS Machine API on a loopback port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from autoscale_aks.errors import ConfigError, Problem

if TYPE_CHECKING:
    from pathlib import Path


@click.command("emulate")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 takes a free port.")
@click.option("--speed", type=click.FloatRange(min=0), default=None,
              help="Emulated seconds per second.")  # fmt: skip
@click.option("--settings", "settings_path", type=click.Path(exists=True, dir_okay=False), help="Switches as JSON.")
def command(port: int, speed: float, settings_path: Path | None) -> None:
    """Serve an emulated AKS cluster until interrupted. docs/emulator.md lists every switch.

    \b
    Example: azaks emulate --port 8085 --speed 20
    """
    try:
        from autoscale_aks.emulator.server import EmulatorServer  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            [Problem("emulate", f"needs the extra: pip install autoscale_aks[emulator] ({error})")]
        ) from error
    from autoscale_aks.emulator.settings_file import load_settings  # noqa: PLC0415

    try:
        server = EmulatorServer(load_settings(settings_path, speed=speed), port)
    except (ValueError, TypeError, OSError) as error:
        raise ConfigError([Problem(str(settings_path or "--speed"), str(error))]) from error
    try:
        server.run(lambda running: click.echo(f"serving on {running.base_url}"))
    except OSError as error:
        raise ConfigError([Problem("--port", f"{port} cannot be listened on: {error.strerror}")]) from error
