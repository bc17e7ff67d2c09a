"""The botocore session of all clients."""

from __future__ import annotations

from pathlib import Path

from botocore.loaders import Loader, instance_cache
from botocore.session import Session, get_session

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
