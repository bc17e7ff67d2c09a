"""Components of this program. The name of the package is the same as that of the checkout's folder."""

from components.policy import reserve_of_each_server

__all__ = ["reserve_of_each_server"]
