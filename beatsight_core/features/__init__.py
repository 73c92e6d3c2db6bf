"""From shards to a cache of log-mel pictures: one definition of the mel, one file per shard, 100 % or an error."""
