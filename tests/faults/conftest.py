"""Stories of whole cycles need a site."""

from unit.reconcile.site_fixture import make_site, site

__all__ = ["make_site", "site"]
