"""The botocore session of all clients."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

_UNUSED = "urllib3.contrib.pyopenssl"
_modules = cast("dict[str, Any]", sys.modules)
_is_loaded = _UNUSED in _modules
# If pyOpenSSL is installed, botocore imports it for a class that it otherwise takes from urllib3. That takes 40 ms.
# With None, the import fails.
_modules.setdefault(_UNUSED, None)

from botocore.loaders import Loader, instance_cache  # noqa: E402
from botocore.session import Session, get_session  # noqa: E402

if not _is_loaded:
    del _modules[_UNUSED]

__all__ = ["session"]


class _Loader(Loader):
    """Finds the models of services by the names of their folders.

    The loader of botocore first reads the folders of all services, about four hundred, to find their versions.
    """

    @instance_cache
    def list_available_services(self, type_name: str) -> list[str]:
        """Return the names of the services that have a folder. Loading a missing model fails later.

        All services are returned, because a login uses clients of services that are not used here.
        """
        del type_name
        folders = [folder for folder in map(Path, self.search_paths) if folder.is_dir()]
        return sorted({path.name for folder in folders for path in folder.iterdir()})


def session() -> Session:
    """Return a new session. It finds credentials and profiles in the same way as the AWS CLI."""
    found = get_session()
    found.register_component("data_loader", _Loader())
    return found
