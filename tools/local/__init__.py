"""The local deployment: what `make up`, `make down` and `make env` do."""
