"""A cache of log-mel spectrograms made from shards: one definition of the mel, one file per shard, all or an error."""
