"""The session of botocore that all clients are made from."""

from __future__ import annotations

from pathlib import Path

from botocore.loaders import Loader, instance_cache
from botocore.session import Session, get_session

__all__ = ["session"]


class _Loader(Loader):
    """Finds the models of services by the names of their folders.

    botocore's own first searches the folders of all services, four hundred, for the versions of each.
    """

    @instance_cache
    def list_available_services(self, type_name: str) -> list[str]:
        """Return the names of the services that have a folder. One without a model of this type fails when it is read.

        All services are named, because a login makes clients of services that are not used here.
        """
        del type_name
        folders = [folder for folder in map(Path, self.search_paths) if folder.is_dir()]
        return sorted({path.name for folder in folders for path in folder.iterdir()})


def session() -> Session:
    """Return a new session, which finds credentials and profiles as the AWS command line does."""
    found = get_session()
    found.register_component("data_loader", _Loader())
    return found
