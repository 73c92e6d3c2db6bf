"""How one shard is made: rows, audio, clips, and the file that holds them."""
