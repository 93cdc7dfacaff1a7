"""`autoscale.json` → `Config`: frozen, complete, and every problem of a file at once with its path and line.

::

    text ─ reading ─► document ─ secrecy, schema (explaining), checks ─► findings ─ locating ─► ConfigError
                          └───────────────────── none ─► building ─► Config
"""

from autoscale_aks.config.loading import load_config, parse_config
from autoscale_aks.config.schema import schema_text
from autoscale_aks.config.values import (
    AksConfig,
    Config,
    LeaseConfig,
    LedgerConfig,
    LoggingConfig,
    LoopConfig,
    NodeArrayConfig,
    SchedulerConfig,
)

__all__ = [
    "AksConfig",
    "Config",
    "LeaseConfig",
    "LedgerConfig",
    "LoggingConfig",
    "LoopConfig",
    "NodeArrayConfig",
    "SchedulerConfig",
    "load_config",
    "parse_config",
    "schema_text",
]
