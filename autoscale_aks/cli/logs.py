"""Log lines: to standard error at the configured level, or as `conf/logging.conf` of the site says."""

from __future__ import annotations

import logging
import logging.config
from typing import TYPE_CHECKING

from autoscale_aks.errors import ConfigError, Problem

if TYPE_CHECKING:
    from autoscale_aks.config import LoggingConfig

LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure_logging(config: LoggingConfig) -> None:
    """Set logging up once for this process. Raises ConfigError for a logging file that cannot be used."""
    if config.config_file is None:
        logging.basicConfig(level=config.level, format=LINE)
        return
    try:
        logging.config.fileConfig(config.config_file, disable_existing_loggers=False)
    except (OSError, KeyError, ValueError, RuntimeError, ImportError, AttributeError) as error:
        problem = Problem("logging.config_file", f"{config.config_file} cannot be used: {error}; see conf/logging.conf")
        raise ConfigError([problem]) from error
