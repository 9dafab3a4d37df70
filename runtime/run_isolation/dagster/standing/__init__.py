"""The standing container's server, and the client that asks one of them by its address."""
