"""Fields on lattices: their actions, and networks whose samples are fields."""
