"""`autoscale.json` → `Config`: frozen, complete, and every problem of a file at once with its path and line.

::

    text ─ reading ─► document ─ secrecy, schema (explaining), checks ─► findings ─ locating ─► ConfigError
                          └───────────────────── none ─► building ─► Config
                               leaving_out ─► the rest of it, where one bucket or node array is wrong (T29c)
"""

from autoscale_aks.config.loading import load_config, load_usable, parse_config, parse_usable
from autoscale_aks.config.schema import schema_text
from autoscale_aks.config.values import (
    AksConfig,
    Config,
    LeaseConfig,
    LedgerConfig,
    LeftOut,
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
    "LeftOut",
    "LoggingConfig",
    "LoopConfig",
    "NodeArrayConfig",
    "SchedulerConfig",
    "load_config",
    "load_usable",
    "parse_config",
    "parse_usable",
    "schema_text",
]
