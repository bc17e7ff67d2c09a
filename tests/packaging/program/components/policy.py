"""Rules for all servers of this program."""

from ios_mdm.components import ApplySettings, IssueReserveSettings, ReserveSettings, When

__all__ = ["reserve_of_each_server"]


def reserve_of_each_server(days: int) -> ReserveSettings:
    """Return a reserve that exists at all times and is applied after this number of days."""
    return ReserveSettings(issue=IssueReserveSettings(when=When.NOW, apply=ApplySettings(after_days=days)))
