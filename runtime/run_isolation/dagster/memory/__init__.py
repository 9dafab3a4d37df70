"""A standing container and its memory: what runs take, who has to go, and what follows."""
