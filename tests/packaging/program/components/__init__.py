"""Components of this program. The package has the same name as a folder of the checkout."""

from components.policy import reserve_of_each_server

__all__ = ["reserve_of_each_server"]
